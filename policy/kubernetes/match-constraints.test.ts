// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { ReviewOptions } from "#policy/kubernetes/kinds";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import { parseMatchConstraints } from "#policy/kubernetes/match-constraints";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

const rule = (more: JsonObject = {}): JsonObject => ({
  apiGroups: [""],
  apiVersions: ["v1"],
  resources: ["pods"],
  operations: ["CREATE"],
  ...more,
});
const pod = (metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "team", ...metadata },
});
const node = { apiVersion: "v1", kind: "Node", metadata: { name: "n" } };
const namespace = (labels: JsonObject): JsonObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "team", labels },
});
const world: World = {
  ...emptyWorld(0),
  namespace: (name) => (name === "team" ? namespace({ env: "prod" }) : undefined),
};
const prod = { matchLabels: { env: "prod" } };

type Row = {
  readonly reason: string;
  readonly constraints: JsonObject;
  readonly object: JsonObject;
  readonly options?: ReviewOptions;
  readonly want: "match" | "no match" | "equivalent";
};
const rows: Readonly<Record<string, Row>> = {
  "a rule": {
    reason: "All parts agree.",
    constraints: { resourceRules: [rule()] },
    object: pod(),
    want: "match",
  },
  "no rules": {
    reason: "Match everything, as the API server has it.",
    constraints: {},
    object: node,
    want: "match",
  },
  "other operation": {
    reason: "Only CREATE is named.",
    constraints: { resourceRules: [rule()] },
    object: pod(),
    options: { operation: "UPDATE" },
    want: "no match",
  },
  wildcards: {
    reason: "`*` stands for any group, version, resource and operation.",
    constraints: {
      resourceRules: [
        { apiGroups: ["*"], apiVersions: ["*"], resources: ["*"], operations: ["*"] },
      ],
    },
    object: node,
    options: { operation: "DELETE" },
    want: "match",
  },
  "subresource not named": {
    reason: "`pods` means the object alone.",
    constraints: { resourceRules: [rule()] },
    object: pod(),
    options: { subResource: "status" },
    want: "no match",
  },
  "any subresource": {
    reason:
      "`pods/*` means subresources and the object too, since the wildcard takes an empty one.",
    constraints: { resourceRules: [rule({ resources: ["pods/*"] })] },
    object: pod(),
    options: { subResource: "exec" },
    want: "match",
  },
  "the subresource of any resource": {
    reason: "`*/scale`.",
    constraints: { resourceRules: [rule({ resources: ["*/scale"] })] },
    object: pod(),
    options: { subResource: "scale" },
    want: "match",
  },
  exclusion: {
    reason: "Excluded rules win over resource rules.",
    constraints: {
      resourceRules: [rule()],
      excludeResourceRules: [rule({ resourceNames: ["p"] })],
    },
    object: pod(),
    want: "no match",
  },
  "names not listed": {
    reason: "resourceNames is a list of exact names.",
    constraints: { resourceRules: [rule({ resourceNames: ["other"] })] },
    object: pod(),
    want: "no match",
  },
  "scope Cluster": {
    reason: "A pod has a namespace.",
    constraints: { resourceRules: [rule({ scope: "Cluster" })] },
    object: pod(),
    want: "no match",
  },
  "scope of a Namespace": {
    reason: "Namespaces are cluster-scoped although their requests carry a namespace.",
    constraints: { resourceRules: [rule({ resources: ["namespaces"], scope: "Cluster" })] },
    object: namespace({}),
    want: "match",
  },
  "namespace selector": {
    reason: "The labels of the object's namespace count.",
    constraints: { resourceRules: [rule()], namespaceSelector: prod },
    object: pod(),
    want: "match",
  },
  "unknown namespace": {
    reason: "Only its name label is certain.",
    constraints: { resourceRules: [rule()], namespaceSelector: prod },
    object: pod({ namespace: "elsewhere" }),
    want: "no match",
  },
  "unknown namespace by name": {
    reason: "Kubernetes sets kubernetes.io/metadata.name itself.",
    constraints: {
      resourceRules: [rule()],
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "elsewhere" } },
    },
    object: pod({ namespace: "elsewhere" }),
    want: "match",
  },
  "namespace selector on a cluster-scoped object": {
    reason: "Never exempt by it.",
    constraints: { resourceRules: [rule({ resources: ["nodes"] })], namespaceSelector: prod },
    object: node,
    want: "match",
  },
  "namespace selector on a Namespace": {
    reason: "Its own new labels count, not the stored ones.",
    constraints: { resourceRules: [rule({ resources: ["namespaces"] })], namespaceSelector: prod },
    object: namespace({ env: "dev" }),
    want: "no match",
  },
  "object selector on the old object": {
    reason: "Either of the two must carry the labels, so that removing a label does not escape.",
    constraints: { resourceRules: [rule({ operations: ["UPDATE"] })], objectSelector: prod },
    object: pod(),
    options: { operation: "UPDATE", oldObject: pod({ labels: { env: "prod" } }) },
    want: "match",
  },
  "other version": {
    reason: "matchPolicy Equivalent, the default, means a conversion that is not done here.",
    constraints: {
      resourceRules: [
        rule({
          apiGroups: ["autoscaling"],
          apiVersions: ["v1"],
          resources: ["horizontalpodautoscalers"],
        }),
      ],
    },
    object: {
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata: { name: "h", namespace: "team" },
    },
    want: "equivalent",
  },
  "other version, exact": {
    reason: "Exact asks for no conversion.",
    constraints: {
      matchPolicy: "Exact",
      resourceRules: [
        rule({
          apiGroups: ["autoscaling"],
          apiVersions: ["v1"],
          resources: ["horizontalpodautoscalers"],
        }),
      ],
    },
    object: {
      apiVersion: "autoscaling/v2",
      kind: "HorizontalPodAutoscaler",
      metadata: { name: "h", namespace: "team" },
    },
    want: "no match",
  },
};

describe("match constraints", () => {
  for (const [name, row] of Object.entries(rows)) {
    test(`${name}: ${row.reason}`, () => {
      const parsed = parseMatchConstraints(row.constraints, "spec.matchConstraints");
      const review = reviewOf(row.object, row.options);
      expect(parsed.ok && parsed.constraints.match(review, world)).toBe(row.want);
    });
  }

  test("every wrong part is named by its path", () => {
    const parsed = parseMatchConstraints(
      {
        matchPolicy: "Loose",
        namespaceSelector: { matchExpressions: [{ key: "a", operator: "Is" }] },
        resourceRules: [{ apiGroups: "apps", operations: ["CREAT"], scope: 1 }, 7],
        excludeResourceRules: {},
      },
      "spec.m",
    );
    expect(parsed.ok ? [] : parsed.problems.map(({ path }) => path).sort()).toEqual([
      "spec.m.excludeResourceRules",
      "spec.m.matchPolicy",
      "spec.m.namespaceSelector.matchExpressions[0]",
      "spec.m.resourceRules[0].apiGroups",
      "spec.m.resourceRules[0].operations",
      "spec.m.resourceRules[0].scope",
      "spec.m.resourceRules[1]",
    ]);
  });
});

describe("label selectors", () => {
  const selects = (selector: Json, labels: Json): boolean | string => {
    const parsed = parseLabelSelector(selector);
    return parsed.ok ? parsed.selector.matches(labels) : parsed.message;
  };
  const expression = (operator: string, values?: Json): Json => ({
    matchExpressions: [{ key: "k", operator, ...(values === undefined ? {} : { values }) }],
  });
  test("NotIn and DoesNotExist hold for what has no such label", () => {
    expect(selects(expression("NotIn", ["a"]), {})).toBe(true);
    expect(selects(expression("DoesNotExist"), {})).toBe(true);
    expect(selects(expression("In", ["a"]), {})).toBe(false);
    expect(selects(expression("Exists"), { k: "" })).toBe(true);
  });
  test("labels that objects inherit are not labels", () => {
    expect(selects({ matchExpressions: [{ key: "constructor", operator: "Exists" }] }, {})).toBe(
      false,
    );
  });
  test("operators take the values they need and no others", () => {
    expect(selects(expression("In", []), {})).toBe("values must not be empty for In");
    expect(selects(expression("Exists", ["a"]), {})).toBe(
      "values must be empty for Exists and DoesNotExist",
    );
  });
});
