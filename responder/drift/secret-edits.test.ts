// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { holdsSecret } from "#responder/drift/secret-edits";
import type { Edit } from "#responder/edit";

const env = (name: string): Edit["path"] => [
  "spec",
  "template",
  "spec",
  "containers",
  { name: "web" },
  "env",
  { name },
];

const rows: readonly (Edit & { readonly reason: string; readonly want: boolean })[] = [
  {
    reason: "A variable called like a password was changed.",
    path: [...env("DB_PASSWORD"), "value"],
    from: "a",
    to: "b",
    want: true,
  },
  {
    reason: "One was added, so that the whole item is the difference.",
    path: env("DB_PASSWORD"),
    from: { name: "DB_PASSWORD", value: "a" },
    want: true,
  },
  { reason: "A key of a ConfigMap.", path: ["data", "api-key"], from: "x1", want: true },
  {
    reason: "A key that says nothing, and a value that does.",
    path: ["data", "config.ini"],
    from: "user=a\npassword=hunter2",
    to: "user=a",
    want: true,
  },
  {
    reason: "Somewhere in what was added.",
    path: ["data"],
    from: { "app.yaml": "x", clientSecret: "y" },
    want: true,
  },
  {
    reason: "A variable that is no secret.",
    path: [...env("COLOR"), "value"],
    from: "red",
    to: "blue",
    want: false,
  },
  {
    reason: "The name of a Secret is none.",
    path: ["spec", "tls", "secretName"],
    from: "web-tls",
    to: "other-tls",
    want: false,
  },
  {
    reason: "Where a variable takes its secret from is none.",
    path: [...env("DB_HOST"), "valueFrom", "secretKeyRef", "name"],
    from: "db",
    to: "db2",
    want: false,
  },
  {
    reason: "A switch that is called like a secret.",
    path: ["spec", "template", "spec", "automountServiceAccountToken"],
    from: true,
    to: false,
    want: false,
  },
  { reason: "A number of replicas.", path: ["spec", "replicas"], from: 3, to: 2, want: false },
];

describe("an edit that holds a credential", () => {
  it.each(rows)("$want: $reason", ({ reason: _reason, want, ...edit }) => {
    expect(holdsSecret([edit])).toBe(want);
    expect(holdsSecret([{ path: ["metadata", "labels", "a"], from: "b" }, edit])).toBe(want);
  });
});
