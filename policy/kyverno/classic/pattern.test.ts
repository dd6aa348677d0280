// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json } from "#policy/json";
import { compilePattern } from "#policy/kyverno/classic/pattern";
import { makeJson, makeRandom } from "#policy/kyverno/classic/testing";

const run = (pattern: Json, resource: Json | undefined): string => {
  const outcome = compilePattern(pattern)(resource);
  if (outcome.kind === "pass") return "pass";
  if (outcome.kind === "fail") return `fail at ${outcome.path}`;
  return `${outcome.kind}: ${outcome.message}`;
};

type Row = {
  readonly reason: string;
  readonly pattern: Json;
  readonly resource: Json;
  readonly want: string;
};

const containers = (...items: readonly Json[]): Json => ({ spec: { containers: items } });
const mismatch = "conditional anchor mismatch: ";

const rows: readonly Row[] = [
  {
    reason: "all keys of a pattern must match",
    pattern: { a: 1, b: 2 },
    resource: { a: 1, b: 2, c: 3 },
    want: "pass",
  },
  {
    reason: "a failure names the path",
    pattern: { a: { b: 2 } },
    resource: { a: { b: 3 } },
    want: "fail at /a/b/",
  },
  {
    reason: "an absent map is another structure",
    pattern: { a: { b: 2 } },
    resource: {},
    want: "fail at /a/",
  },
  {
    reason: "a list for a map is another structure",
    pattern: { a: { b: 2 } },
    resource: { a: [] },
    want: "fail at /a/",
  },
  {
    reason: "a map for a list does not fit",
    pattern: { a: [1] },
    resource: { a: {} },
    want: "fail at /a/",
  },
  { reason: "* wants a value", pattern: { a: "*" }, resource: { a: null }, want: "fail at /" },
  {
    reason: "* takes any value, even a map",
    pattern: { a: "*" },
    resource: { a: {} },
    want: "pass",
  },
  {
    reason: "?* does not take a map",
    pattern: { a: "?*" },
    resource: { a: {} },
    want: "fail at /a/",
  },
  {
    reason: "keys of a resource are not inherited ones",
    pattern: { constructor: "*" },
    resource: {},
    want: "fail at /",
  },
  {
    reason: "an empty list passes",
    pattern: containers({ image: "x" }),
    resource: containers(),
    want: "pass",
  },
  {
    reason: "each item is held against the first of the pattern",
    pattern: containers({ image: "x" }, { image: "y" }),
    resource: containers({ image: "x" }, { image: "y" }),
    want: "fail at /spec/containers/1/image/",
  },
  {
    reason: "an empty pattern list fits nothing",
    pattern: { a: [] },
    resource: { a: [1] },
    want: "fail at /a/",
  },
  {
    reason: "a scalar is held against every item",
    pattern: { a: "x*" },
    resource: { a: ["x1", "y"] },
    want: "fail at /a/",
  },
  {
    reason: "a list of scalars is held against every item",
    pattern: { a: ["x*"] },
    resource: { a: ["x1", "x2"] },
    want: "pass",
  },
  {
    reason: "nested lists go item by item, and too few is an error without path",
    pattern: { a: [[1], [2]] },
    resource: { a: [[1]] },
    want: "error: validate Array failed, array length mismatch, resource Array len is 1 and pattern Array len is 2",
  },
  {
    reason: "() that does not hold skips",
    pattern: { "(a)": 1, b: 2 },
    resource: { a: 2, b: 3 },
    want: `skip: ${mismatch}resource value '2' does not match '1' at path /a/`,
  },
  {
    reason: "() that holds makes the rest count",
    pattern: { "(a)": 1, b: 2 },
    resource: { a: 1, b: 3 },
    want: "fail at /b/",
  },
  {
    reason: "() on an absent key skips",
    pattern: { "(a)": 1 },
    resource: {},
    want: `skip: ${mismatch}conditional anchor key doesn't exist in the resource`,
  },
  {
    reason: "items whose condition does not hold are passed over",
    pattern: containers({ "(name)": "a", image: "x" }),
    resource: containers({ name: "a", image: "x" }, { name: "b", image: "y" }),
    want: "pass",
  },
  {
    reason: "a list of which every item skips is skipped, with all reasons",
    pattern: containers({ "(name)": "a" }),
    resource: containers({ name: "b" }, { name: "c" }),
    want: `skip: ${mismatch}resource value 'b' does not match 'a' at path /spec/containers/0/name/; ${mismatch}resource value 'c' does not match 'a' at path /spec/containers/1/name/`,
  },
  {
    reason: "=() on an absent key passes",
    pattern: { "=(a)": { b: 1 } },
    resource: {},
    want: "pass",
  },
  {
    reason: "=() on a present key must match",
    pattern: { "=(a)": { b: 1 } },
    resource: { a: { b: 2 } },
    want: "fail at /a/b/",
  },
  { reason: "X() on an absent key passes", pattern: { "X(a)": null }, resource: {}, want: "pass" },
  {
    reason: "X() on a null is a failure: the key is there",
    pattern: { "X(a)": null },
    resource: { a: null },
    want: "fail at /a/",
  },
  {
    reason: "^() wants one item that matches",
    pattern: { "^(a)": [{ b: 1 }] },
    resource: { a: [{ b: 2 }, { b: 1 }] },
    want: "pass",
  },
  {
    reason: "^() without such an item fails",
    pattern: { "^(a)": [{ b: 1 }] },
    resource: { a: [{ b: 2 }] },
    want: "fail at /a/",
  },
  {
    reason: "^() on an empty list fails",
    pattern: { "^(a)": [{ b: 1 }] },
    resource: { a: [] },
    want: "fail at /a/",
  },
  {
    reason: "^() on an absent key passes",
    pattern: { "^(a)": [{ b: 1 }] },
    resource: {},
    want: "pass",
  },
  {
    reason: "^() on what is no list fails",
    pattern: { "^(a)": [{ b: 1 }] },
    resource: { a: 1 },
    want: "fail at /a/",
  },
  {
    reason: "^() needs a list in the pattern",
    pattern: { "^(a)": { b: 1 } },
    resource: { a: [] },
    want: "fail at /a/",
  },
  {
    reason: "<() that does not hold skips all",
    pattern: { s: { c: [{ "<(i)": "x*", p: 1 }] }, z: 9 },
    resource: { s: { c: [{ i: "y", p: 2 }] }, z: 0 },
    want: "skip: global anchor mismatch: resource value 'y' does not match 'x*' at path /s/c/0/i/",
  },
  {
    reason: "<() on an absent key passes",
    pattern: { "<(a)": 1, b: 2 },
    resource: { b: 2 },
    want: "pass",
  },
  {
    reason: "a mismatch while a conditional key was nowhere is an error",
    pattern: { a: [{ "(x)": 1, y: 2 }], b: 1 },
    resource: { a: [{ y: 2 }, { x: 2 }], b: 1 },
    want: `skip: ${mismatch}conditional anchor key doesn't exist in the resource; ${mismatch}resource value '2' does not match '1' at path /a/1/x/`,
  },
  {
    reason: "a failure beside an existence key that is absent is an error",
    pattern: { "^(a)": [{ b: 1 }], c: 2 },
    resource: { c: 3 },
    want: "error: resource value '3' does not match '2' at path /c/",
  },
  {
    reason: "a negation's key is meant to be absent: other failures stay failures",
    pattern: { "X(a)": null, c: 2 },
    resource: { c: 3 },
    want: "fail at /c/",
  },
  {
    reason: "a failure counts after a sibling whose inside was skipped",
    pattern: { "=(a)": { "(b)": 1 }, "X(c)": null },
    resource: { a: { b: 2 }, c: 1 },
    want: "fail at /c/",
  },
  {
    reason: "but not after a sibling's own condition",
    pattern: { "(a)": 1, "X(c)": null },
    resource: { a: 2, c: 1 },
    want: `skip: ${mismatch}resource value '2' does not match '1' at path /a/`,
  },
  {
    reason: "keys with anchors inside come first, in reverse order",
    pattern: { a: { "=(x)": 1 }, b: { "=(x)": 1 }, c: 1 },
    resource: { a: { x: 2 }, b: { x: 2 }, c: 2 },
    want: "fail at /b/x/",
  },
  {
    reason: "plain keys come in order",
    pattern: { b: 1, a: 1 },
    resource: { a: 2, b: 2 },
    want: "fail at /a/",
  },
  {
    reason: "a sibling condition that fails skips although others hold",
    pattern: { "(a)": 1, "(b)": 1, c: 1 },
    resource: { a: 1, b: 2, c: 2 },
    want: `skip: ${mismatch}resource value '2' does not match '1' at path /b/`,
  },
  {
    reason: "a skipped list beside an anchor that holds does not skip",
    pattern: { "=(a)": [{ "(x)": 1, y: 1 }], "=(b)": 1, c: 1 },
    resource: { a: [{ x: 2 }], b: 1, c: 2 },
    want: "fail at /c/",
  },
  {
    reason: "user text that says mismatch makes a skip of a failure",
    pattern: { a: "x" },
    resource: { a: "conditional anchor mismatch" },
    want: "skip: resource value 'conditional anchor mismatch' does not match 'x' at path /a/",
  },
  {
    reason: "+() is no anchor of validation",
    pattern: { "+(a)": 1 },
    resource: { "+(a)": 1 },
    want: "pass",
  },
  {
    reason: "wildcards in keys of labels take the first key that matches",
    pattern: { metadata: { labels: { "app*": "x" } } },
    resource: { metadata: { labels: { app2: "x", app1: "y" } } },
    want: "fail at /metadata/labels/app1/",
  },
  {
    reason: "anchors of such keys stay",
    pattern: { metadata: { "=(annotations)": { "=(a*)": "x" } } },
    resource: { metadata: { annotations: { b: "y" } } },
    want: "pass",
  },
  {
    reason: "wildcards in other keys mean themselves",
    pattern: { data: { "a*": "x" } },
    resource: { data: { a1: "x" } },
    want: "fail at /data/a*/",
  },
  {
    reason: "numbers print as Go does",
    pattern: { "(a)": [1] },
    resource: { a: [1, 20_000_000, 1.5, null, true] },
    want: `skip: ${mismatch}resource value '[1 20000000 1.5 <nil> true]' does not match '1' at path /a/`,
  },
  {
    reason: "maps print in the order of their keys",
    pattern: { "(a)": "x" },
    resource: { a: { c: 1, b: { d: [] } } },
    want: `skip: ${mismatch}resource value 'map[b:map[d:[]] c:1]' does not match 'x' at path /a/`,
  },
];

describe("the pattern language", () => {
  test.each(rows)("$reason", ({ pattern, resource, want }) => {
    expect(run(pattern, resource)).toBe(want);
  });

  test("one plan gives the same answers in any order", () => {
    const pattern = compilePattern({ metadata: { labels: { "a*": "x" } } });
    const good: Json = { metadata: { labels: { a1: "x" } } };
    const bad: Json = { metadata: { labels: { a2: "y" } } };
    const kinds = [good, bad, good, bad].map((resource) => pattern(resource).kind);
    expect(kinds).toEqual(["pass", "fail", "pass", "fail"]);
  });

  test("never throws, whatever pattern and resource are", () => {
    const random = makeRandom(11);
    const seen = new Set<string>();
    for (let round = 0; round < 3_000; round += 1) {
      const pattern = makeJson(random, 4, patternKeys);
      const resource = makeJson(random, 4, keys);
      seen.add(run(pattern, resource).split(/[: ]/)[0] ?? "");
    }
    expect([...seen].sort()).toEqual(["error", "fail", "pass", "skip"]);
  });

  test("deep patterns and resources", () => {
    const nest = (depth: number): Json =>
      depth === 0 ? "x" : depth % 2 === 0 ? { a: nest(depth - 1) } : [nest(depth - 1)];
    expect(run(nest(150), nest(150))).toBe("pass");
    expect(run(nest(150), nest(151)).split(" ")[0]).toBe("fail");
  });
});

const keys = ["a", "b", "metadata", "labels", "annotations", "__proto__", "constructor", "(a)"];
const patternKeys = [
  ...keys,
  "=(a)",
  "^(a)",
  "X(b)",
  "<(b)",
  "+(a)",
  "(b)",
  "a*",
  "=(labels)",
  "(metadata)",
];
