// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import {
  bucket,
  composite,
  generating,
  guardrails,
  makeCaller,
  mutating,
  noPublic,
  validating,
} from "#test/support/run-function";
import { composedFieldManager } from "#function/ownership";

// Objects of any shape, live and desired, with records and owners that are out of order: the function always answers, and
// nothing that exists and is desired is ever missing in an answer that Crossplane would apply.

const callsTotal = 1_200;

const classic: JsonObject = {
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "classic" },
  spec: {
    validationFailureAction: "Enforce",
    rules: [
      {
        name: "team",
        match: { any: [{ resources: { kinds: ["*"] } }] },
        validate: {
          message: "found {{ request.object.metadata.name }}",
          pattern: { metadata: { labels: { team: "?*" } } },
        },
      },
    ],
  },
};
const policies = [
  noPublic,
  mutating(
    "tags",
    "Object{spec: Object.spec{forProvider: Object.spec.forProvider{tags: {'a': 'b'}}}}",
  ),
  generating("companion", [
    {
      expression: `generator.Apply("team-a", [{"apiVersion": dyn("v1"), "kind": dyn("ConfigMap"),
        "data": dyn({"of": string(object.kind)})}])`,
    },
  ]),
  validating(
    "region-stays",
    "request.operation == 'CREATE' || object.spec.forProvider.region == oldObject.spec.forProvider.region",
  ),
  classic,
];

const record = JSON.stringify({
  held: [
    { path: ["spec", "forProvider", "acl"], value: "private" },
    { path: ["spec", "forProvider", "list", { name: "a" }, "v"], value: 1 },
  ],
  state: bucket({ acl: "private" }),
});
const owned: JsonObject = {
  "f:metadata": { "f:annotations": { "f:parapet.dev/held": {} }, "f:labels": { "f:l": {} } },
  "f:spec": {
    "f:forProvider": {
      "f:acl": {},
      "f:region": {},
      "f:list": { 'k:{"name":"a"}': { ".": {}, "f:name": {}, "f:v": {} } },
    },
  },
};
const live = (acl: string): JsonObject => ({
  ...bucket({ acl, list: [{ name: "a", v: 1 }] }),
  metadata: {
    name: "x",
    namespace: "team-a",
    uid: "u",
    creationTimestamp: "2026-01-01T00:00:00Z",
    labels: { l: "1" },
    annotations: { "parapet.dev/held": record },
    managedFields: [
      { manager: composedFieldManager(composite()), operation: "Apply", fieldsV1: owned },
      { manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:spec": {} } },
    ],
  },
});
const desiredObjects: readonly JsonObject[] = [
  bucket({ acl: "public", list: [{ name: "a", v: 2 }] }),
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "team-a" } },
  { apiVersion: "v1", kind: "Secret", data: { a: "Yg==" } },
];

/** The same numbers in every run. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const random = makeRandom(7);
function pick<T>(list: readonly T[]): T {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

const oddValues: readonly Json[] = [
  null,
  "",
  "x",
  0,
  1.5,
  true,
  [],
  {},
  [null],
  [{}],
  { a: null },
  [{ name: "a" }],
  { name: 1 },
];
const oddKeys = ["labels", "spec", "metadata", "f:spec", "k:{}", "k:{", "v:1", ".", "__proto__"];

function disturb(value: Json): Json {
  if (random() < 0.1) return pick(oddValues);
  if (isArray(value)) return value.map(disturb);
  if (!isObject(value)) return value;
  const kept = Object.entries(value)
    .filter(() => random() > 0.05)
    .map(([key, each]) => [key, disturb(each)] as const);
  const more = random() < 0.1 ? [[pick(oddKeys), pick(oddValues)] as const] : [];
  return Object.fromEntries([...kept, ...more]);
}

const disturbed = (object: JsonObject): readonly JsonObject[] => [disturb(object)].filter(isObject);

function someOf(make: () => readonly JsonObject[]): Readonly<Record<string, JsonObject>> {
  return Object.fromEntries(
    ["a", "b", "c"].flatMap((name) => make().map((object) => [name, object] as const)),
  );
}

test("whatever the objects look like, there is an answer that deletes nothing", () => {
  const reasons = new Set<string>();
  for (let count = 0; count < callsTotal; count++) {
    const desired = someOf(() => disturbed(pick(desiredObjects)));
    const observed = someOf(() =>
      random() < 0.6 ? disturbed(live(pick(["private", "public", "edited"]))) : [],
    );
    const [owner] = disturbed(composite([{ type: "PolicyCompliant", status: "False" }]));
    const { response, log } = makeCaller("approvals")({
      input: guardrails(policies, {
        recordApplied: random() < 0.5,
        writeStatus: random() < 0.5,
        pin: ["managementPolicies", "paused"],
      }),
      desired,
      observed,
      ...(owner === undefined ? {} : { composite: owner }),
    });
    expect(log).toEqual([]);
    const [first] = response.results;
    reasons.add(first?.reason ?? "");
    if (first?.reason === "PolicyViolation") continue;
    for (const name of Object.keys(observed)) {
      if (Object.hasOwn(desired, name)) {
        expect(Object.keys(response.desired?.resources ?? {})).toContain(name);
      }
    }
  }
  expect(reasons).not.toContain("InternalError");
  expect(reasons.size).toBeGreaterThan(1);
});
