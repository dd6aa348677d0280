// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Json } from "#policy/json";
import { schemaOf } from "#policy/kubernetes/schemas";
import { decodingProblem } from "#policy/kubernetes/strict-decoding";

const pod = { group: "", version: "v1", kind: "Pod" };
const containers = (container: Json): Json => ({ spec: { containers: [container] } });

type Row = { readonly reason: string; readonly object: Json; readonly want: string | undefined };

const rows: Readonly<Record<string, Row>> = {
  "a pod": {
    reason: "numbers or texts where either may be, free keys in labels, nulls anywhere",
    object: {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", labels: { "any/key": "x" }, annotations: null },
      spec: {
        containers: [
          {
            name: "c",
            resources: { limits: { cpu: 1, memory: "1Gi" } },
            livenessProbe: { httpGet: { port: "http" } },
          },
        ],
      },
    },
    want: undefined,
  },
  "unknown fields": {
    reason: "all of them are named, by key order",
    object: { spec: { zone: "z", containers: [{ name: "c", imagee: "x" }] }, extra: 1 },
    want: 'strict decoding error: unknown field "extra", unknown field "spec.containers[0].imagee", unknown field "spec.zone"',
  },
  "wrong type": {
    reason: "comes before unknown fields, as reading stops there",
    object: { extra: 1, spec: { hostNetwork: "yes" } },
    want: "json: cannot unmarshal string into field spec.hostNetwork of type boolean",
  },
  "object for a text": {
    reason: "labels hold texts",
    object: { metadata: { labels: { a: {} } } },
    want: "json: cannot unmarshal object into field metadata.labels.a of type string",
  },
  "text for a list": {
    reason: "containers are a list",
    object: { spec: { containers: "c" } },
    want: "json: cannot unmarshal string into field spec.containers of type list",
  },
  __proto__: {
    reason: "a field like any other that a container does not have",
    object: containers(Object.fromEntries([["__proto__", {}]])), // a literal would set the prototype
    want: 'strict decoding error: unknown field "spec.containers[0].__proto__"',
  },
};

for (const [name, { reason, object, want }] of Object.entries(rows)) {
  test(`${name}: ${reason}`, () => {
    expect(decodingProblem(object, schemaOf(pod))).toBe(want);
  });
}

test("what has no schema holds anything", () => {
  const schema = schemaOf({ group: "example.org", version: "v1", kind: "Thing" });
  expect(decodingProblem({ spec: { any: [1, "a"] } }, schema)).toBeUndefined();
});
