// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isObject, type JsonObject } from "#policy/json";
import { decodeLike } from "./like.ts";
import { WireError, type Slice } from "./reader.ts";
import { sameStruct } from "./same.ts";
import { decodeStruct } from "./struct.ts";
import { finish, makeWriter, putStruct } from "./writer.ts";

/** With our own writer: the SDK's drops `__proto__`. */
function encode(object: JsonObject): Slice {
  const writer = makeWriter(64);
  putStruct(writer, object);
  const bytes = finish(writer);
  return { bytes, start: 0, end: bytes.length };
}

const known: JsonObject = {
  kind: "Bucket",
  metadata: { name: "a", labels: { a: "1", b: "2" } },
  spec: { list: [1, { x: "y" }, null], on: true, size: 3, ü: "ö", empty: {}, none: [] },
};

function specialKeys(): JsonObject {
  const parsed: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":"x","kind":"Bucket"}');
  if (!isObject(parsed)) throw new Error("not an object");
  return parsed;
}

describe("an object like a known one", () => {
  const cases: Record<string, { reason: string; object: JsonObject; shares: readonly string[] }> = {
    Same: { reason: "Nothing is made anew.", object: known, shares: ["metadata", "spec"] },
    "In another order": {
      reason: "Crossplane writes maps in another order each time.",
      object: Object.fromEntries(Object.entries(known).toReversed()),
      shares: ["metadata", "spec"],
    },
    "Another value": {
      reason: "Only the way down to it is made anew.",
      object: { ...known, kind: "Queue" },
      shares: ["metadata", "spec"],
    },
    "A longer list": {
      reason: "Lists are compared item by item.",
      object: { ...known, spec: { list: [1, { x: "y" }, null, 4] } },
      shares: ["metadata"],
    },
    "A shorter list": {
      reason: "What is gone must not stay.",
      object: { ...known, spec: { list: [1] } },
      shares: ["metadata"],
    },
    "A key more": {
      reason: "What is added must be there.",
      object: { ...known, status: { ready: true } },
      shares: ["metadata", "spec"],
    },
    "A key less": {
      reason: "What is gone must not stay.",
      object: { kind: "Bucket", spec: known["spec"] ?? null },
      shares: ["spec"],
    },
    "A key instead of another": {
      reason: "The number of keys alone tells nothing.",
      object: { ...known, metadata: { name: "a", labels: { a: "1", c: "2" } } },
      shares: ["spec"],
    },
    "Another type": {
      reason: "A number is no text, null no object.",
      object: { kind: 1, metadata: null, spec: [] },
      shares: [],
    },
    "Many keys": {
      reason: "More keys than a number has bits.",
      object: Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, { i }])),
      shares: [],
    },
    "Special keys": {
      reason: "Keys that objects treat as their own are keys like others.",
      object: specialKeys(),
      shares: [],
    },
    Empty: { reason: "Nothing is left.", object: {}, shares: [] },
  };
  test.each(Object.entries(cases))("%s", (_, { object, shares }) => {
    for (const [from, to] of [
      [known, object],
      [object, known],
    ] as const) {
      const slice = encode(to);
      const made = decodeLike(from, slice);
      expect(made).toEqual(decodeStruct(slice));
      expect(Object.keys(made).sort()).toEqual(Object.keys(to).sort());
      for (const key of shares) expect(made[key]).toBe(from[key]);
      expect(made === from).toBe(sameStruct(from, slice));
      expect(decodeLike(made, slice)).toBe(made);
    }
  });

  test("a key that comes twice counts once, and hides no other", () => {
    const one = encode({ a: "1" });
    const twice = Buffer.concat(
      [one, one].map(({ bytes, start, end }) => bytes.subarray(start, end)),
    );
    const slice = { bytes: twice, start: 0, end: twice.length };
    const two = { a: "1", b: "1" };
    expect(decodeLike(two, slice)).toEqual({ a: "1" });
    expect(sameStruct(two, slice)).toBe(false);
  });

  test("damaged bytes give what decoding them gives, or are refused like there", () => {
    const { bytes, start, end } = encode(known);
    const attempt = (read: () => JsonObject): unknown => {
      try {
        return read();
      } catch (error) {
        if (error instanceof WireError) return "refused";
        throw error;
      }
    };
    for (let i = start; i < end; i++) {
      for (const flip of [1, 2, 16, 128, 255]) {
        const copy = Buffer.from(bytes);
        copy[i] = (copy[i] ?? 0) ^ flip;
        const slice = { bytes: copy, start, end };
        expect(attempt(() => decodeLike(known, slice))).toEqual(attempt(() => decodeStruct(slice)));
      }
    }
  });
});
