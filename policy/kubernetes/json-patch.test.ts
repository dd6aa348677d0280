// SPDX-License-Identifier: Apache-2.0
import { applyPatch as referencePatch } from "rfc6902";
import { describe, expect, test } from "vitest";
import type { Json } from "#policy/json";
import {
  admissionPatchOptions,
  applyJsonPatch,
  classicPatchOptions,
  mutationPatchOptions,
  sameJson,
} from "#policy/kubernetes/json-patch";
import type { PatchOperation, PatchOptions } from "#policy/kubernetes/json-patch";

type Row = {
  readonly reason: string;
  readonly document: Json;
  readonly patch: readonly PatchOperation[];
  readonly options?: PatchOptions;
  /** The document, or why not. */
  readonly want: { readonly value: Json } | "test" | "invalid";
};

const rows = {
  "add replaces a key": {
    reason: "RFC 6902 4.1: an existing member is replaced.",
    document: { a: 1 },
    patch: [{ op: "add", path: "/a", value: 2 }],
    want: { value: { a: 2 } },
  },
  "add into a list": {
    reason: "The element is inserted, not replaced.",
    document: { a: [1, 3] },
    patch: [{ op: "add", path: "/a/1", value: 2 }],
    want: { value: { a: [1, 2, 3] } },
  },
  "add without parent": {
    reason: "RFC 6902: the parent must exist.",
    document: {},
    patch: [{ op: "add", path: "/a/b", value: 1 }],
    want: "invalid",
  },
  "add without parent, classic": {
    reason: "Kyverno's classic rules set EnsurePathExistsOnAdd.",
    document: {},
    patch: [{ op: "add", path: "/a/b/-", value: 1 }],
    options: classicPatchOptions,
    want: { value: { a: { b: [1] } } },
  },
  "remove of nothing": {
    reason: "Strict: an error.",
    document: { a: 1 },
    patch: [{ op: "remove", path: "/b" }],
    want: "invalid",
  },
  "remove of nothing, classic": {
    reason: "AllowMissingPathOnRemove.",
    document: { a: 1 },
    patch: [{ op: "remove", path: "/b/c" }],
    options: classicPatchOptions,
    want: { value: { a: 1 } },
  },
  "negative index": {
    reason:
      "The API server's library allows them by default: -1 is the last element, and appends on add.",
    document: [1, 2],
    patch: [
      { op: "replace", path: "/-1", value: 9 },
      { op: "add", path: "/-1", value: 10 },
    ],
    options: admissionPatchOptions,
    want: { value: [1, 9, 10] },
  },
  "negative index, strict": {
    reason: "RFC 6901 has none.",
    document: [1, 2],
    patch: [{ op: "remove", path: "/-1" }],
    want: "invalid",
  },
  "replace of a missing key": {
    reason: "Strict: the target must exist.",
    document: {},
    patch: [{ op: "replace", path: "/a", value: 1 }],
    want: "invalid",
  },
  "replace of a missing key, admission": {
    reason: "evanphx/json-patch v4, which the API server uses, adds it.",
    document: {},
    patch: [{ op: "replace", path: "/a", value: 1 }],
    options: admissionPatchOptions,
    want: { value: { a: 1 } },
  },
  "failed test": {
    reason: "Told apart from errors: admission leaves the object alone then.",
    document: { a: 1 },
    patch: [
      { op: "add", path: "/b", value: 1 },
      { op: "test", path: "/a", value: 2 },
    ],
    want: "test",
  },
  "test below nothing": {
    reason: "A missing parent is an error, not a failed test.",
    document: { a: 1 },
    patch: [{ op: "test", path: "/x/y", value: 2 }],
    want: "invalid",
  },
  "test for null": {
    reason: "An absent key counts as null.",
    document: {},
    patch: [{ op: "test", path: "/a", value: null }],
    want: { value: {} },
  },
  "test for null that is stated": {
    reason: "Admission policies do not take an absent key for a null that an expression gave.",
    document: {},
    patch: [{ op: "test", path: "/a", value: null }],
    options: mutationPatchOptions,
    want: "test",
  },
  "test for nothing": {
    reason: "Without a value the test is for the absence of the key.",
    document: {},
    patch: [{ op: "test", path: "/a" }],
    options: mutationPatchOptions,
    want: { value: {} },
  },
  "copy of a missing key": {
    reason: "Strict: from must exist.",
    document: {},
    patch: [{ op: "copy", from: "/a", path: "/b" }],
    want: "invalid",
  },
  "copy of a missing key, admission": {
    reason: "evanphx/json-patch v4 reads an absent key as null.",
    document: {},
    patch: [{ op: "copy", from: "/a", path: "/b" }],
    options: admissionPatchOptions,
    want: { value: { b: null } },
  },
  "a new list before an index, classic": {
    reason: "EnsurePathExistsOnAdd fills a new list with nulls up to the index.",
    document: {},
    patch: [{ op: "add", path: "/a/2", value: 1 }],
    options: classicPatchOptions,
    want: { value: { a: [null, null, 1] } },
  },
  "copy creates no parents, classic": {
    reason: "EnsurePathExistsOnAdd is for add alone.",
    document: { a: 1 },
    patch: [{ op: "copy", from: "/a", path: "/b/c" }],
    options: classicPatchOptions,
    want: "invalid",
  },
  "a pointer without its slash": {
    reason: "evanphx takes what is before the first slash for nothing.",
    document: { a: 1 },
    patch: [{ op: "add", path: "x/b", value: 2 }],
    options: admissionPatchOptions,
    want: { value: { a: 1, b: 2 } },
  },
  "a pointer without its slash, strict": {
    reason: "RFC 6901: a pointer is empty or starts with a slash.",
    document: { a: 1 },
    patch: [{ op: "add", path: "x/b", value: 2 }],
    want: "invalid",
  },
  "adding the whole document, admission": {
    reason: "v4 has no container for the root.",
    document: { a: 1 },
    patch: [{ op: "add", path: "", value: {} }],
    options: admissionPatchOptions,
    want: "invalid",
  },
  "move into itself": {
    reason: "RFC 6902 4.4: from must not be a prefix of path.",
    document: { a: { b: 1 } },
    patch: [{ op: "move", from: "/a", path: "/a/b" }],
    want: "invalid",
  },
  escapes: {
    reason: "~1 is a slash and ~0 a tilde, in this order.",
    document: { metadata: { annotations: { "a/b~c": "x" } } },
    patch: [{ op: "remove", path: "/metadata/annotations/a~1b~0c" }],
    want: { value: { metadata: { annotations: {} } } },
  },
  "unknown operation": {
    reason: "Not skipped in silence.",
    document: {},
    patch: [{ op: "merge", path: "/a", value: 1 }],
    want: "invalid",
  },
  "whole document": {
    reason: "The empty pointer is the document.",
    document: { a: 1 },
    patch: [{ op: "replace", path: "", value: { b: 2 } }],
    want: { value: { b: 2 } },
  },
  "copies stay apart": {
    reason: "A later change to one place must not show at the other.",
    document: { a: { n: 1 } },
    patch: [
      { op: "copy", from: "/a", path: "/b" },
      { op: "replace", path: "/b/n", value: 2 },
    ],
    want: { value: { a: { n: 1 }, b: { n: 2 } } },
  },
} satisfies Record<string, Row>;

describe("applyJsonPatch", () => {
  for (const [name, row] of Object.entries<Row>(rows)) {
    test(`${name}: ${row.reason}`, () => {
      const before = structuredClone(row.document);
      const outcome = applyJsonPatch(row.document, row.patch, row.options);
      expect(outcome.ok ? { value: outcome.value } : outcome.reason).toEqual(row.want);
      expect(row.document, "the document that was given is never changed").toEqual(before);
    });
  }

  const refusing: Json = { a: { k: "v" }, l: [1] };
  // As a real API server words them; users find them in answers to their requests.
  const refusals: readonly (readonly [operation: PatchOperation, message: string])[] = [
    [
      { op: "add", path: "/x/y", value: 1 },
      'add operation does not apply: doc is missing path: "/x/y": missing value',
    ],
    [
      { op: "add", path: "/l/5", value: 1 },
      "error in add for path: '/l/5': Unable to access invalid index: 5: invalid index referenced",
    ],
    [
      { op: "add", path: "/l/y", value: 1 },
      "error in add for path: '/l/y': value was not a proper array index: 'y': strconv.Atoi: parsing \"y\": invalid syntax",
    ],
    [
      { op: "replace", path: "/l/1", value: 1 },
      "replace operation does not apply: doc is missing key: /l/1: missing value",
    ],
    [
      { op: "remove", path: "/a/x" },
      "error in remove for path: '/a/x': Unable to remove nonexistent key: x: missing value",
    ],
    [
      { op: "test", path: "/l/1", value: 1 },
      "error in test for path: '/l/1': Unable to access invalid index: 1: invalid index referenced",
    ],
    [
      { op: "test", path: "/x/y", value: 1 },
      "test operation does not apply: is missing path: /x/y: missing value",
    ],
    [
      { op: "copy", from: "/x/y", path: "/b" },
      "copy operation does not apply: doc is missing from path: /x/y: missing value",
    ],
    [
      { op: "move", from: "/a/x", path: "/b" },
      "error in move for path: 'x': Unable to remove nonexistent key: x: missing value",
    ],
    [
      { op: "move", from: "/a", path: "/a/b" },
      "move operation does not apply: doc is missing destination path: /a/b: missing value",
    ],
  ];
  for (const [operation, message] of refusals) {
    test(`${operation.op} ${operation.path}: ${message}`, () => {
      const outcome = applyJsonPatch(refusing, [operation], admissionPatchOptions);
      expect(outcome).toEqual({ ok: false, reason: "invalid", message });
    });
  }

  test("__proto__ is a key like any other", () => {
    const document = { a: {} };
    const outcome = applyJsonPatch(document, [
      { op: "add", path: "/a/__proto__", value: { x: 1 } },
    ]);
    expect(outcome.ok && JSON.stringify(outcome.value)).toBe('{"a":{"__proto__":{"x":1}}}');
    expect(applyJsonPatch({}, [{ op: "remove", path: "/constructor" }]).ok).toBe(false);
    expect(Object.hasOwn(Object.prototype, "x")).toBe(false);
  });

  test("a list cannot be grown without bound", () => {
    const patch = [{ op: "add", path: "/a/999999999/b", value: 1 }];
    expect(applyJsonPatch({ a: [] }, patch, classicPatchOptions).ok).toBe(false);
  });
});

/** Small numbers from a seed, so that a failure repeats. */
function makeNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}

type ReferenceOperation = Parameters<typeof referencePatch>[1][number];
type RandomOp = "add" | "remove" | "replace" | "move" | "copy";

function makeOperation(op: RandomOp, path: string, from: string, value: Json): ReferenceOperation {
  if (op === "remove") return { op, path };
  return op === "move" || op === "copy" ? { op, path, from } : { op, path, value };
}

/** What the other implementation makes of it: undefined for a refusal, which it sometimes states by a crash. */
function byReference(document: Json, operation: ReferenceOperation): unknown {
  const copy: unknown = JSON.parse(JSON.stringify(document));
  try {
    const own: unknown = JSON.parse(JSON.stringify(operation.op === "remove" ? null : operation));
    const failures = referencePatch(copy, [own === null ? operation : { ...operation }]);
    return failures[0] === null ? copy : undefined;
  } catch {
    return undefined;
  }
}

// The other implementation also takes what the RFC refuses (an index into a string, `b` as an index), so what we refuse
// is covered by the table above and only what we apply is compared.
test("applied patches agree with a second implementation on 3,000 random patches", () => {
  const next = makeNumbers(7);
  const paths = [
    "/a",
    "/a/b",
    "/a/0",
    "/a/-",
    "/b",
    "/b/0",
    "/b/1",
    "/b/-",
    "/b/0/c",
    "/c~1d",
    "/x/y",
  ];
  const values: readonly Json[] = [1, "t", null, [], {}, { c: [1, 2] }, [{ c: 1 }, 2]];
  const ops: readonly RandomOp[] = ["add", "remove", "replace", "move", "copy"];
  const pick = <T>(from: readonly T[]): T => from[next(from.length)] ?? from[0]!; // never empty
  const wrong: string[] = [];
  let compared = 0;
  for (let round = 0; round < 3000; round += 1) {
    const document = { a: pick(values), b: pick(values), "c/d": pick(values) };
    const operation = makeOperation(pick(ops), pick(paths), pick(paths), pick(values));
    const outcome = applyJsonPatch(document, [operation]);
    if (!outcome.ok) continue;
    compared += 1;
    const got = JSON.stringify(outcome.value);
    const want = JSON.stringify(byReference(document, operation));
    if (got !== want) wrong.push(JSON.stringify({ document, operation, got, want }));
  }
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(700);
});

test("sameJson ignores the order of keys only", () => {
  expect(sameJson({ a: 1, b: [1] }, { b: [1], a: 1 })).toBe(true);
  expect(sameJson([1, 2], [2, 1])).toBe(false);
  expect(sameJson({}, [])).toBe(false);
  expect(sameJson({ a: 1 }, { b: 1 })).toBe(false);
});
