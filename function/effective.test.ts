// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isObject, parseJson, type JsonObject } from "#policy/json";
import { effective } from "./effective.ts";
import { ownershipOf } from "./ownership.ts";

const manager = "apiextensions.crossplane.io/composed/x";
const managed = (ours: JsonObject, others: JsonObject = {}): JsonObject => ({
  managedFields: [
    { manager, operation: "Apply", fieldsV1: ours },
    { manager: "kubectl-edit", operation: "Update", fieldsV1: others },
    { manager, operation: "Apply", subresource: "status", fieldsV1: { "f:status": {} } },
  ],
});

const bucket = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "Bucket",
  metadata,
  spec,
});
const deployment = (containers: readonly JsonObject[], metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata,
  spec: { template: { spec: { containers } } },
});

type Case = { reason: string; live: JsonObject; wanted: JsonObject; spec: JsonObject };

const cases: Record<string, Case> = {
  Defaults: {
    reason: "What the API server or a provider filled in stays.",
    live: bucket({ forProvider: { region: "a", acl: "private" } }),
    wanted: bucket({ forProvider: { region: "b" } }),
    spec: { forProvider: { region: "b", acl: "private" } },
  },
  OursGone: {
    reason: "A field that Crossplane owned and no longer states is removed by its next apply.",
    live: bucket(
      { forProvider: { region: "a", acl: "private" } },
      managed({ "f:spec": { "f:forProvider": { "f:region": {}, "f:acl": {} } } }),
    ),
    wanted: bucket({ forProvider: { region: "a" } }),
    spec: { forProvider: { region: "a" } },
  },
  SharedStays: {
    reason: "A field that another manager owns too stays when Crossplane lets go of it.",
    live: bucket(
      { forProvider: { acl: "private" } },
      managed(
        { "f:spec": { "f:forProvider": { "f:acl": {} } } },
        { "f:spec": { "f:forProvider": { "f:acl": {} } } },
      ),
    ),
    wanted: bucket({}),
    spec: { forProvider: { acl: "private" } },
  },
  WholeSubtreeGone: {
    reason:
      "An object goes with the last field in it, and stays while it has one of somebody else.",
    live: bucket(
      { a: { x: 1 }, b: { x: 1, y: 2 } },
      managed({ "f:spec": { "f:a": { ".": {}, "f:x": {} }, "f:b": { "f:x": {} } } }),
    ),
    wanted: bucket({}),
    spec: { b: { y: 2 } },
  },
  AtomicList: {
    reason: "Lists of custom resources are replaced as a whole.",
    live: bucket({ rules: [{ id: 1 }, { id: 2 }] }),
    wanted: bucket({ rules: [{ id: 3 }] }),
    spec: { rules: [{ id: 3 }] },
  },
  KeyedByRecord: {
    reason: "The API server's record shows that a custom resource's list is keyed.",
    live: bucket(
      { rules: [{ id: 1, a: 1, b: 1 }, { id: 2 }, { id: 4 }] },
      managed({
        "f:spec": {
          "f:rules": {
            'k:{"id":1}': { "f:id": {}, "f:a": {} },
            'k:{"id":2}': { ".": {}, "f:id": {} },
          },
        },
      }),
    ),
    wanted: bucket({ rules: [{ id: 1, a: 2 }, { id: 3 }] }),
    spec: { rules: [{ id: 1, a: 2, b: 1 }, { id: 4 }, { id: 3 }] },
  },
  Containers: {
    reason: "Containers of Kubernetes' own kinds merge by name, as an injected sidecar shows.",
    live: deployment([
      { name: "app", image: "a:1", imagePullPolicy: "Always" },
      { name: "sidecar", image: "s" },
    ]),
    wanted: deployment([{ name: "app", image: "a:2" }]),
    spec: {
      template: {
        spec: {
          containers: [
            { name: "app", image: "a:2", imagePullPolicy: "Always" },
            { name: "sidecar", image: "s" },
          ],
        },
      },
    },
  },
  Finalizers: {
    reason: "A set keeps the values of others.",
    live: bucket({ list: ["a", "b"] }, managed({ "f:spec": { "f:list": { 'v:"a"': {} } } })),
    wanted: bucket({ list: ["c"] }),
    spec: { list: ["b", "c"] },
  },
};

describe("effective", () => {
  test.each(Object.entries(cases))("%s", (_, { live, wanted, spec }) => {
    expect(effective(live, wanted, ownershipOf(live, manager))["spec"]).toEqual(spec);
  });

  test("keys that objects treat specially are overlaid like others", () => {
    const proto = (value: number): JsonObject => {
      // JSON.parse gives an own key of this name.
      const parsed = parseJson(`{"__proto__":${value}}`);
      return isObject(parsed) ? parsed : {};
    };
    const live = bucket({ data: proto(1) });
    const merged = effective(live, bucket({ data: proto(2) }), ownershipOf(live, manager));
    expect(JSON.stringify(merged["spec"])).toBe('{"data":{"__proto__":2}}');
  });
});
