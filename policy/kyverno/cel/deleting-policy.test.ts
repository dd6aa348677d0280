// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

// The verdicts are those of `kyverno apply` v1.19.0 on the same documents, unless a row says otherwise.

const pods = { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] };
const policyOf = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "namespace" in metadata ? "NamespacedDeletingPolicy" : "DeletingPolicy",
  metadata: { name: "sweep", ...metadata },
  spec: { schedule: "0 1 * * *", matchConstraints: { resourceRules: [pods] }, ...spec },
});
const when = (...expressions: readonly string[]): JsonObject => ({
  conditions: expressions.map((expression, index) => ({ name: `c${index}`, expression })),
});
const one: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "one", namespace: "team" },
};
const team: JsonObject = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "team", labels: { env: "test" } },
};
const world: World = {
  ...emptyWorld(0),
  get: ({ resource, namespace, name }) =>
    resource === "configmaps" && namespace === "team" && name === "sweep"
      ? { kind: "found", value: { data: { on: "yes" } } }
      : { kind: "absent" },
};

function judge(documents: readonly JsonObject[], object: JsonObject): readonly string[] {
  const { set, problems, unsupported } = compile(documents);
  expect([problems, unsupported]).toEqual([[], []]);
  const review = reviewOf(object, { world });
  return set
    .candidates(review)
    .flatMap((policy) => policy.deletion?.(review, world) ?? [])
    .map(({ result, message }) => `${result}: ${message}`);
}

type Row = readonly [
  reason: string,
  policy: JsonObject,
  object: JsonObject,
  want: readonly string[],
];
const namespaces = { apiGroups: [""], apiVersions: ["v1"], resources: ["namespaces"] };
const rows: readonly Row[] = [
  [
    "every condition has to hold",
    policyOf(when("object.metadata.namespace == 'team'", "object.metadata.name == 'one'")),
    one,
    ["pass: would be deleted: every condition holds (c0, c1)"],
  ],
  [
    "the first that is false keeps the object",
    policyOf(when("true", "object.metadata.name == 'two'")),
    one,
    ["fail: is kept: condition c1 is false"],
  ],
  [
    "even after one that has an error",
    policyOf(when("object.spec.missing == 1", "object.metadata.name == 'two'")),
    one,
    ["fail: is kept: condition c1 is false"],
  ],
  [
    "else an error is an error",
    policyOf(when("object.spec.missing == 1")),
    one,
    ["error: no such key: spec"],
  ],
  [
    "there is no request, although expressions may name it",
    policyOf(when("request.name == 'one'")),
    one,
    ["error: no such attribute(s): request"],
  ],
  [
    "nor an object before it",
    policyOf(when("has(oldObject.metadata) || true")),
    one,
    ["pass: would be deleted: every condition holds (c0)"],
  ],
  [
    "without conditions all that is matched goes",
    policyOf({}),
    one,
    ["pass: would be deleted: it is matched, and there are no conditions"],
  ],
  [
    "the operations of rules count for nothing",
    policyOf({ matchConstraints: { resourceRules: [{ ...pods, operations: ["DELETE"] }] } }),
    one,
    ["pass: would be deleted: it is matched, and there are no conditions"],
  ],
  ["what is not matched is not spoken of", policyOf({}), team, []],
  [
    "nor anything without constraints",
    policyOf({ matchConstraints: null, ...when("true") }),
    one,
    [],
  ],
  [
    "but for JSON that is no Kubernetes object",
    policyOf({ matchConstraints: null, ...when("object.stage == 'old'") }),
    { stage: "old" },
    ["pass: would be deleted: every condition holds (c0)"],
  ],
  [
    "a Namespace is its own namespaceObject",
    policyOf({
      matchConstraints: {
        resourceRules: [namespaces],
        namespaceSelector: { matchLabels: { env: "test" } },
      },
      ...when("namespaceObject.metadata.labels.env == 'test'"),
    }),
    team,
    ["pass: would be deleted: every condition holds (c0)"],
  ],
  [
    "an unknown namespace is null",
    policyOf(when("namespaceObject == null")),
    one,
    ["pass: would be deleted: every condition holds (c0)"],
  ],
  [
    "variables are read when they are named",
    policyOf({
      variables: [
        { name: "name", expression: "object.metadata.name" },
        { name: "loud", expression: "variables.name + '!'" },
        { name: "bad", expression: "object.nope.x" },
      ],
      ...when("variables.loud == 'one!'"),
    }),
    one,
    ["pass: would be deleted: every condition holds (c0)"],
  ],
  [
    "the cluster is asked through the World",
    policyOf(when("resource.get('v1', 'configmaps', 'team', 'sweep').data.on == 'yes'")),
    one,
    ["pass: would be deleted: every condition holds (c0)"],
  ],
  [
    "a namespaced policy sees its namespace, as its controller lists no other",
    policyOf({}, { namespace: "other" }),
    one,
    [],
  ],
];

describe("a DeletingPolicy", () => {
  it.each(rows)("%s", (_reason, policy, object, want) => {
    expect(judge([policy], object)).toEqual(want);
  });

  it("keeps what an exception names, whenever that expires", () => {
    const exception: JsonObject = {
      apiVersion: "policies.kyverno.io/v1",
      kind: "PolicyException",
      metadata: { name: "keep", namespace: "team" },
      spec: {
        policyRefs: [{ name: "sweep", kind: "DeletingPolicy" }],
        expiresAt: "1969-01-01T00:00:00Z",
        matchConditions: [{ name: "m", expression: "object.metadata.name == 'one'" }],
      },
    };
    expect(judge([policyOf({}), exception], one)).toEqual([
      "fail: is kept: exempted by policy exception team/keep",
    ]);
  });

  it("says when and how it deletes", () => {
    const { set } = compile([policyOf({ deletionPropagationPolicy: "Foreground" })]);
    const [result] = set.policies[0]?.deletion?.(reviewOf(one), world) ?? [];
    expect(result?.properties).toEqual({
      schedule: "0 1 * * *",
      deletionPropagationPolicy: "Foreground",
    });
    expect(result?.action).toBe("Audit");
  });

  it("judges no change", () => {
    const [policy] = compile([policyOf({})]).set.policies;
    expect([policy?.validate, policy?.mutate, policy?.generate]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("is refused with a schedule that its controller cannot read", () => {
    const { problems } = compile([policyOf({ schedule: "daily" })]);
    expect(problems).toEqual([
      {
        document: "DeletingPolicy/sweep",
        path: "spec.schedule",
        message: "must have 5 to 7 fields (minute hour day-of-month month day-of-week), got 1",
      },
    ]);
  });
});
