// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { at, isArray, textAt, type JsonObject } from "#policy/json";
import type { CompiledPolicy } from "#policy/policy-set";
import type { World } from "#policy/world";
import type { Composite } from "./composite.ts";

/**
 * The World for what policies inject and add. At admission they are asked once about a change, here with every call: a time or
 * a random text in what they give would be another each time, and Crossplane would apply it again and again. So the time is
 * when the resource was created, or before that when the composite was last written, and chance follows from the composite,
 * the resource and the policy.
 */
export function steadyWorld(
  world: World,
  composite: Composite,
  name: string,
  live: JsonObject | undefined,
): (policy: CompiledPolicy) => World {
  const nowMs = timeIn(live) ?? lastWritten(composite.object) ?? world.nowMs;
  return ({ ref }) => ({
    ...world,
    nowMs,
    random: seededRandom([composite.uid, name, ref.kind, ref.namespace, ref.name]),
  });
}

function timeIn(object: JsonObject | undefined): number | undefined {
  const time = Date.parse(textAt(object, ["metadata", "creationTimestamp"]));
  return Number.isNaN(time) ? undefined : time;
}

/** Of what is asked for: a status is written with every look at it. */
function lastWritten(object: JsonObject): number | undefined {
  const entries = at(object, ["metadata", "managedFields"]);
  const times = (isArray(entries) ? entries : [])
    .filter((entry) => textAt(entry, ["subresource"]) === "")
    .map((entry) => Date.parse(textAt(entry, ["time"])))
    .filter((time) => !Number.isNaN(time));
  return times.length === 0 ? timeIn(object) : Math.max(...times);
}

/** Numbers from 0 to below 1 that are the same for equal seeds. */
function seededRandom(seed: readonly string[]): () => number {
  let count = 0;
  return () => {
    const hash = createHash("sha256")
      .update(JSON.stringify([...seed, count++]))
      .digest();
    return hash.readUInt32BE(0) / 2 ** 32;
  };
}
