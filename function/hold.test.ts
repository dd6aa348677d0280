// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { at as at_, isObject, parseJson, textAt, type Json, type JsonObject } from "#policy/json";
import { effective } from "./effective.ts";
import { heldAnnotation } from "./canonical.ts";
import { hold, type Held } from "./hold.ts";
import { ownershipOf } from "./ownership.ts";

// A bucket whose policy says: acl must not be public, and size (where given) must be small. `live` is what exists,
// `ours` which of its fields Crossplane still owns; all else was written by somebody with kubectl.

const manager = "apiextensions.crossplane.io/composed/x";

type Fields = Readonly<Record<string, Json>>;
type Record_ = readonly { path: readonly string[]; value?: Json }[];

type Case = {
  reason: string;
  live: Fields;
  ours: readonly string[];
  record?: { entries: Record_; ours: boolean; text?: string };
  wanted: Fields;
  unjudged?: boolean;
  want:
    | { kind: "unchanged" }
    | { kind: "held"; fields: Fields; paths: readonly string[]; record: Record_ }
    | { kind: "impossible" };
};

const at = (key: string): readonly string[] => ["spec", key];

const cases: Record<string, Case> = {
  PendingChange: {
    reason: "The change of an owned field is held, all else goes on.",
    live: { acl: "private", region: "a" },
    ours: ["acl", "region"],
    wanted: { acl: "public", region: "a", tags: "new" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a", tags: "new" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  DriftWhileHeld: {
    reason: "A field that somebody else wrote over is repaired while another is held.",
    live: { acl: "private", region: "edited" },
    ours: ["acl"],
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  RemovedWhileHeld: {
    reason: "A field that somebody removed comes back while another is held.",
    live: { acl: "private" },
    ours: ["acl"],
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  HeldFieldEdited: {
    reason: "The held field itself is restored from the record after an edit took it over.",
    live: { acl: "edited", region: "a" },
    ours: ["region"],
    record: { entries: [{ path: at("acl"), value: "private" }], ours: true },
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  HeldFieldRemoved: {
    reason: "The same when the held field was removed.",
    live: { region: "a" },
    ours: ["region"],
    record: { entries: [{ path: at("acl"), value: "private" }], ours: true },
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  RecordEdited: {
    reason:
      "An edited record is not believed; the field is still owned, so its value is what was applied.",
    live: { acl: "private", region: "a" },
    ours: ["acl", "region"],
    record: { entries: [{ path: at("acl"), value: "forged" }], ours: false },
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  RecordAndFieldEdited: {
    reason: "With the record and the held field both taken over, nothing says what was applied.",
    live: { acl: "edited", region: "a" },
    ours: ["region"],
    record: { entries: [{ path: at("acl"), value: "forged" }], ours: false },
    wanted: { acl: "public", region: "a" },
    want: { kind: "impossible" },
  },
  TightenedPolicy: {
    reason:
      "The desired state did not change, only the policy: it is sent as it is, nothing is held.",
    live: { acl: "public", region: "a" },
    ours: ["acl", "region"],
    wanted: { acl: "public", region: "a" },
    want: { kind: "unchanged" },
  },
  TightenedPolicyAndDrift: {
    reason: "And drift of another field is still repaired.",
    live: { acl: "public", region: "edited" },
    ours: ["acl"],
    wanted: { acl: "public", region: "a" },
    want: { kind: "unchanged" },
  },
  TightenedPolicyAndChange: {
    reason: "An old violation does not let another change through, nor does it end the pipeline.",
    live: { acl: "public", region: "a" },
    ours: ["acl", "region"],
    wanted: { acl: "public", region: "b" },
    want: {
      kind: "held",
      fields: { acl: "public", region: "a" },
      paths: ["spec.region"],
      record: [{ path: at("region"), value: "a" }],
    },
  },
  PendingRemoval: {
    reason: "A field that the new desired state drops is held as well.",
    live: { acl: "private", size: 1 },
    ours: ["acl", "size"],
    wanted: { acl: "public" },
    want: {
      kind: "held",
      fields: { acl: "private", size: 1 },
      paths: ["spec.acl", "spec.size"],
      record: [
        { path: at("acl"), value: "private" },
        { path: at("size"), value: 1 },
      ],
    },
  },
  NewField: {
    reason: "A new field that breaks the policy is left out and recorded as absent.",
    live: { acl: "private" },
    ours: ["acl"],
    wanted: { acl: "private", size: 99 },
    want: {
      kind: "held",
      fields: { acl: "private" },
      paths: ["spec.size"],
      record: [{ path: at("size") }],
    },
  },
  AddedAtHeldPath: {
    reason: "Somebody who fills a path that is held back cannot end the pipeline with it.",
    live: { acl: "private", size: 2 },
    ours: ["acl"],
    record: { entries: [{ path: at("size") }], ours: true },
    wanted: { acl: "private", size: 99 },
    want: {
      kind: "held",
      fields: { acl: "private" },
      paths: ["spec.size"],
      record: [{ path: at("size") }],
    },
  },
  ChangeTakenBack: {
    reason: "When the composite takes one of two held changes back, only the other stays held.",
    live: { acl: "private", region: "a" },
    ours: ["acl", "region"],
    record: {
      entries: [
        { path: at("acl"), value: "private" },
        { path: at("region"), value: "a" },
      ],
      ours: true,
    },
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl"), value: "private" }],
    },
  },
  EditTogetherWithChange: {
    reason:
      "Taking a field over before asking for a forbidden value must not let that value through.",
    live: { acl: "edited" },
    ours: [],
    wanted: { acl: "public" },
    want: { kind: "impossible" },
  },
  SameEditTogetherWithChange: {
    reason: "Nor when the edit wrote the forbidden value itself: it is not made Crossplane's own.",
    live: { acl: "public", region: "a" },
    ours: ["region"],
    wanted: { acl: "public", region: "a" },
    want: {
      kind: "held",
      fields: { region: "a" },
      paths: ["spec.acl"],
      record: [{ path: at("acl") }],
    },
  },
  NewFieldAndRemovedField: {
    reason: "Of two fields that are not live only the one that breaks the policy is left out.",
    live: { acl: "private" },
    ours: ["acl"],
    wanted: { acl: "private", size: 99, region: "a" },
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.size"],
      record: [{ path: at("size") }],
    },
  },
  PolicyCannotBeAsked: {
    reason: "Without a verdict neither changes nor new fields pass.",
    live: { acl: "private", region: "a" },
    ours: ["acl", "region"],
    wanted: { acl: "private", region: "b", tags: "new" },
    unjudged: true,
    want: {
      kind: "held",
      fields: { acl: "private", region: "a" },
      paths: ["spec.region", "spec.tags"],
      record: [{ path: at("region"), value: "a" }, { path: at("tags") }],
    },
  },
};

const object = (fields: Fields, metadata: JsonObject): JsonObject => ({
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "Bucket",
  metadata: { name: "b", ...metadata },
  spec: fields,
});

function liveObject({ live, ours, record }: Case): JsonObject {
  const owned: JsonObject = Object.fromEntries(ours.map((key) => [`f:${key}`, {}]));
  const annotations =
    record === undefined
      ? {}
      : { [heldAnnotation]: record.text ?? JSON.stringify({ held: record.entries }) };
  const annotationFields = { "f:annotations": { [`f:${heldAnnotation}`]: {} } };
  return object(live, {
    uid: "u",
    annotations,
    managedFields: [
      {
        manager,
        operation: "Apply",
        fieldsV1: { "f:metadata": record?.ours === true ? annotationFields : {}, "f:spec": owned },
      },
      { manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:spec": { "f:acl": {} } } },
    ],
  });
}

function run(each: Case): Held {
  const live = liveObject(each);
  return hold({
    wanted: object(each.wanted, {}),
    live,
    fieldManager: manager,
    last: undefined,
    unjudged: each.unjudged ?? false,
    judge: (candidate) => {
      const seen = effective(live, candidate, ownershipOf(live, manager));
      const size = isObject(seen["spec"]) ? seen["spec"]["size"] : undefined;
      const violations = new Set<string>();
      if (each.unjudged === true) violations.add("a policy cannot be asked");
      if (textAt(seen, ["spec", "acl"]) === "public") violations.add("public");
      if (typeof size === "number" && size > 10) violations.add("large");
      return violations;
    },
  });
}

describe("hold", () => {
  test.each(Object.entries(cases))("%s", (_, each) => {
    const held = run(each);
    expect(held.kind).toBe(each.want.kind);
    if (held.kind !== "held" || each.want.kind !== "held") return;
    expect(held.object["spec"]).toEqual(each.want.fields);
    expect(held.paths).toEqual(each.want.paths);
    const record = textAt(held.object, ["metadata", "annotations", heldAnnotation]);
    expect(at_(parseJson(record), ["held"])).toEqual(each.want.record);
  });

  test("the state that was sent with the record is sent again, whoever wrote over what in it", () => {
    const tightened = cases["TightenedPolicy"];
    if (tightened === undefined) throw new Error("no such case");
    const first = run(tightened);
    if (first.kind !== "unchanged") throw new Error("not unchanged");
    const record = textAt(first.object, ["metadata", "annotations", heldAnnotation]);
    const edited = { ...tightened, live: { acl: "edited", region: "a" }, ours: ["region"] };
    expect(run(edited).kind).toBe("impossible");
    const remembered = run({ ...edited, record: { entries: [], ours: true, text: record } });
    expect(remembered.kind).toBe("unchanged");
    expect(run({ ...edited, record: { entries: [], ours: false, text: record } }).kind).toBe(
      "impossible",
    );
    // With a new field that breaks the policy too, that field waits and the rest is sent.
    const more = { ...edited, wanted: { acl: "public", region: "a", size: 99 } };
    const held = run({ ...more, record: { entries: [], ours: true, text: record } });
    expect(held).toMatchObject({ kind: "held", paths: ["spec.size"] });
    expect(held.kind === "held" && held.object["spec"]).toEqual({ acl: "public", region: "a" });
  });

  test("a file without managedFields holds every difference", () => {
    const live = object({ acl: "private" }, {});
    const held = hold({
      wanted: object({ acl: "public" }, {}),
      live,
      fieldManager: manager,
      last: undefined,
      unjudged: false,
      judge: (candidate) =>
        new Set(textAt(candidate, ["spec", "acl"]) === "public" ? ["public"] : []),
    });
    expect(held).toMatchObject({ kind: "held", paths: ["spec.acl"] });
  });

  test("the values of a Secret are held without a record", () => {
    const secret = (value: string): JsonObject => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "s" },
      data: { key: value },
    });
    const held = hold({
      wanted: secret("bmV3"),
      live: secret("b2xk"),
      fieldManager: manager,
      last: undefined,
      unjudged: false,
      judge: (candidate) => new Set(textAt(candidate, ["data", "key"]) === "bmV3" ? ["x"] : []),
    });
    expect(held).toEqual({ kind: "held", object: secret("b2xk"), paths: ["data.key"] });
  });
});
