// SPDX-License-Identifier: Apache-2.0
import { globSync } from "node:fs";
import { compile } from "#policy/compile";
import { validate } from "#policy/evaluate";
import { isObject, textAt, type Json, type JsonObject } from "#policy/json";
import type { PolicySet } from "#policy/policy-set";
import type { Review } from "#policy/review";
import { emptyWorld } from "#policy/world";
import { corporaFolder, readYaml } from "#test/conformance/corpora";
import { makePods } from "./cel.ts";

/** Kyverno's engine in process, warm, per rule and resource, as CPU time in microseconds (measured side by side once). */
const kyvernoMicroseconds = 145;

const sets: readonly (readonly [name: string, folders: readonly string[]])[] = [
  ["pod security", ["pod-security"]],
  ["best practices", ["best-practices"]],
  ["both", ["best-practices", "pod-security"]],
];

/** The ClusterPolicies of some folders of Kyverno's policies, without their tests. */
function readPolicies(folders: readonly string[]): readonly Json[] {
  return folders
    .flatMap((folder) => globSync(`kyverno-policies/${folder}/**/*.yaml`, { cwd: corporaFolder }))
    .filter((file) => !file.includes("/."))
    .sort()
    .flatMap(readYaml)
    .filter((document) => isObject(document) && textAt(document, ["kind"]) === "ClusterPolicy");
}

const reviewOf = (object: JsonObject): Review => ({
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subResource: "",
  name: textAt(object, ["metadata", "name"]),
  namespace: textAt(object, ["metadata", "namespace"]),
  object,
  oldObject: null,
  userInfo: null,
  dryRun: false,
  options: null,
});

export type Row = {
  readonly name: string;
  readonly pods: number;
  readonly policies: number;
  /** Results of rules that matched, for all Pods once. */
  readonly results: number;
  /** CPU time per result, in microseconds; the best of some rounds. */
  readonly microseconds: number;
  readonly megabytes: number;
};

/** Results after which the engine's code is compiled by the runtime. */
const warmResults = 100_000;

function measure(name: string, set: PolicySet, pods: readonly JsonObject[], rounds: number): Row {
  const world = emptyWorld(0);
  const pass = (): number => {
    let results = 0;
    for (const pod of pods) results += validate(set, reviewOf(pod), world).length;
    return results;
  };
  const results = pass();
  // Both sizes are measured as warm as each other: 5,000 Pods warm up by themselves, 1,000 do not.
  for (let warmed = results; warmed < warmResults; warmed += results) pass();
  let best = Infinity;
  for (let round = 0; round < rounds; round += 1) {
    const before = process.cpuUsage();
    pass();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / results);
  }
  globalThis.gc?.();
  const megabytes = process.memoryUsage().rss / 2 ** 20;
  return {
    name,
    pods: pods.length,
    policies: set.policies.length,
    results,
    microseconds: best,
    megabytes,
  };
}

/** Judges 1,000 and 5,000 varied Pods by classic policies of the corpora. */
export function benchClassic(rounds = 5): readonly Row[] {
  return sets.flatMap(([name, folders]) => {
    const { set } = compile(readPolicies(folders));
    return [1_000, 5_000].map((count) => measure(name, set, makePods(count), rounds));
  });
}

export function printClassicBench(): void {
  if (corporaFolder === "") {
    console.log("skipped: Kyverno's policies are not here");
    return;
  }
  console.log("policies             pods  results  us/result  decisions/s/core   MB  to Kyverno");
  for (const { name, pods, policies, results, microseconds, megabytes } of benchClassic()) {
    const perSecond = Math.round(1e6 / microseconds).toLocaleString("en");
    console.log(
      `${`${policies} ${name}`.padEnd(18)} ${String(pods).padStart(6)} ${String(results).padStart(8)} ${microseconds.toFixed(2).padStart(10)} ${perSecond.padStart(17)} ${megabytes.toFixed(0).padStart(4)} ${(kyvernoMicroseconds / microseconds).toFixed(0).padStart(9)} x`,
    );
  }
}

if (import.meta.main) printClassicBench();
