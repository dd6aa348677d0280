// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { at, parseJson, textAt, type JsonObject } from "#policy/json";
import {
  bucket,
  composite,
  guardrails,
  makeCaller,
  noPublic,
  validating,
  type TestRequest,
} from "#test/support/run-function";
import { composedFieldManager } from "./ownership.ts";

// The record of what was applied last, where it is kept: drift of a field that must not change is repaired, and a forbidden
// change that comes together with an edit of the same field is held like any other.

const immutable = validating(
  "region-stays",
  "request.operation == 'CREATE' || object.spec.forProvider.region == oldObject.spec.forProvider.region",
);
const held = "parapet.dev/held";

const run = (request: TestRequest) => {
  const { response } = makeCaller()(request);
  const object = response.desired?.resources["a"]?.resource ?? {};
  const record = textAt(object, ["metadata", "annotations", held]);
  const condition = response.conditions.find(({ type }) => type === "PolicyCompliant");
  return {
    reason: condition?.reason,
    message: condition?.message ?? "",
    spec: at(object, ["spec", "forProvider"]),
    record: record === "" ? undefined : parseJson(record),
    recordText: record,
  };
};

/** What exists: `ours` are the fields that Crossplane still owns; all else was written by somebody with kubectl. */
function live(
  forProvider: JsonObject,
  ours: readonly string[],
  record: { readonly text: string; readonly ours: boolean },
): JsonObject {
  const fields = Object.fromEntries(ours.map((key) => [`f:${key}`, {}]));
  const annotation = record.ours ? { "f:annotations": { [`f:${held}`]: {} } } : {};
  const object = bucket(forProvider);
  return {
    ...object,
    metadata: {
      name: "store-x",
      namespace: "team-a",
      uid: "u",
      annotations: { [held]: record.text },
      managedFields: [
        {
          manager: composedFieldManager(composite()),
          operation: "Apply",
          fieldsV1: { "f:metadata": annotation, "f:spec": { "f:forProvider": fields } },
        },
        { manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:spec": {} } },
      ],
    },
  };
}

const applied = (input: JsonObject, forProvider: JsonObject = {}) =>
  run({ input, desired: { a: bucket(forProvider) } });

describe("fields that must not change", () => {
  const input = guardrails([immutable]);
  const first = applied(input, { acl: "private" });
  const record = { text: first.recordText, ours: true };

  test("have a record from the creation on", () => {
    expect(first.reason).toBe("Compliant");
    expect(first.record).toEqual({ state: bucket({ acl: "private" }) });
  });

  test("have none where no policy compares with the old object", () => {
    expect(applied(guardrails([noPublic])).record).toBe(undefined);
  });

  test("are repaired after an edit, without a violation and without an end of the pipeline", () => {
    const edited = live({ region: "edited", acl: "private" }, ["acl"], record);
    const again = run({
      input,
      desired: { a: bucket({ acl: "private" }) },
      observed: { a: edited },
    });
    expect([again.reason, again.spec]).toEqual([
      "Compliant",
      { region: "eu-west-1", acl: "private" },
    ]);
  });

  test("are repaired while another field changes as it may", () => {
    const edited = live({ region: "edited", acl: "private" }, ["acl"], record);
    const other = run({ input, desired: { a: bucket({ acl: "log" }) }, observed: { a: edited } });
    expect([other.reason, other.spec]).toEqual(["Compliant", { region: "eu-west-1", acl: "log" }]);
  });

  test("stay when the composite asks for another value, also after an edit to that very value", () => {
    for (const region of ["eu-west-1", "eu-west-2"]) {
      const edited = live({ region, acl: "private" }, ["acl"], record);
      const moved = run({
        input,
        desired: { a: bucket({ region: "eu-west-2", acl: "private" }) },
        observed: { a: edited },
      });
      expect([moved.reason, moved.spec]).toEqual(["Held", { region: "eu-west-1", acl: "private" }]);
      expect(moved.message).toContain("held back: spec.forProvider.region");
    }
  });

  test("are not taken from a record that somebody else wrote", () => {
    const forged = first.recordText.replaceAll("eu-west-1", "eu-west-2");
    const edited = live({ region: "eu-west-2", acl: "private" }, ["acl"], {
      text: forged,
      ours: false,
    });
    const asked = run({
      input,
      desired: { a: bucket({ region: "eu-west-2", acl: "private" }) },
      observed: { a: edited },
    });
    // Nothing says what was applied: the object as it is passes for the old one.
    expect(asked.record).toEqual({ state: bucket({ region: "eu-west-2", acl: "private" }) });
  });
});

describe("with a record of everything", () => {
  const input = guardrails([noPublic], { recordApplied: true });
  const first = applied(input, { acl: "private" });
  const record = { text: first.recordText, ours: true };

  test("a forbidden change that comes with an edit of the same field is held", () => {
    const edited = live({ region: "eu-west-1", acl: "edited" }, ["region"], record);
    const asked = run({
      input,
      desired: { a: bucket({ acl: "public", tags: { new: "yes" } }) },
      observed: { a: edited },
    });
    expect([asked.reason, asked.spec]).toEqual(["Held", { region: "eu-west-1", acl: "private" }]);
    expect(asked.record).toEqual({
      state: bucket({ acl: "private" }),
      held: [
        { path: ["spec", "forProvider", "acl"], value: "private" },
        { path: ["spec", "forProvider", "tags"] },
      ],
    });
    const without = run({
      input: guardrails([noPublic]),
      desired: { a: bucket({ acl: "public" }) },
      observed: {
        a: live({ region: "eu-west-1", acl: "edited" }, ["region"], { text: "", ours: false }),
      },
    });
    expect(without.message).toContain("recorded nowhere");
  });

  test("states no owners, also where the object came without any, as files do", () => {
    const { recordText } = applied(input, { acl: "private" });
    const observed = { a: live({ acl: "private" }, ["acl"], { text: recordText, ours: true }) };
    const desired = { a: bucket({ acl: "public" }) };
    const { response } = makeCaller()({ input, desired, observed });
    const sent = response.desired?.resources["a"]?.resource;
    expect(at(sent, ["spec", "forProvider", "acl"])).toBe("private");
    expect(Object.keys(at(sent, ["metadata"]) ?? {})).toEqual(["annotations"]);
  });

  test("stays the same from call to call while the change is held", () => {
    const request = { input, desired: { a: bucket({ acl: "public" }) } };
    const one = run({
      ...request,
      observed: { a: live({ region: "eu-west-1", acl: "private" }, ["acl", "region"], record) },
    });
    const next = { text: one.recordText, ours: true };
    const two = run({
      ...request,
      observed: { a: live({ acl: "private", region: "eu-west-1" }, ["acl", "region"], next) },
    });
    expect(two.recordText).toBe(one.recordText);
    const back = run({
      input,
      desired: { a: bucket({ acl: "private" }) },
      observed: { a: live({ region: "eu-west-1", acl: "private" }, ["acl", "region"], next) },
    });
    expect([back.reason, back.recordText]).toEqual(["Compliant", first.recordText]);
  });

  test("a dropped field is held too", () => {
    const exists = live({ region: "eu-west-1", acl: "private" }, ["acl", "region"], record);
    const never = guardrails([validating("acl", "has(object.spec.forProvider.acl)")], {
      recordApplied: true,
    });
    const asked = run({ input: never, desired: { a: bucket() }, observed: { a: exists } });
    expect([asked.reason, asked.spec]).toEqual(["Held", { region: "eu-west-1", acl: "private" }]);
  });

  test("a policy that is tightened later is reported, and the state that it forbids repaired all the same", () => {
    const open = guardrails([validating("any", "true")], { recordApplied: true });
    const before = applied(open, { acl: "public" });
    const edited = live({ region: "edited", acl: "edited" }, [], {
      text: before.recordText,
      ours: true,
    });
    const told = run({ input, desired: { a: bucket({ acl: "public" }) }, observed: { a: edited } });
    expect([told.reason, told.spec]).toEqual(["Violated", { region: "eu-west-1", acl: "public" }]);
  });

  test("has nothing of a Secret", () => {
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s" },
      stringData: { k: "v" },
    };
    expect(run({ input, desired: { a: secret } }).record).toBe(undefined);
  });
});

describe("violations that were there before", () => {
  const classic: JsonObject = {
    apiVersion: "kyverno.io/v1",
    kind: "ClusterPolicy",
    metadata: { name: "classic" },
    spec: {
      validationFailureAction: "Enforce",
      rules: [
        {
          name: "private",
          match: { any: [{ resources: { kinds: ["Bucket"] } }] },
          validate: {
            message: "acl must be private",
            pattern: { spec: { forProvider: { acl: "private" } } },
          },
        },
      ],
    },
  };
  const none = { text: "", ours: false };
  const asked = (policy: JsonObject, ours: readonly string[], more: JsonObject = {}) =>
    run({
      input: guardrails([policy]),
      desired: { a: bucket({ acl: "public", ...more }) },
      observed: { a: live({ region: "eu-west-1", acl: "public" }, ours, none) },
    });

  test("of a classic policy are told, and let other changes through as at admission", () => {
    const told = asked(classic, ["acl", "region"], { tags: { a: "b" } });
    expect([told.reason, told.spec]).toEqual([
      "Reported",
      { region: "eu-west-1", acl: "public", tags: { a: "b" } },
    ]);
    expect(told.message).toContain("acl must be private");
  });

  test.each([
    ["a classic policy", classic],
    ["a CEL policy", noPublic],
  ])("and were written by somebody else are not made Crossplane's own: %s", (_, policy) => {
    const held_ = asked(policy, ["region"]);
    expect([held_.reason, held_.spec]).toEqual(["Held", { region: "eu-west-1" }]);
    expect(held_.message).toContain("held back: spec.forProvider.acl");
  });
});
