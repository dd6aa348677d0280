// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject } from "#policy/json";
import { makeJson, makeRandom, mutate, pod } from "#policy/kyverno/classic/testing";
import type { RunOptions } from "#policy/kyverno/classic/testing";
import type { ListQuery } from "#policy/world";

const mutateRule = (block: JsonObject, more: JsonObject = {}): JsonObject => ({
  name: "r",
  match: { any: [{ resources: { kinds: ["Pod"] } }] },
  ...more,
  mutate: block,
});

const merge = (patch: Json): JsonObject => mutateRule({ patchStrategicMerge: patch });
const patchSpec = (patch: Json): JsonObject => merge({ spec: patch });

const unchanged = "skip: no patches applied";
const mutated = "pass: mutated Pod/pod in namespace default";

const said = (rule: JsonObject, object: JsonObject, options: RunOptions = {}): string => {
  const [result] = mutate([rule], object, options).results;
  return result === undefined ? "nothing" : `${result.result}: ${result.message}`;
};

type Row = {
  readonly reason: string;
  readonly rule: JsonObject;
  readonly spec: JsonObject;
  /** The spec afterwards; left out when it stays. */
  readonly after?: JsonObject;
  readonly want?: string;
};

function check(rows: readonly Row[]): void {
  test.each(rows)("$reason", ({ rule, spec, after, want }) => {
    const { object } = mutate([rule], pod(spec));
    expect(object["spec"]).toEqual(after ?? spec);
    expect(said(rule, pod(spec))).toBe(want ?? (after === undefined ? unchanged : mutated));
  });
}

const c = (name: string, more: JsonObject = {}): JsonObject => ({ name, ...more });

describe("patchStrategicMerge", () => {
  check([
    {
      reason: "adds and replaces",
      rule: patchSpec({ a: 2, b: 3 }),
      spec: { a: 1 },
      after: { a: 2, b: 3 },
    },
    { reason: "null removes", rule: patchSpec({ a: null }), spec: { a: 1, b: 1 }, after: { b: 1 } },
    { reason: "what is there already is no change", rule: patchSpec({ a: 1 }), spec: { a: 1 } },
    {
      reason: "containers merge by name, new ones first",
      rule: patchSpec({ containers: [c("b", { tty: true }), c("n")] }),
      spec: { containers: [c("a"), c("b")] },
      after: { containers: [c("b", { tty: true }), c("n"), c("a")] },
    },
    {
      reason: "lists without keys are replaced",
      rule: patchSpec({ containers: [c("a", { args: ["y"] })] }),
      spec: { containers: [c("a", { args: ["x", "z"] })] },
      after: { containers: [c("a", { args: ["y"] })] },
    },
  ]);
});

describe("anchors of a patch", () => {
  check([
    {
      reason: "+() sets what is not there",
      rule: patchSpec({ "+(a)": 1 }),
      spec: {},
      after: { a: 1 },
    },
    { reason: "+() leaves what is there", rule: patchSpec({ "+(a)": 1 }), spec: { a: 2 } },
    {
      reason: "+() with a map leaves the map as it is",
      rule: patchSpec({ "+(a)": { b: 1 } }),
      spec: { a: { c: 1 } },
    },
    {
      reason: "() holds",
      rule: patchSpec({ "(a)": "1?", b: 1 }),
      spec: { a: "12" },
      after: { a: "12", b: 1 },
    },
    {
      reason: "() does not hold: nothing is patched",
      rule: patchSpec({ "(a)": "1?", b: 1 }),
      spec: { a: "2" },
    },
    { reason: "() on what is not there", rule: patchSpec({ "(a)": "*", b: 1 }), spec: {} },
    {
      reason: "() in a list: the items that it fits",
      rule: patchSpec({ containers: [{ "(image)": "x*", tty: true }] }),
      spec: { containers: [c("a", { image: "x1" }), c("b", { image: "y" })] },
      after: { containers: [c("a", { image: "x1", tty: true }), c("b", { image: "y" })] },
    },
    {
      reason:
        "() by name with a wildcard and +() inside, once for all: what it found in the first item it sets in the next, as the reference does",
      rule: patchSpec({ containers: [{ "(name)": "*", "+(tty)": true }] }),
      spec: { containers: [c("a"), c("b", { tty: false })] },
      after: { containers: [c("a", { tty: true }), c("b", { tty: true })] },
    },
    {
      reason: "() in a list that fits nothing",
      rule: patchSpec({ containers: [{ "(image)": "x*", tty: true }] }),
      spec: { containers: [c("b", { image: "y" })] },
    },
    {
      reason: "<() in a list decides about the whole patch",
      rule: patchSpec({ containers: [{ "<(image)": "x*" }], b: 1 }),
      spec: { containers: [c("a", { image: "y" }), c("b", { image: "x" })] },
      after: { containers: [c("a", { image: "y" }), c("b", { image: "x" })], b: 1 },
    },
    {
      reason: "<() that no item fits",
      rule: patchSpec({ containers: [{ "<(image)": "x*" }], b: 1 }),
      spec: { containers: [c("a", { image: "y" })] },
    },
    {
      reason: "a list where the patch wants a map: error",
      rule: patchSpec({ a: { b: 1 } }),
      spec: { a: [1] },
      want: "error: failed to patch resource: wrong node kind at /spec/a: expected list but got map",
    },
  ]);
});

describe("patchesJson6902", () => {
  const patch = (text: string): JsonObject => mutateRule({ patchesJson6902: text });
  check([
    {
      reason: "YAML",
      rule: patch("- {op: add, path: /spec/a, value: 1}"),
      spec: {},
      after: { a: 1 },
    },
    {
      reason: "JSON",
      rule: patch('[{"op":"replace","path":"/spec/a","value":2}]'),
      spec: { a: 1 },
      after: { a: 2 },
    },
    {
      reason: "the way is made",
      rule: patch("- {op: add, path: /spec/a/b, value: 1}"),
      spec: {},
      after: { a: { b: 1 } },
    },
    {
      reason: "- appends",
      rule: patch("- {op: add, path: /spec/a/-, value: 2}"),
      spec: { a: [1] },
      after: { a: [1, 2] },
    },
    {
      reason: "removing what is not there",
      rule: patch("- {op: remove, path: /spec/a}"),
      spec: {},
    },
    {
      reason: "variables in it",
      rule: patch('- {op: add, path: /spec/a, value: "{{request.object.metadata.name}}"}'),
      spec: {},
      after: { a: "pod" },
    },
  ]);

  test("what cannot be applied is an error", () => {
    expect(said(patch("- {op: replace, path: /spec/a, value: 1}"), pod())).toContain(
      "error: failed to patch resource: ",
    );
    expect(said(patch("a: {{request.object.kind}}"), pod())).toBe(
      "error: failed to patch resource: failed to decode patch: must be a list of operations",
    );
  });
});

describe("foreach", () => {
  const loop = (...entries: readonly Json[]): JsonObject => mutateRule({ foreach: entries });
  const list = "request.object.spec.l";
  const append = {
    patchesJson6902: '- {op: add, path: /spec/o/-, value: "{{element}}{{elementIndex}}"}',
  };
  check([
    {
      reason: "JSON patches go from first to last",
      rule: loop({ list, ...append }),
      spec: { l: ["a", "b"], o: [] },
      after: { l: ["a", "b"], o: ["a0", "b1"] },
    },
    {
      reason: "descending when told so",
      rule: loop({ list, order: "Descending", ...append }),
      spec: { l: ["a", "b"], o: [] },
      after: { l: ["a", "b"], o: ["b1", "a0"] },
    },
    {
      reason: "merges from last to first, since new items go first",
      rule: loop({
        list,
        patchStrategicMerge: { spec: { containers: [{ name: "{{element}}" }] } },
      }),
      spec: { l: ["a", "b"] },
      after: { l: ["a", "b"], containers: [c("a"), c("b")] },
    },
    {
      reason: "preconditions choose elements",
      rule: loop({
        list,
        preconditions: { all: [{ key: "{{element}}", operator: "Equals", value: "b" }] },
        ...append,
      }),
      spec: { l: ["a", "b"], o: [] },
      after: { l: ["a", "b"], o: ["b1"] },
    },
    {
      reason: "no element: none processed",
      rule: loop({ list, ...append }),
      spec: { l: [], o: [] },
      want: "skip: 0 elements processed",
    },
    {
      reason: "loops in loops",
      rule: loop({
        list,
        foreach: [
          {
            list: "element",
            patchesJson6902: '- {op: add, path: /spec/o/-, value: "{{elementIndex0}}{{element1}}"}',
          },
        ],
      }),
      spec: { l: [["a"], ["b"]], o: [] },
      after: { l: [["a"], ["b"]], o: ["0a", "1b"] },
    },
  ]);

  test("an error of one element leaves nothing of the others", () => {
    const patchesJson6902 =
      '[{"op":"test","path":"/spec/l/0","value":"{{element}}"},{"op":"add","path":"/spec/a","value":1}]';
    const object = pod({ l: ["a", "b"] });
    const { results, object: after } = mutate([loop({ list, patchesJson6902 })], object);
    expect(results[0]?.result).toBe("error");
    expect(after).toBe(object);
  });

  test("a loop that would not end in time is an error", () => {
    const containers = Array.from({ length: 20_000 }, (_, index) => c(`c${index}`));
    const rule = loop({
      list: "request.object.spec.containers",
      patchesJson6902: "- {op: test, path: /kind, value: Pod}",
    });
    expect(said(rule, pod({ containers }))).toContain("would visit more than 20000 elements");
  });
});

describe("targets", () => {
  const target = (name: string, more: JsonObject = {}): JsonObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default", ...more },
    data: {},
  });
  const knows = {
    list: ({ resource }: ListQuery) => ({
      kind: "found" as const,
      value: {
        items: resource === "configmaps" ? [target("a"), target("b", { labels: { on: "y" } })] : [],
      },
    }),
  };
  const rule = (stated: JsonObject): JsonObject =>
    mutateRule({
      targets: [{ apiVersion: "v1", kind: "ConfigMap", namespace: "default", ...stated }],
      patchStrategicMerge: {
        data: { by: "{{request.object.metadata.name}}", was: "{{target.metadata.name}}" },
      },
    });
  const changed = (stated: JsonObject): readonly (Json | undefined)[] =>
    (mutate([rule(stated)], pod(), { knows }).targets ?? []).map(({ after }) =>
      at(after, ["data"]),
    );

  test("one by name", () => {
    expect(changed({ name: "a" })).toEqual([{ by: "pod", was: "a" }]);
  });

  test("several by wildcard", () => {
    expect(changed({ name: "*" })).toEqual([
      { by: "pod", was: "a" },
      { by: "pod", was: "b" },
    ]);
  });

  test("by label", () => {
    expect(changed({ selector: { matchLabels: { on: "y" } } })).toEqual([{ by: "pod", was: "b" }]);
  });

  test("the trigger stays as it is", () => {
    const trigger = pod({ a: 1 });
    expect(mutate([rule({ name: "a" })], trigger, { knows }).object).toBe(trigger);
  });

  test("without a view of the cluster it is an error that says so", () => {
    const [result] = mutate([rule({ name: "a" })], pod()).results;
    expect(result).toMatchObject({ result: "error" });
    expect(result?.unsupported).toContain("not known here");
  });
});

describe("properties", () => {
  const keys = ["a", "(a)", "+(a)", "<(a)", "^(a)", "name", "containers", "$patch", "__proto__"];

  test("whatever patch and object are, the answer is the same each time and the object as it was", () => {
    const random = makeRandom(5);
    const seen = new Set<string>();
    for (let round = 0; round < 600; round += 1) {
      const rule = patchSpec(makeJson(random, 4, keys));
      const before: JsonObject = { ...pod(), spec: makeJson(random, 4, keys) };
      const text = JSON.stringify(before);
      const first = mutate([rule], before);
      expect(JSON.stringify(before)).toBe(text);
      expect(JSON.stringify(mutate([rule], before))).toBe(JSON.stringify(first));
      seen.add(first.results[0]?.result ?? "nothing");
    }
    expect([...seen].sort()).toEqual(["error", "pass", "skip"]);
  });

  test("a patch without anchors, lists and directives changes nothing the second time", () => {
    const random = makeRandom(6);
    for (let round = 0; round < 300; round += 1) {
      const rule = patchSpec(withoutLists(makeJson(random, 4, ["a", "b", "c", "name"])));
      const { object: once, results } = mutate([rule], pod());
      if (results[0]?.result !== "pass") continue;
      expect(said(rule, once)).toBe(unchanged);
    }
  });
});

/** Lists without keys are replaced, which may leave what a merge of their items would not. */
function withoutLists(value: Json): Json {
  if (isArray(value)) return "list";
  if (typeof value === "string") return "text";
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutLists(item)]));
}
