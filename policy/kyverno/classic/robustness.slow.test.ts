// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { compileClassicPolicy } from "#policy/kyverno/classic/compile";
import { makeJson, makeRandom, pod, world } from "#policy/kyverno/classic/testing";
import type { CompiledPolicy } from "#policy/policy-set";

/** Words that mean something in a rule, so that random rules get far. */
const words = [
  "all",
  "any",
  "apiCall",
  "attestors",
  "cel",
  "clone",
  "cloneList",
  "conditions",
  "context",
  "data",
  "deny",
  "exclude",
  "expressions",
  "foreach",
  "imageReferences",
  "key",
  "kinds",
  "list",
  "match",
  "name",
  "operator",
  "patchStrategicMerge",
  "patchesJson6902",
  "pattern",
  "podSecurity",
  "preconditions",
  "resources",
  "selector",
  "subjects",
  "targets",
  "value",
  "variable",
  "(a)",
  "^(a)",
  "__proto__",
];

const bodies: readonly ((part: () => Json) => JsonObject)[] = [
  (part) => ({ validate: { message: "m", pattern: part() } }),
  (part) => ({ validate: { anyPattern: [part(), part()] } }),
  (part) => ({ validate: { deny: { conditions: part() } } }),
  (part) => ({ validate: { deny: part() } }),
  (part) => ({ validate: { foreach: [{ list: "request.object.spec", pattern: part() }] } }),
  (part) => ({ validate: { foreach: part() } }),
  (part) => ({ validate: { podSecurity: { level: "restricted", exclude: part() } } }),
  (part) => ({ validate: { cel: part() } }),
  (part) => ({ validate: part() }),
  (part) => ({ mutate: { patchStrategicMerge: part() } }),
  (part) => ({
    mutate: { foreach: [{ list: "request.object.spec", patchStrategicMerge: part() }] },
  }),
  (part) => ({ mutate: { targets: [part()], patchStrategicMerge: part() } }),
  (part) => ({ mutate: part() }),
  (part) => ({ generate: part() }),
  (part) => ({ verifyImages: [part()] }),
  (part) => ({ verifyImages: part() }),
];

function run(policy: CompiledPolicy, object: JsonObject): readonly string[] {
  const review = reviewOf(object);
  return [
    ...(policy.validate?.(review, world) ?? []),
    ...(policy.mutate?.(review, world).results ?? []),
    ...(policy.generate?.(review, world).results ?? []),
  ].map(({ result }) => result);
}

describe("any JSON", () => {
  test("no rule and no resource makes the engine throw", () => {
    const random = makeRandom(3);
    const seen = new Set<string>();
    for (let round = 0; round < 10_000; round += 1) {
      const part = (): Json => makeJson(random, 4, words);
      const body = bodies[round % bodies.length]?.(part) ?? {};
      const isWild = random() < 0.3;
      const rule: JsonObject = {
        name: "r",
        match: isWild ? part() : { any: [{ resources: { kinds: ["Pod"] } }] },
        ...(random() < 0.2 ? { exclude: part() } : {}),
        ...(random() < 0.2 ? { context: part(), preconditions: part() } : {}),
        ...body,
      };
      const document: JsonObject = {
        apiVersion: "kyverno.io/v1",
        kind: "ClusterPolicy",
        metadata: isWild ? part() : { name: "p" },
        spec: { rules: [rule], ...(isWild ? { validationFailureActionOverrides: part() } : {}) },
      };
      const exceptions = random() < 0.2 ? [part()].filter(isObject) : [];
      const { policies, problems } = compileClassicPolicy(document, exceptions);
      if (problems.length > 0) seen.add("refused");
      for (const policy of policies) {
        const spec = makeJson(random, 4, [...words, "a", "containers", "volumes"]);
        for (const result of run(policy, { ...pod(), spec })) seen.add(result);
        for (const result of run(policy, { ...pod(), metadata: part(), spec })) seen.add(result);
      }
    }
    expect([...seen].sort()).toEqual(["error", "fail", "pass", "refused", "skip"]);
  });
});
