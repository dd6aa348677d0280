// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";

// The verdicts are those of `kyverno apply` v1.19.0 on the same documents.

const policyOf = (spec: JsonObject, namespace = ""): JsonObject => ({
  apiVersion: "kyverno.io/v2",
  kind: namespace === "" ? "ClusterCleanupPolicy" : "CleanupPolicy",
  metadata: { name: "sweep", ...(namespace === "" ? {} : { namespace }) },
  spec: {
    schedule: "0 1 * * *",
    match: { any: [{ resources: { kinds: ["Pod"] } }] },
    ...spec,
  },
});
const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "one", namespace: "team" },
  spec: { containers: [{ name: "a", image: "nginx" }] },
};
const condition = (key: string, value: string): JsonObject => ({
  conditions: { all: [{ key, operator: "Equals", value }] },
});
const world = emptyWorld(0);

type Row = readonly [reason: string, policy: JsonObject, want: string];
const deleted = "pass: would be deleted: the conditions hold";
const rows: readonly Row[] = [
  [
    "what is matched goes",
    policyOf({}),
    "pass: would be deleted: it is matched, and there are no conditions",
  ],
  [
    "the rest stays, and that is said of every object",
    policyOf({ match: { any: [{ resources: { kinds: ["Service"] } }] } }),
    "fail: is kept: match does not fit",
  ],
  [
    "exclude keeps",
    policyOf({ exclude: { any: [{ resources: { names: ["on*"] } }] } }),
    "fail: is kept: exclude fits",
  ],
  ["one without blocks keeps everything", policyOf({ exclude: {} }), "fail: is kept: exclude fits"],
  [
    "all blocks of all",
    policyOf({
      match: { all: [{ resources: { kinds: ["*"] } }, { resources: { namespaces: ["te*"] } }] },
    }),
    "pass: would be deleted: it is matched, and there are no conditions",
  ],
  [
    "nobody asks, so operations count for nothing",
    policyOf({ match: { any: [{ resources: { kinds: ["Pod"], operations: ["DELETE"] } }] } }),
    "pass: would be deleted: it is matched, and there are no conditions",
  ],
  [
    "and users match nobody",
    policyOf({
      match: {
        any: [{ resources: { kinds: ["Pod"] }, subjects: [{ kind: "User", name: "jane" }] }],
      },
    }),
    "fail: is kept: match does not fit",
  ],
  [
    "a namespaced policy looks at its namespace",
    policyOf({}, "other"),
    "fail: is kept: it is in another namespace",
  ],
  [
    "conditions call the object target",
    policyOf(condition("{{ target.metadata.name }}", "one")),
    deleted,
  ],
  ["and know its namespace", policyOf(condition("{{ request.namespace }}", "team")), deleted],
  ["and its images", policyOf(condition("{{ images.containers.a.name }}", "nginx")), deleted],
  [
    "but no request",
    policyOf(condition("{{ request.object.metadata.name || 'none' }}", "none")),
    deleted,
  ],
  [
    "and entries of the context, which may name target too",
    policyOf({
      context: [{ name: "own", variable: { value: "{{ target.metadata.name }}-x" } }],
      ...condition("{{ own }}", "one-x"),
    }),
    deleted,
  ],
  ["an empty any asks for nothing", policyOf({ conditions: { any: [] } }), deleted],
  [
    "a condition that does not hold keeps",
    policyOf(condition("{{ target.metadata.name }}", "two")),
    "fail: is kept: the conditions do not hold",
  ],
];

describe("a CleanupPolicy", () => {
  it.each(rows)("%s", (_reason, policy, want) => {
    const { set, problems } = compile([policy]);
    expect(problems).toEqual([]);
    const [result] = set.policies[0]?.deletion?.(reviewOf(pod), world) ?? [];
    expect(`${result?.result}: ${result?.message}`).toBe(want);
    expect(result?.action).toBe("Audit");
  });

  it("has an error where a variable cannot be resolved", () => {
    const [policy] = compile([policyOf(condition("{{ target.spec.nope }}", "x"))]).set.policies;
    expect(policy?.deletion?.(reviewOf(pod), world)[0]?.result).toBe("error");
  });

  it("is refused with every mistake by its path", () => {
    const document = policyOf({ schedule: "now", match: {}, context: [{ name: "a" }] });
    expect(compile([document]).problems.map(({ path }) => path)).toEqual([
      "spec.schedule",
      "spec.context[0]",
      "spec.match",
    ]);
    const misspelt = policyOf({ match: { any: [{ resources: { kind: ["Pod"] } }] } });
    expect(compile([misspelt]).problems.map(({ path }) => path)).toEqual([
      "spec.match.any[0].resources.kind",
    ]);
  });
});
