// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { difference, findDrift, firstBaseline, nextBaseline } from "#responder/drift/drift";
import { makeTrust } from "#responder/drift/watch";
import { pathText } from "#responder/edit";

const crossplane = "apiextensions.crossplane.io/composed/0123";
const trust = makeTrust(["provider-kubernetes"]);

/** An object with its managers, as the API server keeps them. */
function object(
  parts: JsonObject,
  managers: Readonly<Record<string, JsonObject>>,
  time = "2026-11-22T10:00:00Z",
): JsonObject {
  const managedFields = Object.entries(managers).map(([manager, fieldsV1]) => ({
    manager,
    operation: manager === crossplane ? "Apply" : "Update",
    apiVersion: "v1",
    time,
    fieldsType: "FieldsV1",
    fieldsV1,
  }));
  return { ...parts, metadata: { name: "note", namespace: "shop", managedFields } };
}

const owned = { "f:data": { ".": {}, "f:text": {} } };
const composed = object({ data: { text: "hello" } }, { [crossplane]: owned });
const envOf = (...names: readonly string[]): JsonObject => ({
  spec: { containers: [{ name: "web", env: names.map((name) => ({ name, value: "1" })) }] },
});
const envFields = (...names: readonly string[]): JsonObject => ({
  "f:spec": {
    "f:containers": {
      'k:{"name":"web"}': {
        ".": {},
        "f:name": {},
        "f:env": Object.fromEntries(
          names.map((name) => [`k:{"name":"${name}"}`, { ".": {}, "f:name": {}, "f:value": {} }]),
        ),
      },
    },
  },
});
const addedEnv = (...names: readonly string[]): JsonObject => ({
  "f:spec": {
    "f:containers": {
      'k:{"name":"web"}': {
        "f:env": Object.fromEntries(
          names.map((name) => [`k:{"name":"${name}"}`, { ".": {}, "f:name": {}, "f:value": {} }]),
        ),
      },
    },
  },
});

const changes = [
  {
    reason:
      "An extra ConfigMap key is owned by nobody that puts it back: server-side apply leaves it.",
    before: composed,
    after: object(
      { data: { text: "hello", evil: "1" } },
      { [crossplane]: owned, "kubectl-edit": { "f:data": { "f:evil": {} } } },
    ),
    want: ["gap data.evil kubectl-edit"],
  },
  {
    reason: "A value that Crossplane applied is put back by Crossplane; we must not race it.",
    before: composed,
    after: object(
      { data: { text: "changed" } },
      { [crossplane]: { "f:data": { ".": {} } }, "kubectl-edit": { "f:data": { "f:text": {} } } },
    ),
    want: ["ownerHeals data.text kubectl-edit"],
  },
  {
    reason: "A new field in a write of Crossplane itself is what it composes now.",
    before: composed,
    after: object(
      { data: { text: "hello", more: "1" } },
      { [crossplane]: { "f:data": { ".": {}, "f:text": {}, "f:more": {} } } },
      "2026-11-22T10:01:00Z",
    ),
    want: [],
  },
  {
    reason: "A default or a webhook's field comes with the trusted write and is held by nobody.",
    before: composed,
    after: object(
      { data: { text: "new" }, immutable: false },
      { [crossplane]: owned },
      "2026-11-22T10:01:00Z",
    ),
    want: [],
  },
  {
    reason: "Wiped managedFields hide who wrote: unknown is not trusted.",
    before: object({ data: { text: "hello" } }, { [crossplane]: owned }),
    after: object({ data: { text: "hello", evil: "1" } }, { [crossplane]: owned }),
    want: ["gap data.evil "],
  },
  {
    reason: "A status change is no drift.",
    before: composed,
    after: object({ data: { text: "hello" }, status: { ready: true } }, { [crossplane]: owned }),
    want: [],
  },
  {
    reason: "The configured managers are trusted too.",
    before: composed,
    after: object(
      { data: { text: "hello", late: "1" } },
      { [crossplane]: owned, "provider-kubernetes": { "f:data": { "f:late": {} } } },
    ),
    want: [],
  },
  {
    reason: "A paused annotation switches the owner off without a trace in any field it owns.",
    before: composed,
    after: {
      ...object({ data: { text: "hello" } }, { [crossplane]: owned }),
      metadata: {
        name: "note",
        namespace: "shop",
        annotations: { "crossplane.io/paused": "true" },
        managedFields: [
          { manager: crossplane, operation: "Apply", time: "", fieldsV1: owned },
          {
            manager: "kubectl-annotate",
            operation: "Update",
            time: "",
            fieldsV1: {
              "f:metadata": { "f:annotations": { ".": {}, "f:crossplane.io/paused": {} } },
            },
          },
        ],
      },
    },
    want: ['gap metadata.annotations["crossplane.io/paused"] kubectl-annotate'],
  },
  {
    reason: "An environment variable added to a container is one difference, found by its name.",
    before: object(envOf("A"), { [crossplane]: envFields("A") }),
    after: object(envOf("EVIL", "A"), { [crossplane]: envFields("A"), ui: addedEnv("EVIL") }),
    want: ["gap spec.containers[name=web].env[name=EVIL] ui"],
  },
] as const;

describe("drift of a composed object", () => {
  it.each(changes)("$reason", ({ before, after, want }) => {
    const baseline = nextBaseline(firstBaseline(before, trust), before, after, trust);
    const found = findDrift(baseline, after, before, trust);
    expect(found.map((one) => `${one.verdict} ${pathText(one.edit.path)} ${one.manager}`)).toEqual(
      want,
    );
  });

  it("is not laundered by the owner's next write", () => {
    const drifted = object(
      { data: { text: "hello", evil: "1" } },
      { [crossplane]: owned, "kubectl-edit": { "f:data": { "f:evil": {} } } },
    );
    const later = object(
      { data: { text: "new", evil: "1" } },
      { [crossplane]: owned, "kubectl-edit": { "f:data": { "f:evil": {} } } },
      "2026-11-22T10:05:00Z",
    );
    const first = firstBaseline(composed, trust);
    const second = nextBaseline(first, composed, drifted, trust);
    const third = nextBaseline(second, drifted, later, trust);
    expect(difference(later, third).map((edit) => pathText(edit.path))).toEqual(["data.evil"]);
  });

  it("that is older than we are shows by its manager", () => {
    const drifted = object(envOf("EVIL", "A"), {
      [crossplane]: envFields("A"),
      ui: addedEnv("EVIL"),
    });
    const baseline = firstBaseline(drifted, trust);
    const found = findDrift(baseline, drifted, undefined, trust);
    expect(found.map((one) => pathText(one.edit.path))).toEqual([
      "spec.containers[name=web].env[name=EVIL]",
    ]);
    expect(found[0]?.edit.from).toEqual({ name: "EVIL", value: "1" });
    expect(found[0]?.edit.to).toBeUndefined();
  });
});
