// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { digestOf } from "#function/approvals";
import { readComposite } from "#function/composite";
import { diffOf } from "./composed.ts";

test("the diff of a Secret names its keys and shows no values", () => {
  const composite = readComposite({
    apiVersion: "example.org/v1",
    kind: "Box",
    metadata: { name: "b" },
  });
  const secret = (key: string) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "s" },
    data: { key },
  });
  const digest = digestOf(composite, "keys", secret("aHVudGVyMg=="));
  const question = { composite, resource: "keys", digest };
  const diff = diffOf(secret("aHVudGVyMg=="), secret("b2xk"), question);
  expect(diff).toEqual({
    ok: true,
    value: [{ path: "data.key", before: "(not shown)", after: "(not shown)" }],
  });
});
