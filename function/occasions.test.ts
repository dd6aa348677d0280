// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { onOccasion } from "./occasions.ts";

const cel = (evaluation: JsonObject): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  spec: { evaluation },
});
const classic = (spec: JsonObject): JsonObject => ({
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  spec,
});
const targets = { name: "t", mutate: { targets: [{ kind: "Deployment" }] } };
const own = { name: "o", mutate: { patchesJson6902: "[]" } };

const rows: readonly (readonly [string, JsonObject, boolean, boolean])[] = [
  ["a policy that says nothing", cel({}), true, true],
  ["turned off at admission", cel({ admission: { enabled: false } }), false, true],
  ["turned off in the background", cel({ background: { enabled: false } }), true, false],
  ["classic, turned off at admission", classic({ admission: false, rules: [own] }), false, true],
  ["classic, turned off in the background", classic({ background: false }), true, false],
  ["mutating what exists", cel({ mutateExisting: { enabled: true } }), false, true],
  ["classic with targets only", classic({ rules: [targets] }), false, true],
  [
    "an admission policy, which has no such fields",
    { ...cel({}), apiVersion: "admissionregistration.k8s.io/v1", spec: { background: false } },
    true,
    true,
  ],
];

test.each(rows)("%s", (_, document, admission, background) => {
  expect(onOccasion([document], "admission")).toEqual(admission ? [document] : []);
  expect(onOccasion([document], "background")).toEqual(background ? [document] : []);
});

test("of a classic policy the rules with targets are left out, and the others stay", () => {
  const [left] = onOccasion([classic({ rules: [targets, own] })], "admission");
  expect(left).toEqual(classic({ rules: [own] }));
});
