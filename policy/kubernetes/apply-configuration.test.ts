// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { applyConfiguration } from "#policy/kubernetes/apply-configuration";
import type { ApplyOptions } from "#policy/kubernetes/apply-configuration";
import { kindOf } from "#policy/kubernetes/kinds";
import { schemaOf } from "#policy/kubernetes/schemas";

const pod = (spec: JsonObject): JsonObject => ({ apiVersion: "v1", kind: "Pod", spec });
const merge = (object: JsonObject, configuration: JsonObject, options: ApplyOptions = {}): Json => {
  const outcome = applyConfiguration(object, configuration, schemaOf(kindOf(object)), options);
  return outcome.ok ? (outcome.object["spec"] ?? outcome.object) : outcome.message;
};

type Row = {
  readonly reason: string;
  readonly spec: JsonObject;
  readonly apply: JsonObject;
  readonly options?: ApplyOptions;
  readonly want: Json;
};
const rows: Readonly<Record<string, Row>> = {
  "containers merge by name": {
    reason: "containers is a list keyed by name; fields that the configuration leaves out stay.",
    spec: {
      containers: [
        { name: "a", image: "x" },
        { name: "b", image: "y" },
      ],
    },
    apply: { containers: [{ name: "b", imagePullPolicy: "Always" }] },
    want: {
      containers: [
        { name: "a", image: "x" },
        { name: "b", image: "y", imagePullPolicy: "Always" },
      ],
    },
  },
  "a new container is appended": {
    reason: "Elements of the object keep their place.",
    spec: { containers: [{ name: "a" }] },
    apply: { containers: [{ name: "side", image: "s" }] },
    want: { containers: [{ name: "a" }, { name: "side", image: "s" }] },
  },
  "the configuration's order wins": {
    reason: "structured-merge-diff keeps the order of the applied list for shared elements.",
    spec: { containers: [{ name: "a" }, { name: "b" }, { name: "c" }] },
    apply: { containers: [{ name: "c" }, { name: "a" }] },
    want: { containers: [{ name: "b" }, { name: "c" }, { name: "a" }] },
  },
  "ports have two keys, one with a default": {
    reason: "containerPort and protocol; a missing protocol is TCP.",
    spec: { containers: [{ name: "a", ports: [{ containerPort: 80, protocol: "TCP" }] }] },
    apply: { containers: [{ name: "a", ports: [{ containerPort: 80, name: "web" }] }] },
    want: {
      containers: [{ name: "a", ports: [{ containerPort: 80, protocol: "TCP", name: "web" }] }],
    },
  },
  "duplicates in the object": {
    reason: "Duplicates of an applied key collapse into the applied element.",
    spec: {
      containers: [
        { name: "a", env: [{ name: "t", value: "1" }, { name: "t", value: "2" }, { name: "u" }] },
      ],
    },
    apply: { containers: [{ name: "a", env: [{ name: "t", value: "3" }] }] },
    want: { containers: [{ name: "a", env: [{ name: "t", value: "3" }, { name: "u" }] }] },
  },
  "atomic list": {
    reason: "args is atomic: setting it would drop what is there.",
    spec: { containers: [{ name: "a", args: ["x"] }] },
    apply: { containers: [{ name: "a", args: ["y"] }] },
    want: "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args",
  },
  "atomic map": {
    reason: "nodeSelector is an atomic map in the API.",
    spec: {},
    apply: { nodeSelector: { disk: "ssd" } },
    want: "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.nodeSelector",
  },
  "atomic list by server-side apply": {
    reason: "Kyverno's useServerSideApply replaces it.",
    spec: { nodeSelector: { a: "b" } },
    apply: { nodeSelector: { disk: "ssd" } },
    options: { replaceAtomics: true },
    want: { nodeSelector: { disk: "ssd" } },
  },
  "unknown field": {
    reason: "A typo is an error, not a field that the API server drops later.",
    spec: {},
    apply: { hostNetwrk: false },
    want: "failed to convert patch object to typed object: .spec.hostNetwrk: field not declared in schema",
  },
  "wrong scalar": {
    reason: "hostNetwork is a boolean.",
    spec: {},
    apply: { hostNetwork: "no" },
    want: "failed to convert patch object to typed object: .spec.hostNetwork: expected boolean, got &{no}",
  },
  "elements without key": {
    reason:
      "The API's default for a container's name is '', so two without a name are the same one.",
    spec: {},
    apply: { containers: [{ image: "x" }, { image: "y" }] },
    want: 'failed to convert patch object to typed object: .spec.containers: duplicate entries for key [name=""]',
  },
  "element that is no object": {
    reason: "It could not be told which element it is.",
    spec: {},
    apply: { containers: ["x"] },
    want: "failed to convert patch object to typed object: .spec.containers: element 0: associative list with keys may not have non-map elements",
  },
};

describe("applyConfiguration", () => {
  for (const [name, row] of Object.entries(rows)) {
    test(`${name}: ${row.reason}`, () => {
      const object = pod(row.spec);
      const before = structuredClone(object);
      expect(merge(object, { spec: row.apply }, row.options)).toEqual(row.want);
      expect(object).toEqual(before);
    });
  }

  test("sets unite: finalizers of the object stay", () => {
    const object = { apiVersion: "v1", kind: "Pod", metadata: { finalizers: ["a"] } };
    expect(merge(object, { metadata: { finalizers: ["b", "a"] } })).toEqual({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { finalizers: ["b", "a"] },
    });
  });

  test("a custom resource merges maps; its lists are atomic", () => {
    const object = {
      apiVersion: "s3.aws.m.upbound.io/v1beta1",
      kind: "Bucket",
      spec: { forProvider: { a: 1 } },
    };
    expect(merge(object, { spec: { forProvider: { b: 2 } } })).toEqual({
      forProvider: { a: 1, b: 2 },
    });
    expect(merge(object, { spec: { rules: [1] } })).toBe(
      "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.rules",
    );
  });

  test("keys that objects inherit are keys like others", () => {
    const object = { apiVersion: "example.org/v1", kind: "X", spec: {} };
    const spec = Object.fromEntries<Json>([
      ["__proto__", { a: 1 }],
      ["constructor", 1],
    ]);
    expect(JSON.stringify(merge(object, { spec }))).toBe('{"__proto__":{"a":1},"constructor":1}');
  });
});
