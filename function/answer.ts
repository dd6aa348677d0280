// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { readinessOf } from "./companions.ts";
import { readable, type ComposedSet } from "./composed-set.ts";
import { toDesired, type Composed } from "./composed.ts";
import { withPath } from "./json-edit.ts";
import type { CompiledGuard } from "./policies.ts";
import { cannotExistWithout, type Named } from "./references.ts";
import { waitsForPeople, type Verdict } from "./verdict.ts";
import { readyFalse, type Request } from "./wire/request.ts";
import type { CompositeChange, ResourceChange } from "./wire/response.ts";
import { decodeStruct } from "./wire/struct.ts";

/**
 * The companions to judge: those of a subject of which a change is held are made from what is sent of it, so that nothing
 * of the change comes to be beside it, and what protects it does.
 */
export function companionsBeside(
  verdicts: readonly Verdict[],
  set: ComposedSet,
): readonly Composed[] {
  const held = verdicts.flatMap(({ resource, step }) =>
    step.kind === "hold" ? [{ resource, object: step.object }] : [],
  );
  const names = new Set(held.map(({ resource }) => resource.name));
  return [
    ...set.companions.filter(({ subject }) => !names.has(subject)),
    ...held.flatMap(({ resource, object }) => set.companionsOf(resource, object)),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Resources that wait for no fault of their own, by name, with the waiting resource that they cannot exist without. */
export type Followers = ReadonlyMap<string, string>;

export function followersOf(
  verdicts: readonly Verdict[],
  composed: () => readonly Named[],
  request: Request,
): Followers {
  const waiting = verdicts
    .filter(({ step }) => step.kind === "wait")
    .map(({ resource }) => ({ name: resource.name, object: resource.injected }));
  const followers = new Map<string, string>();
  if (waiting.length === 0) return followers;
  for (const { name, object, subject } of composed()) {
    if (request.observed.resources.has(name)) continue;
    const cause =
      waiting.find((each) => each.name === subject) ??
      waiting.find((each) => each.name !== name && cannotExistWithout(object, each.object));
    if (cause !== undefined) followers.set(name, cause.name);
  }
  return followers;
}

/** Only what differs from the request: all else goes back as the bytes it came in. */
export function changesFor(
  verdicts: readonly Verdict[],
  followers: Followers,
  set: ComposedSet,
): ReadonlyMap<string, ResourceChange | undefined> {
  const companions = verdicts
    .map(({ resource }) => resource)
    .filter(({ subject }) => subject !== "");
  const changes = new Map<string, ResourceChange | undefined>(set.kept(companions));
  for (const name of followers.keys()) changes.set(name, undefined);
  for (const { resource, step } of verdicts) {
    const { name, injected, rendered, live, subject } = resource;
    const ready = subject === "" ? undefined : readinessOf(live);
    if (step.kind === "wait" || followers.has(name)) {
      changes.set(name, undefined);
      continue;
    }
    const object = step.kind === "hold" || step.kind === "known" ? step.object : injected;
    if (object === rendered && subject === "") continue;
    changes.set(name, { object: toDesired(resource, object), ready });
  }
  return changes;
}

/** The composite is not ready while something is held, and carries the status where that is asked for. */
export function compositeChange(
  request: Request,
  isHeld: boolean,
  status: JsonObject | undefined,
): CompositeChange | undefined {
  if (!isHeld && status === undefined) return undefined;
  const ready = isHeld ? readyFalse : undefined;
  if (status === undefined) return { ready, object: undefined };
  const struct = request.desired.composite?.struct;
  const desired = struct === undefined ? {} : readable("composite", () => decodeStruct(struct));
  return { ready, object: withPath(desired, ["status", "parapet"], status) };
}

/** How long Crossplane may wait before it asks again, in seconds: late changes of policies and approvals show by then. */
const ttlSecondsMax = 60;
/**
 * The same while a change waits for people: Crossplane before v2.4 watches no approvals (core PR 7565's design), and
 * nothing in a request tells which version asks.
 */
const waitingTtlSecondsMax = 10;

/** No longer than the next moment at which an exception or an approval ends, and short while one may come. */
export function ttlOf(verdicts: readonly Verdict[], guard: CompiledGuard, nowMs: number): number {
  const approved = verdicts.flatMap(({ approval }) =>
    approval?.state.kind === "approved" && approval.state.untilMs !== undefined
      ? [approval.state.untilMs]
      : [],
  );
  const next = [...approved, ...guard.expiriesMs].filter((time) => time > nowMs);
  const seconds = next.map((time) => Math.ceil((time - nowMs) / 1000));
  const most = verdicts.some(waitsForPeople) ? waitingTtlSecondsMax : ttlSecondsMax;
  return Math.max(1, Math.min(most, ...seconds));
}
