// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { uidOf } from "#responder/cluster";

/** What is remembered of one managed resource between two of its versions. */
export type Compared = {
  readonly uid: string;
  readonly generation: number;
  /** Paths below `forProvider` at which the provider once reported what this very spec says. */
  readonly agreed: ReadonlySet<string>;
  /** Those that it reports otherwise since then, and when that was first seen. */
  readonly differs: ReadonlyMap<string, number>;
};

/** A value that the provider reports otherwise than the spec has it. */
export type CloudDifference = {
  /** Below `spec.forProvider` and `status.atProvider` alike. */
  readonly path: string;
  readonly wanted: string;
  readonly reported: string;
  readonly sinceMs: number;
};

const depthMax = 12;
/** Of one resource; the largest kinds of the providers have about 350 in common. */
const leavesMax = 1_000;

/**
 * Takes one version of a managed resource in. A difference counts only at a path where this provider has reported the value of this very spec
 * before: whatever it always reports otherwise (ARNs for names, another case, defaults, JSON written anew) never agreed, and values that are
 * only written never stand in `atProvider`. Nothing counts while the provider is behind the spec, paused, or has not synced.
 */
export function compareCloud(
  known: Compared | undefined,
  object: JsonObject,
  nowMs: number,
): { readonly compared: Compared; readonly differences: readonly CloudDifference[] } {
  const generation = Number(at(object, ["metadata", "generation"]) ?? 0);
  const uid = uidOf(object);
  const isSame = known?.uid === uid && known.generation === generation;
  const agreed = new Set(isSame ? known.agreed : []);
  const differs = new Map<string, number>();
  const differences: CloudDifference[] = [];
  const leaves = isObserved(object, generation) ? pairsOf(object) : [];
  for (const { path, wanted, reported } of leaves) {
    if (wanted === reported) agreed.add(path);
    else if (agreed.has(path)) {
      const sinceMs = (isSame ? known.differs.get(path) : undefined) ?? nowMs;
      differs.set(path, sinceMs);
      differences.push({ path, wanted, reported, sinceMs });
    }
  }
  return { compared: { uid, generation, agreed, differs }, differences };
}

/** Whether `atProvider` tells what the provider last saw, of the spec as it stands. */
function isObserved(object: JsonObject, generation: number): boolean {
  if (textAt(object, ["metadata", "deletionTimestamp"]) !== "") return false;
  if (textAt(object, ["metadata", "annotations", "crossplane.io/paused"]) === "true") return false;
  const policies = at(object, ["spec", "managementPolicies"]);
  if (isArray(policies) && policies.length === 0) return false;
  const conditions = at(object, ["status", "conditions"]);
  const synced = (isArray(conditions) ? conditions : []).find(
    (one) => textAt(one, ["type"]) === "Synced",
  );
  const seen = at(synced, ["observedGeneration"]);
  return textAt(synced, ["status"]) === "True" && (typeof seen !== "number" || seen === generation);
}

/** Whether the provider puts back what it finds changed; without `Update` it looks and leaves it. */
export function putsBack(object: JsonObject): boolean {
  const policies = at(object, ["spec", "managementPolicies"]);
  return !isArray(policies) || policies.includes("*") || policies.includes("Update");
}

type Pair = { readonly path: string; readonly wanted: string; readonly reported: string };

function pairsOf(object: JsonObject): readonly Pair[] {
  const pairs: Pair[] = [];
  const wanted = at(object, ["spec", "forProvider"]);
  collect(wanted, at(object, ["status", "atProvider"]), "", 0, pairs);
  return pairs;
}

/**
 * Texts, numbers and booleans that stand on both sides. Lists are compared where both hold one object, as the providers' blocks do; of
 * longer ones nobody knows the order, so they are left out.
 */
function collect(
  wanted: Json | undefined,
  reported: Json | undefined,
  path: string,
  depth: number,
  into: Pair[],
): void {
  if (depth > depthMax || into.length >= leavesMax) return;
  if (isObject(wanted) && isObject(reported)) {
    for (const key of Object.keys(wanted).sort()) {
      if (!Object.hasOwn(reported, key)) continue;
      const inner = path === "" ? key : `${path}.${key}`;
      collect(wanted[key], reported[key], inner, depth + 1, into);
    }
    return;
  }
  if (isArray(wanted) && isArray(reported)) {
    const [one, ...more] = wanted;
    const [other, ...others] = reported;
    const isBlock = isObject(one) && isObject(other) && more.length + others.length === 0;
    if (isBlock) collect(one, other, `${path}[0]`, depth + 1, into);
    return;
  }
  const want = scalarText(wanted);
  const report = scalarText(reported);
  if (want === undefined || report === undefined) return;
  into.push({ path, wanted: want, reported: report });
}

/** Numbers and booleans stand as texts in some kinds' status. */
const scalarText = (value: Json | undefined): string | undefined =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
