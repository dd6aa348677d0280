// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt, type JsonObject } from "#policy/json";
import { parseApiVersion } from "#policy/kubernetes/kinds";
import type { CompiledPolicy } from "#policy/policy-set";
import type { RuleResult } from "#policy/report/result";
import type { World } from "#policy/world";
import { createThenUpdate, type Composed, type InTurn } from "./composed.ts";
import { withPath } from "./json-edit.ts";
import { ownershipOf, project } from "./ownership.ts";
import { policyName } from "./violation.ts";
import { readyFalse, readyTrue } from "./wire/request.ts";

/** Stated on every companion: which composed resource it belongs to. */
export const companionAnnotation = "parapet.dev/companion-of";

export type Companion = { readonly name: string; readonly object: JsonObject };

export type Companions = {
  readonly companions: readonly Companion[];
  readonly results: readonly RuleResult[];
};

/** Most companions of one composed resource. */
const companionsMax = 50;

/**
 * The resources that generating policies add beside a composed resource. Their names in the composition are made of the
 * subject's name, the policy and the kind, so that they stay the same whatever else is added or removed.
 */
export function companionsOf(
  subject: Composed,
  object: JsonObject,
  worldOf: (policy: CompiledPolicy) => World,
): Companions {
  const companions: Companion[] = [];
  const results: RuleResult[] = [];
  let inTurn: InTurn | undefined;
  for (const policy of subject.policies) {
    if (policy.generate === undefined) continue;
    const world = worldOf(policy);
    inTurn ??= createThenUpdate(object, subject.live, world);
    const generation = inTurn((review) => {
      const done = policy.generate?.(review, world);
      return done !== undefined && done.results.length + done.resources.length > 0
        ? done
        : undefined;
    });
    if (generation === undefined) continue;
    results.push(...generation.results);
    const counts = new Map<string, number>();
    for (const resource of generation.resources.slice(0, companionsMax)) {
      const kind = textAt(resource, ["kind"]).toLowerCase();
      const base = `${subject.name}--${policy.ref.name}--${kind}`;
      const count = (counts.get(base) ?? 0) + 1;
      counts.set(base, count);
      const annotation = ["metadata", "annotations", companionAnnotation];
      companions.push({
        name: count === 1 ? base : `${base}--${count}`,
        object: withPath(resource, annotation, subject.name),
      });
    }
    if (generation.resources.length > companionsMax) {
      throw new Error(`${policyName(policy.ref)} generates too many resources`);
    }
  }
  return { companions, results };
}

/** The composed resource that a live companion belongs to, '' for other resources. */
export const subjectOf = (live: JsonObject): string =>
  textAt(live, ["metadata", "annotations", companionAnnotation]);

/** What was last applied for a live object: sent again, it changes nothing. */
export function lastApplied(live: JsonObject, fieldManager: string): JsonObject {
  const { ours, recorded } = ownershipOf(live, fieldManager);
  const kept = ours === undefined || !recorded ? live : project(live, ours);
  const { status: _status, metadata, ...rest } = isObject(kept) ? kept : live;
  const annotations = field(metadata, "annotations");
  const labels = field(metadata, "labels");
  return {
    ...rest,
    apiVersion: live["apiVersion"] ?? "",
    kind: live["kind"] ?? "",
    metadata: {
      name: textAt(live, ["metadata", "name"]),
      ...(isObject(labels) ? { labels } : {}),
      ...(isObject(annotations) ? { annotations } : {}),
    },
  };
}

/**
 * Whether a companion is ready: nobody else says so, as its function is the last of the pipeline. A resource with a Ready
 * or Available condition is as ready as that says; a kind of Kubernetes without such a condition is when it exists.
 */
export function readinessOf(live: JsonObject | undefined): number {
  if (live === undefined) return readyFalse;
  const conditions = at(live, ["status", "conditions"]);
  const list = isArray(conditions) ? conditions : [];
  const told = list.find((each) => ["Ready", "Available"].includes(textAt(each, ["type"])));
  if (told !== undefined) return textAt(told, ["status"]) === "True" ? readyTrue : readyFalse;
  const { group } = parseApiVersion(textAt(live, ["apiVersion"]));
  return !group.includes(".") || group.endsWith(".k8s.io") ? readyTrue : readyFalse;
}
