// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { pod, validate, validateRule, verdict } from "#policy/kyverno/classic/testing";
import type { RunOptions } from "#policy/kyverno/classic/testing";
import type { UserInfo } from "#policy/review";

const user = (parts: Partial<UserInfo>): UserInfo => ({
  username: "",
  uid: "",
  groups: [],
  extra: {},
  roles: [],
  clusterRoles: [],
  ...parts,
});

const pods = { resources: { kinds: ["Pod"] } };
const failing = { message: "m", pattern: { spec: { "?*": "?*" } } };

type Row = {
  readonly reason: string;
  readonly match?: JsonObject;
  readonly exclude?: JsonObject;
  readonly object?: JsonObject;
  readonly options?: RunOptions;
  readonly speaks: boolean;
};

const knows = {
  namespace: (name: string): JsonObject | undefined =>
    name === "prod" ? { metadata: { name, labels: { stage: "prod" } } } : undefined,
};

function check(rows: readonly Row[]): void {
  test.each(rows)("$reason", ({ match, exclude, object, options, speaks }) => {
    const rule = validateRule(failing, {
      match: match ?? { any: [pods] },
      ...(exclude === undefined ? {} : { exclude }),
    });
    const said = validate([rule], object ?? pod({}, { labels: { app: "web" } }), options);
    expect(said.length > 0).toBe(speaks);
  });
}

const resources = (stated: JsonObject): JsonObject => ({ any: [{ resources: stated }] });
const inProd = pod({}, { namespace: "prod" });

describe("resources", () => {
  check([
    { reason: "name", match: resources({ kinds: ["Pod"], name: "p?d" }), speaks: true },
    { reason: "another name", match: resources({ kinds: ["Pod"], name: "x*" }), speaks: false },
    { reason: "one of the names", match: resources({ names: ["x", "pod"] }), speaks: true },
    {
      reason: "name and names are both asked",
      match: resources({ name: "pod", names: ["x"] }),
      speaks: false,
    },
    { reason: "namespace", match: resources({ namespaces: ["def*"] }), speaks: true },
    { reason: "another namespace", match: resources({ namespaces: ["prod"] }), speaks: false },
    {
      reason: "a Namespace is in itself",
      match: resources({ namespaces: ["prod"] }),
      object: { apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } },
      speaks: true,
    },
    {
      reason: "operations",
      match: resources({ kinds: ["Pod"], operations: ["UPDATE"] }),
      speaks: false,
    },
    {
      reason: "the operation of the review",
      match: resources({ kinds: ["Pod"], operations: ["UPDATE"] }),
      options: { operation: "UPDATE" },
      speaks: true,
    },
    {
      reason: "annotations by wildcards in keys and values",
      match: resources({ annotations: { "a.io/*": "on?" } }),
      object: pod({}, { annotations: { "a.io/x": "one" } }),
      speaks: true,
    },
    {
      reason: "no annotation fits",
      match: resources({ annotations: { "a.io/*": "on?" } }),
      object: pod({}, { annotations: { "a.io/x": "off" } }),
      speaks: false,
    },
    {
      reason: "label selector",
      match: resources({ selector: { matchLabels: { app: "web" } } }),
      speaks: true,
    },
    {
      reason: "label selector with wildcards",
      match: resources({ selector: { matchLabels: { "a*": "w?b" } } }),
      speaks: true,
    },
    {
      reason: "label expressions",
      match: resources({
        selector: { matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] },
      }),
      speaks: false,
    },
    {
      reason: "a broken selector matches nothing",
      match: resources({ selector: { matchExpressions: [{ key: "app", operator: "Near" }] } }),
      speaks: false,
    },
    {
      reason: "the labels of the namespace",
      match: resources({ namespaceSelector: { matchLabels: { stage: "prod" } } }),
      object: inProd,
      options: { knows },
      speaks: true,
    },
    {
      reason: "a namespace that nobody knows has no labels",
      match: resources({ namespaceSelector: { matchLabels: { stage: "prod" } } }),
      options: { knows },
      speaks: false,
    },
    {
      reason: "a namespaceSelector never means a Namespace",
      match: resources({ namespaceSelector: { matchLabels: { stage: "prod" } } }),
      object: { apiVersion: "v1", kind: "Namespace", metadata: { name: "prod" } },
      options: { knows },
      speaks: false,
    },
    { reason: "a block that states nothing matches nothing", match: { any: [{}] }, speaks: false },
    {
      reason: "all of the blocks",
      match: { all: [pods, { resources: { names: ["x"] } }] },
      speaks: false,
    },
    {
      reason: "any of the blocks",
      match: { any: [{ resources: { names: ["x"] } }, pods] },
      speaks: true,
    },
    {
      reason: "a block without any and all",
      match: { resources: { kinds: ["Pod"] } },
      speaks: true,
    },
  ]);
});

describe("subresources", () => {
  check([
    { reason: "a kind alone, of a subresource", options: { subResource: "status" }, speaks: true },
    {
      reason: "a subresource",
      match: resources({ kinds: ["Pod/status"] }),
      options: { subResource: "status" },
      speaks: true,
    },
    {
      reason: "another one",
      match: resources({ kinds: ["Pod/status"] }),
      options: { subResource: "exec" },
      speaks: false,
    },
    {
      reason: "any kind's subresource",
      match: resources({ kinds: ["*/scale"] }),
      options: { subResource: "scale" },
      speaks: true,
    },
    { reason: "the object itself is none", match: resources({ kinds: ["Pod/*"] }), speaks: true },
    {
      reason: "ephemeral containers are a Pod",
      match: resources({ kinds: ["Pod/exec"] }),
      options: { subResource: "ephemeralcontainers" },
      speaks: true,
    },
  ]);
});

describe("users", () => {
  const admins = { clusterRoles: ["cluster-admin"] };
  check([
    {
      reason: "nobody is known: what a match says of users does not count",
      match: { any: [{ ...pods, ...admins }] },
      speaks: true,
    },
    {
      reason: "nobody is known: a match by users alone matches nothing",
      match: { any: [admins] },
      speaks: false,
    },
    {
      reason: "nobody is known: an exclusion by users is not applied",
      exclude: { any: [admins] },
      speaks: true,
    },
    {
      reason: "a known user is asked for",
      match: { any: [{ ...pods, ...admins }] },
      options: { userInfo: user({ username: "eve" }) },
      speaks: false,
    },
    {
      reason: "by cluster role",
      match: { any: [{ ...pods, ...admins }] },
      options: { userInfo: user({ clusterRoles: ["cluster-admin"] }) },
      speaks: true,
    },
    {
      reason: "by role",
      exclude: { any: [{ roles: ["default:dev"] }] },
      options: { userInfo: user({ roles: ["default:dev"] }) },
      speaks: false,
    },
    {
      reason: "by user name with wildcards",
      exclude: { any: [{ subjects: [{ kind: "User", name: "sys*" }] }] },
      options: { userInfo: user({ username: "system:x" }) },
      speaks: false,
    },
    {
      reason: "by group",
      exclude: { any: [{ subjects: [{ kind: "Group", name: "ops" }] }] },
      options: { userInfo: user({ groups: ["dev", "ops"] }) },
      speaks: false,
    },
    {
      reason: "by service account",
      exclude: { any: [{ subjects: [{ kind: "ServiceAccount", namespace: "ci", name: "bot" }] }] },
      options: { userInfo: user({ username: "system:serviceaccount:ci:bot" }) },
      speaks: false,
    },
    {
      reason: "roles and subjects are both asked",
      exclude: { any: [{ roles: ["default:dev"], subjects: [{ kind: "User", name: "eve" }] }] },
      options: { userInfo: user({ username: "eve" }) },
      speaks: true,
    },
    {
      reason: "exclude with all takes all blocks",
      exclude: {
        all: [{ resources: { names: ["pod"] } }, { subjects: [{ kind: "User", name: "eve" }] }],
      },
      options: { userInfo: user({ username: "bob" }) },
      speaks: true,
    },
    {
      reason: "Kyverno's own background requests are passed over",
      options: {
        userInfo: user({ username: "system:serviceaccount:kyverno:kyverno-background-controller" }),
      },
      speaks: false,
    },
  ]);

  test("an exclusion that was not applied is told", () => {
    const told = (exclude: JsonObject, options?: RunOptions): string | undefined =>
      validate([validateRule(failing, { exclude })], pod(), options)[0]?.properties["exclude"];
    const reason = "not applied: no user known";
    expect(told({ any: [admins] })).toBe(reason);
    expect(told({ any: [{ ...admins, resources: { kinds: ["Pod"] } }] })).toBe(reason);
    expect(told({ any: [{ ...admins, resources: { kinds: ["Job"] } }] })).toBeUndefined();
    expect(told({ any: [admins] }, { userInfo: user({}) })).toBeUndefined();
  });
});

describe("the namespace of a Policy", () => {
  const own = { kind: "Policy", namespace: "prod" } as const;

  test("it speaks about its own namespace only", () => {
    expect(verdict(validateRule(failing), inProd, own)).toContain("fail");
    expect(verdict(validateRule(failing), pod(), own)).toBe("nothing");
  });

  test("results carry its namespace", () => {
    const [result] = validate([validateRule(failing)], inProd, own);
    expect(result?.policy).toMatchObject({ name: "p", namespace: "prod" });
  });
});
