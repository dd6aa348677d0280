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

/** Kyverno's engine in process, warm, per rule and resource: CPU time in microseconds (measured side by side once). */
const kyvernoMicroseconds = 100;

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

/** The pod-security ValidatingPolicies of Kyverno's policies, without their tests. */
function readPolicies(): readonly Json[] {
  return globSync("kyverno-policies/pod-security-vpol/**/*.yaml", { cwd: corporaFolder })
    .filter((file) => !file.includes("/."))
    .sort()
    .flatMap(readYaml)
    .filter((document) => isObject(document) && textAt(document, ["kind"]) === "ValidatingPolicy");
}

function compileSet(documents: readonly Json[]): PolicySet {
  const { set, problems } = compile(documents);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return set;
}

const cpuMicroseconds = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** CPU time of one result, in microseconds: the best of some rounds over Pods of 64 shapes. */
function measure(set: PolicySet, rounds: number): { microseconds: number; results: number } {
  const reviews = makePods(64).map(reviewOf);
  const world = emptyWorld(0);
  let best = Infinity;
  let results = 0;
  for (let round = 0; round < rounds; round++) {
    const start = cpuMicroseconds();
    results = 0;
    for (let pass = 0; pass < 50; pass++) {
      for (const review of reviews) results += validate(set, { ...review }, world).length;
    }
    best = Math.min(best, (cpuMicroseconds() - start) / results);
  }
  return { microseconds: best, results: results / 50 };
}

/** How long it takes to compile a thousand policies: the twelve again and again, under other names. */
function measureCompile(documents: readonly Json[]): number {
  const thousand = Array.from({ length: 1000 }, (_, index) => {
    const document = documents[index % documents.length];
    const metadata = isObject(document) ? document["metadata"] : undefined;
    if (!isObject(document) || !isObject(metadata)) throw new Error("a policy without metadata");
    return { ...document, metadata: { ...metadata, name: `policy-${index}` } };
  });
  const start = cpuMicroseconds();
  compileSet(thousand);
  return (cpuMicroseconds() - start) / 1000;
}

export function printPolicyBench(): void {
  if (corporaFolder === "") return console.log("the corpora are absent: nothing to measure");
  const documents = readPolicies();
  const { microseconds, results } = measure(compileSet(documents), 12);
  const ratio = Math.round(kyvernoMicroseconds / microseconds);
  console.log(
    `${documents.length} ValidatingPolicies, 64 Pods of different shapes: ${results} results`,
  );
  console.log(`${microseconds.toFixed(2)} us of CPU per result, ${ratio} times Kyverno's engine`);
  console.log(`compiling 1,000 policies: ${Math.round(measureCompile(documents))} ms of CPU`);
  console.log(`memory: ${Math.round(process.memoryUsage().rss / 1e6)} MB`);
}

if (import.meta.main) printPolicyBench();
