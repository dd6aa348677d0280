// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { CORE_SCHEMA, load } from "js-yaml";
import { describe, expect, test } from "vitest";
import { at, isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { onViolations, parseInput, pins, sourceKinds } from "./input.ts";

const guardrails = (more: JsonObject): JsonObject => ({
  apiVersion: "parapet.fn.crossplane.io/v1beta1",
  kind: "Guardrails",
  ...more,
});
const source = (more: JsonObject, policies: JsonObject = {}): JsonObject =>
  guardrails({
    policies: {
      fromCluster: {
        matchLabels: { a: "b" },
        kinds: [{ apiVersion: "policies.kyverno.io/v1", kind: "ValidatingPolicy" }],
        ...more,
      },
      ...policies,
    },
  });
const policy = { apiVersion: "v1", kind: "X" };

const wrong: Record<string, { input: Json | undefined; problems: readonly string[] }> = {
  Nothing: { input: undefined, problems: ["apiVersion", "kind"] },
  NotAnObject: { input: ["x"], problems: ["input", "apiVersion", "kind"] },
  OtherKind: {
    input: { apiVersion: "v1", kind: "ConfigMap", policies: { inline: [policy] } },
    problems: ["apiVersion", "kind"],
  },
  NoPolicy: { input: guardrails({}), problems: ["policies"] },
  UnknownFields: {
    input: guardrails({ policies: { inline: [policy], fromFile: "x" }, onviolation: "Hold" }),
    problems: ["onviolation", "policies.fromFile"],
  },
  WrongTypes: {
    input: guardrails({ policies: { inline: "x" }, onViolation: 1, pin: {}, writeStatus: "yes" }),
    problems: ["policies.inline", "onViolation", "pin", "writeStatus"],
  },
  WrongValues: {
    input: guardrails({
      policies: { inline: [policy, "x"] },
      onViolation: "hold",
      pin: ["paused", "all"],
    }),
    problems: ["policies.inline[1]", "onViolation", "pin[1]"],
  },
  Inherited: {
    input: guardrails({ policies: { inline: [policy] }, onViolation: "constructor" }),
    problems: ["onViolation"],
  },
  EmptyLabels: {
    input: source({ matchLabels: {} }),
    problems: ["policies.fromCluster.matchLabels"],
  },
  WrongLabels: {
    input: source({ matchLabels: { a: 1 } }),
    problems: ['policies.fromCluster.matchLabels["a"]'],
  },
  NoKinds: { input: source({ kinds: [] }), problems: ["policies.fromCluster.kinds"] },
  UnknownKind: {
    input: source({ kinds: [{ apiVersion: "v1", kind: "Secret" }, { apiVersion: "v1" }] }),
    problems: ["policies.fromCluster.kinds[0]", "policies.fromCluster.kinds[1].kind"],
  },
  NamespacedWithoutNamespaces: {
    input: source({ kinds: [{ apiVersion: "v1", kind: "ConfigMap" }] }),
    problems: ["policies.fromCluster.kinds[0]"],
  },
  ExceptionsFromNowhere: {
    input: source({ kinds: [{ apiVersion: "policies.kyverno.io/v1", kind: "PolicyException" }] }),
    problems: ["policies.fromCluster.kinds[0]"],
  },
  CheckOfNothing: {
    input: guardrails({ policies: { inline: [policy] }, check: { resources: [{}], all: true } }),
    problems: ["check.all", "check.resources[0].apiVersion", "check.resources[0].kind"],
  },
  CheckByTwo: {
    input: guardrails({
      policies: { inline: [policy] },
      check: { resources: [{ ...policy, name: "", matchLabels: { a: 1 }, labels: {} }] },
    }),
    problems: [
      "check.resources[0].labels",
      'check.resources[0].matchLabels["a"]',
      "check.resources[0]",
      "check.resources[0].name",
    ],
  },
};

describe("parseInput", () => {
  test.each(Object.entries(wrong))("names every problem of %s", (_, { input, problems }) => {
    const parsed = parseInput(input);
    if (parsed.ok) throw new Error("was accepted");
    expect(parsed.problems.map(({ path }) => path)).toEqual(problems);
  });

  test("says what is allowed", () => {
    const parsed = parseInput(guardrails({ policies: { inline: [policy] }, onViolation: "hold" }));
    expect(parsed.ok ? [] : parsed.problems).toEqual([
      {
        document: "input",
        path: "onViolation",
        message: 'must be one of Hold, Fatal, Report; got "hold"',
      },
    ]);
  });

  test("fills in what is left out", () => {
    const parsed = parseInput(source({}));
    expect(parsed.ok && parsed.guardrails).toMatchObject({
      inline: [],
      exceptionNamespaces: [],
      onViolation: "Hold",
      pin: [],
      writeStatus: false,
    });
  });
});

describe("the input's CRD", () => {
  const text = readFileSync(
    new URL("../package/function/input/parapet.fn.crossplane.io_guardrails.yaml", import.meta.url),
    "utf8",
  );
  const crd: unknown = load(text, { schema: CORE_SCHEMA });
  const schema = isObject(crd)
    ? at(crd, ["spec", "versions", 0, "schema", "openAPIV3Schema"])
    : null;
  const properties = (path: readonly string[]): JsonObject => {
    const found = at(schema, [
      ...path.flatMap((key) => (key === "items" ? [key] : ["properties", key])),
      "properties",
    ]);
    return isObject(found) ? found : {};
  };
  const enumAt = (...path: readonly (string | number)[]): readonly Json[] => {
    const found = at(schema, ["properties", ...path, "enum"]);
    return isArray(found) ? found : [];
  };

  test("has exactly the fields that the parser takes", () => {
    const places: readonly (readonly [readonly string[], (key: string) => JsonObject])[] = [
      [[], (key) => guardrails({ [key]: null })],
      [
        ["check", "resources", "items"],
        (key) => guardrails({ check: { resources: [{ [key]: null }] } }),
      ],
      [["policies"], (key) => guardrails({ policies: { [key]: null } })],
      [
        ["policies", "fromCluster"],
        (key) => guardrails({ policies: { fromCluster: { [key]: null } } }),
      ],
    ];
    for (const [path, inputWith] of places) {
      const keys = Object.keys(properties(path));
      expect(keys.length).toBeGreaterThan(2);
      for (const key of keys) expect(unknownFields(inputWith(key))).toEqual([]);
      const [allowed] = unknownFields(inputWith("somethingElse"));
      for (const key of (allowed ?? "").split("allowed are ")[1]?.split(", ") ?? []) {
        expect(keys).toContain(key);
      }
    }
  });

  test("allows exactly the values that the parser takes", () => {
    expect(enumAt("onViolation")).toEqual([...onViolations]);
    expect(enumAt("pin", "items")).toEqual([...pins]);
    const kinds = ["policies", "properties", "fromCluster", "properties", "kinds", "items"];
    const listed = at(schema, ["properties", ...kinds, "properties", "kind", "enum"]);
    const allowed = new Set<Json>(Object.keys(sourceKinds).map((name) => name.split(" ")[1] ?? ""));
    expect(new Set(isArray(listed) ? listed : [])).toEqual(allowed);
  });
});

function unknownFields(input: JsonObject): readonly string[] {
  const parsed = parseInput(input);
  if (parsed.ok) return [];
  return parsed.problems
    .map(({ message }) => message)
    .filter((each) => each.includes("is not a field"));
}
