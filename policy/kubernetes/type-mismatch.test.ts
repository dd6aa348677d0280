// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json } from "#policy/json";
import { findTypeMismatch } from "#policy/kubernetes/type-mismatch";

const pod = { group: "", version: "v1", kind: "Pod" };

const rows: readonly {
  readonly reason: string;
  readonly value: Json;
  readonly want: string | undefined;
}[] = [
  {
    reason: "all is well",
    value: { spec: { containers: [{ name: "a", tty: true }] } },
    want: undefined,
  },
  { reason: "an unknown field is anything", value: { spec: { unknown: [1] } }, want: undefined },
  {
    reason: "null is of every type",
    value: { metadata: null, spec: { containers: null } },
    want: undefined,
  },
  {
    reason: "a map for a list",
    value: { spec: { containers: {} } },
    want: "spec.containers must be of type list, got object",
  },
  {
    reason: "a text for a boolean",
    value: { spec: { containers: [{}, { tty: "true" }] } },
    want: "spec.containers[1].tty must be of type boolean, got string",
  },
  {
    reason: "a number in a map of texts",
    value: { metadata: { labels: { a: 1 } } },
    want: "metadata.labels.a must be of type string, got number",
  },
  {
    reason: "a text for an object",
    value: { spec: "x" },
    want: "spec must be of type object, got string",
  },
  {
    reason: "either number or text",
    value: {
      spec: {
        containers: [
          { ports: [{ containerPort: "80" }], livenessProbe: { httpGet: { port: "http" } } },
        ],
      },
    },
    want: "spec.containers[0].ports[0].containerPort must be of type number, got string",
  },
];

describe("types of Kubernetes objects", () => {
  test.each(rows)("$reason", ({ value, want }) => {
    expect(findTypeMismatch(pod, value)).toBe(want);
  });

  test("a kind that nobody knows may hold anything but for its metadata", () => {
    const kind = { group: "example.org", version: "v1", kind: "X" };
    expect(findTypeMismatch(kind, { spec: [1], status: "x" })).toBeUndefined();
  });
});
