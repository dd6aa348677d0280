// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { isObject } from "#policy/json";
import { compareCloud, type Compared, putsBack } from "#responder/cloud/compare";

/** One look of a provider at a resource, a minute after the one before. */
type Look = {
  readonly spec?: JsonObject;
  readonly cloud: JsonObject;
  readonly generation?: number;
  readonly synced?: string;
  /** Generation that the provider has seen; the present one unless told. */
  readonly seen?: number;
  readonly annotations?: JsonObject;
  readonly policies?: readonly string[];
  readonly uid?: string;
};

const managed = (look: Look): JsonObject => ({
  metadata: {
    name: "data",
    uid: look.uid ?? "uid-1",
    generation: look.generation ?? 1,
    annotations: look.annotations ?? {},
  },
  spec: {
    forProvider: look.spec ?? { acl: "private", blockPublicAcls: true },
    ...(look.policies === undefined ? {} : { managementPolicies: look.policies }),
  },
  status: {
    atProvider: look.cloud,
    conditions: [
      {
        type: "Synced",
        status: look.synced ?? "True",
        observedGeneration: look.seen ?? look.generation ?? 1,
      },
    ],
  },
});

function after(looks: readonly Look[]) {
  let known: Compared | undefined;
  let differences: ReturnType<typeof compareCloud>["differences"] = [];
  for (const [minute, look] of looks.entries()) {
    const step = compareCloud(known, managed(look), minute * 60_000);
    known = step.compared;
    differences = step.differences;
  }
  return differences;
}

const asSpec: JsonObject = { acl: "private", blockPublicAcls: true };
const open: JsonObject = { acl: "public-read", blockPublicAcls: true };

const told: readonly {
  readonly reason: string;
  readonly looks: readonly Look[];
  readonly want: readonly string[];
}[] = [
  {
    reason: "Somebody opened the bucket in the cloud.",
    looks: [{ cloud: asSpec }, { cloud: open }],
    want: ["acl"],
  },
  {
    reason: "Since it was first seen, not since it was last looked at.",
    looks: [{ cloud: asSpec }, { cloud: open }, { cloud: open }, { cloud: open }],
    want: ["acl"],
  },
  {
    reason: "A boolean, in a kind whose provider may only look.",
    looks: [
      { cloud: asSpec, policies: ["Observe"] },
      { cloud: { ...asSpec, blockPublicAcls: false }, policies: ["Observe"] },
    ],
    want: ["blockPublicAcls"],
  },
  {
    reason: "In a block, which the providers write as a list of one.",
    looks: [
      {
        spec: { versioning: [{ status: "Enabled" }] },
        cloud: { versioning: [{ status: "Enabled" }] },
      },
      {
        spec: { versioning: [{ status: "Enabled" }] },
        cloud: { versioning: [{ status: "Suspended" }] },
      },
    ],
    want: ["versioning[0].status"],
  },
  {
    reason: "A number that stands as a text in the status.",
    looks: [
      { spec: { maxSize: 5 }, cloud: { maxSize: "5" } },
      { spec: { maxSize: 5 }, cloud: { maxSize: "9" } },
    ],
    want: ["maxSize"],
  },
];

const quiet: typeof told = [
  { reason: "It is as the spec says.", looks: [{ cloud: asSpec }, { cloud: asSpec }], want: [] },
  {
    reason: "It was put back.",
    looks: [{ cloud: asSpec }, { cloud: open }, { cloud: asSpec }],
    want: [],
  },
  {
    reason: "The provider always reports the ARN for the name, and so never agreed.",
    looks: [
      { spec: { role: "app" }, cloud: { role: "arn:aws:iam::1:role/app" } },
      { spec: { role: "app" }, cloud: { role: "arn:aws:iam::1:role/app-2" } },
    ],
    want: [],
  },
  {
    reason: "JSON that the cloud writes anew.",
    looks: [{ spec: { policy: '{"a": 1}' }, cloud: { policy: '{"a":1}' } }],
    want: [],
  },
  {
    reason: "What is only written is not in the status.",
    looks: [{ spec: { password: "x" }, cloud: {} }],
    want: [],
  },
  {
    reason: "What the spec leaves to the cloud is the cloud's.",
    looks: [
      { spec: {}, cloud: { acl: "private" } },
      { spec: {}, cloud: { acl: "public-read" } },
    ],
    want: [],
  },
  {
    reason: "A new spec that the provider has not seen.",
    looks: [
      { cloud: asSpec },
      { cloud: asSpec, spec: { acl: "public-read" }, generation: 2, seen: 1 },
    ],
    want: [],
  },
  {
    reason: "A new spec that it has seen and not reported yet.",
    looks: [{ cloud: asSpec }, { cloud: asSpec, spec: { acl: "public-read" }, generation: 2 }],
    want: [],
  },
  {
    reason: "The provider says itself that it is not in sync.",
    looks: [{ cloud: asSpec }, { cloud: open, synced: "False" }],
    want: [],
  },
  {
    reason: "Paused: nobody looks, so the status is old.",
    looks: [{ cloud: asSpec }, { cloud: open, annotations: { "crossplane.io/paused": "true" } }],
    want: [],
  },
  {
    reason: "Paused by its policies.",
    looks: [{ cloud: asSpec }, { cloud: open, policies: [] }],
    want: [],
  },
  {
    reason: "Another resource of that name.",
    looks: [{ cloud: asSpec }, { cloud: open, uid: "uid-2" }],
    want: [],
  },
  {
    reason: "Lists of several have no order that is known.",
    looks: [
      { spec: { rules: [{ port: 1 }, { port: 2 }] }, cloud: { rules: [{ port: 1 }, { port: 2 }] } },
      { spec: { rules: [{ port: 1 }, { port: 2 }] }, cloud: { rules: [{ port: 2 }, { port: 1 }] } },
    ],
    want: [],
  },
  {
    reason: "The members of a prototype are none of a status.",
    looks: [
      { spec: { constructor: "x" }, cloud: { constructor: "x" } },
      { spec: { constructor: "x" }, cloud: {} },
    ],
    want: [],
  },
];

describe("what a provider reports of its cloud", () => {
  it.each(told)("is told: $reason", ({ looks, want }) => {
    const found = after(looks);
    expect(found.map(({ path }) => path)).toEqual(want);
    expect(found.every(({ sinceMs }) => sinceMs === 60_000)).toBe(true);
  });
  it.each(quiet)("is no difference: $reason", ({ looks }) => {
    expect(after(looks)).toEqual([]);
  });

  it("is compared to a depth and a number of values, whatever is sent", () => {
    let deep: Json = "x";
    for (let i = 0; i < 200; i++) deep = { a: deep };
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, "v"]));
    const spec = { deep, many };
    const { compared } = compareCloud(undefined, managed({ spec, cloud: spec }), 0);
    expect(compared.agreed.size).toBe(1_000);
    expect(isObject(spec)).toBe(true);
  });

  it.each([
    { policies: undefined, want: true },
    { policies: ["*"], want: true },
    { policies: ["Observe", "Update"], want: true },
    { policies: ["Observe", "Create", "Delete"], want: false },
  ])("is put back by the provider: $want with $policies", ({ policies, want }) => {
    const look: Look = { cloud: asSpec, ...(policies === undefined ? {} : { policies }) };
    expect(putsBack(managed(look))).toBe(want);
  });
});
