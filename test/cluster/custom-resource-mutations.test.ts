// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import { mutate } from "#policy/evaluate";
import { type JsonObject, at, isObject } from "#policy/json";
import { schemasOfDefinitions } from "#policy/kubernetes/definition-schemas";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import { installCrds } from "#test/cluster/api";
import { kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { eventually } from "#test/support/processes";

// Apply configurations on a custom resource merge by its definition's schema: the real API server and the engine with that
// definition in its World give the same object, or the same refusal.
const kubernetes = kubernetesBinaries();
const text = { type: "string" };
const definition: JsonObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "gadgets.example.org" },
  spec: {
    group: "example.org",
    names: { kind: "Gadget", plural: "gadgets" },
    scope: "Namespaced",
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                properties: {
                  size: { type: "integer" },
                  parts: {
                    type: "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    items: {
                      type: "object",
                      required: ["name"],
                      properties: { name: text, colour: text, weight: { type: "integer" } },
                    },
                  },
                  tags: { type: "array", "x-kubernetes-list-type": "set", items: text },
                  steps: { type: "array", items: text },
                  fixed: {
                    type: "object",
                    "x-kubernetes-map-type": "atomic",
                    properties: { a: text, b: text },
                  },
                  labels: { type: "object", additionalProperties: text },
                  free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
                },
              },
            },
          },
        },
      },
    ],
  },
};

const gadget = (name: string): JsonObject => ({
  apiVersion: "example.org/v1",
  kind: "Gadget",
  metadata: { name, namespace: "default", labels: { case: name } },
  spec: {
    size: 1,
    parts: [
      { name: "a", colour: "red" },
      { name: "b", weight: 2 },
    ],
    tags: ["x", "y"],
    steps: ["one"],
    fixed: { a: "1" },
    labels: { k: "v" },
    free: { deep: { a: 1 } },
  },
});

const rows = [
  { name: "scalar", reason: "a field of its own", configuration: "Object.spec{size: 2}" },
  {
    name: "by-key",
    reason: "elements with the same key are one",
    configuration: 'Object.spec{parts: [Object.spec.parts{name: "b", colour: "blue"}]}',
  },
  {
    name: "new-key",
    reason: "another key is another element",
    configuration: 'Object.spec{parts: [Object.spec.parts{name: "c"}]}',
  },
  {
    name: "no-key",
    reason: "an element without its key",
    configuration: 'Object.spec{parts: [Object.spec.parts{colour: "c"}]}',
  },
  { name: "set", reason: "sets unite", configuration: 'Object.spec{tags: ["y", "z"]}' },
  {
    name: "atomic-list",
    reason: "a list without a type is atomic",
    configuration: 'Object.spec{steps: ["two"]}',
  },
  {
    name: "atomic-map",
    reason: "so is a map that says so",
    configuration: 'Object.spec{fixed: Object.spec.fixed{b: "2"}}',
  },
  {
    name: "map",
    reason: "maps of anything merge by key",
    configuration: 'Object.spec{labels: Object.spec.labels{other: "w"}}',
  },
  {
    name: "free",
    reason: "what the schema leaves open",
    configuration: "Object.spec{free: Object.spec.free{deep: Object.spec.free.deep{b: 2}}}",
  },
  {
    name: "unknown",
    reason: "a field that the definition does not have",
    configuration: "Object.spec{nothing: 1}",
  },
  {
    name: "wrong-type",
    reason: "a value of another type",
    configuration: 'Object.spec{size: "large"}',
  },
];

const policyOf = (name: string, configuration: string): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingAdmissionPolicy",
  metadata: { name },
  spec: {
    failurePolicy: "Fail",
    reinvocationPolicy: "Never",
    matchConstraints: {
      objectSelector: { matchLabels: { case: name } },
      resourceRules: [
        {
          apiGroups: ["example.org"],
          apiVersions: ["v1"],
          operations: ["CREATE"],
          resources: ["gadgets"],
        },
      ],
    },
    mutations: [
      {
        patchType: "ApplyConfiguration",
        applyConfiguration: { expression: `Object{spec: ${configuration}}` },
      },
    ],
  },
});
const bindingOf = (name: string): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingAdmissionPolicyBinding",
  metadata: { name },
  spec: { policyName: name },
});

const world = { ...emptyWorld(0), schemaOf: schemasOfDefinitions([definition]) };

/** The spec after the mutation, or 'refused'. */
function byEngine(name: string, configuration: string): unknown {
  const { set, problems } = compile([policyOf(name, configuration), bindingOf(name)]);
  expect(problems).toEqual([]);
  const review = {
    ...reviewOf(gadget(name), { world }),
    resource: { group: "example.org", version: "v1", resource: "gadgets" },
  };
  const { object, results } = mutate(set, review, world);
  return results.some(({ result }) => result === "error" || result === "fail")
    ? "refused"
    : at(object, ["spec"]);
}

describe.skipIf(kubernetes === undefined)("apply configurations on custom resources", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    const started = await startControlPlane({ controllers: false });
    if (started === undefined) throw new Error("no control plane");
    plane = started;
    await installCrds(plane.api, [definition]);
    const group = "/apis/admissionregistration.k8s.io/v1";
    for (const { name, configuration } of rows) {
      await plane.api.create(`${group}/mutatingadmissionpolicies`, policyOf(name, configuration));
      await plane.api.create(`${group}/mutatingadmissionpolicybindings`, bindingOf(name));
    }
    const last = rows.at(-1)?.name ?? "";
    await eventually(
      "the last policy is in force",
      async () => (await sent(last)) === undefined,
      200_000,
    );
    // The definition's schema reaches the part that merges later than the policies do: until then it refuses everything.
    const first = rows[0]?.name ?? "";
    await eventually("the schema is known", async () => (await sent(first)) !== undefined);
  });
  afterAll(() => plane?.stop());

  /** The spec that the API server would store; undefined where it refuses. */
  async function sent(name: string): Promise<JsonObject | undefined> {
    const reply = await plane.api.send(
      "POST",
      "/apis/example.org/v1/namespaces/default/gadgets?dryRun=All",
      gadget(name),
    );
    const spec = at(reply.body, ["spec"]);
    return reply.status === 201 && isObject(spec) ? spec : undefined;
  }

  it.each(rows)("$name: $reason", async ({ name, configuration }) => {
    expect(byEngine(name, configuration)).toEqual((await sent(name)) ?? "refused");
  });
});
