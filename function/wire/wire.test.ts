// SPDX-License-Identifier: Apache-2.0
import { RunFunctionRequest, RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { describe, expect, test } from "vitest";
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { WireError } from "./reader.ts";
import { decodeRequest, type Request } from "./request.ts";
import { encodeResponse, type Response } from "./response.ts";
import { decodeKey, decodeStruct, depthMax, structAt } from "./struct.ts";
import { finish, makeWriter, putHead, putStruct, putText } from "./writer.ts";

// The SDK's generated codec is the oracle: what it reads and writes, we read and write.

const encodeObject = (object: JsonObject): Buffer => {
  const writer = makeWriter(16);
  putStruct(writer, object);
  return finish(writer);
};
const whole = (bytes: Buffer) => ({ bytes, start: 0, end: bytes.length });

const objects: Record<string, { reason: string; object: JsonObject }> = {
  Empty: { reason: "An object without keys has no bytes.", object: {} },
  Scalars: {
    reason:
      "Each kind of value has its own tag; false and 0 are written although they are defaults.",
    object: { a: null, b: true, c: false, d: 0, e: -1.5, f: "", g: 9007199254740992, h: 1e308 },
  },
  Nested: {
    reason: "Lists in lists and empty parts keep their shape.",
    object: { a: [[], [{}, [1]], {}], b: {} },
  },
  EmptyKey: { reason: "An empty key is left out of its entry by proto3.", object: { "": "x" } },
  Unicode: {
    reason: "Text is UTF-8, in keys too, whatever its length.",
    object: { ключ: "значение 🙂", 𝒳: "é".repeat(70), latin: "ÿ" },
  },
  Long: {
    reason: "Lengths above 127 and 16383 take more bytes.",
    object: { a: "x".repeat(200), b: "y".repeat(20_000) },
  },
  Wide: {
    reason: "Many keys make the writer grow.",
    object: Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`key-${i}`, { i, text: `value ${i}` }]),
    ),
  },
};

describe("Struct", () => {
  test.each(Object.entries(objects))("%s", (_, { object }) => {
    const theirs = RunFunctionRequest.decode(
      RunFunctionRequest.encode(RunFunctionRequest.fromPartial({ input: object })).finish(),
    );
    expect(theirs.input).toEqual(object);
    const wire = Buffer.from(RunFunctionRequest.encode(theirs).finish());
    const { input } = decodeRequest(wire);
    if (input === undefined) throw new Error("no input");
    expect(decodeStruct(input)).toEqual(object);
    const written = encodeObject(object);
    // Keys are sorted, so that the oracle gets them sorted to write the same bytes.
    const sorted = RunFunctionRequest.fromPartial({ input: sortKeys(object) });
    const sortedWire = Buffer.from(RunFunctionRequest.encode(sorted).finish());
    const { input: same } = decodeRequest(sortedWire);
    expect(written.equals(sortedWire.subarray(same?.start, same?.end))).toBe(true);
  });

  test("the bytes of an object do not depend on the order of its keys", () => {
    const one = encodeObject({ a: { x: 1, y: [{ p: 1, q: 2 }] }, b: 2, "10": 3, "9": 4 });
    const other = encodeObject({ "9": 4, b: 2, "10": 3, a: { y: [{ q: 2, p: 1 }], x: 1 } });
    expect(one.equals(other)).toBe(true);
  });

  test("keys that objects treat specially are ordinary keys", () => {
    const text = '{"__proto__":{"a":1},"constructor":"x","toString":[]}';
    const parsed: unknown = JSON.parse(text);
    if (!isObject(parsed)) throw new Error("not an object");
    const object = parsed;
    const back = decodeStruct(whole(encodeObject(object)));
    expect(Object.keys(back)).toEqual(["__proto__", "constructor", "toString"]);
    expect(JSON.stringify(back)).toBe(JSON.stringify(object));
    expect(Object.hasOwn(Object.prototype, "a")).toBe(false);
  });

  test("one key is read without the others", () => {
    const bytes = whole(encodeObject({ kind: "Bucket", metadata: { name: "a" }, spec: {} }));
    expect(decodeKey(bytes, "kind")).toBe("Bucket");
    expect(decodeKey(bytes, "absent")).toBe(undefined);
    const metadata = structAt(bytes, "metadata");
    expect(metadata && decodeStruct(metadata)).toEqual({ name: "a" });
    expect(structAt(bytes, "kind")).toBe(undefined);
  });

  test("deep nesting is read up to the limit and refused above it", () => {
    const nested = (depth: number) => {
      const writer = makeWriter(16);
      for (let i = 0; i < depth; i++) {
        putHead(writer, 5, 0);
        putHead(writer, 2, 0);
        putText(writer, 1, "a");
        putHead(writer, 1, 0);
      }
      return whole(finish(writer));
    };
    expect(() => decodeStruct(nested(depthMax))).not.toThrow();
    expect(() => decodeStruct(nested(depthMax + 1))).toThrow(WireError);
    expect(() => decodeStruct(nested(20_000))).toThrow(/nested deeper than 256/);
  });

  const value = (hex: string) =>
    Buffer.concat([
      Buffer.from([0x0a, hex.length / 2 + 3 + 2, 0x0a, 1, 0x61, 0x12, hex.length / 2]),
      Buffer.from(hex, "hex"),
    ]);
  test.each([
    ["a length beyond the end", Buffer.from("0aff01", "hex")],
    ["an endless varint", Buffer.from("0affffffffffffffffffffff", "hex")],
    ["a truncated number", value("110000")],
    ["NaN", value("11000000000000f87f")],
    ["an unknown kind of value", value("3a00")],
    ["a group", Buffer.from("0b0c", "hex")],
    ["field number 0", Buffer.from("0000", "hex")],
  ])("refuses %s", (_, bytes) => {
    expect(() => decodeStruct(whole(bytes))).toThrow(WireError);
  });

  test("an entry of no bytes is the empty key with null, whatever comes after it", () => {
    const bytes = Buffer.from([0x0a, 0, 0x0a, 7, 0x0a, 1, 0x61, 0x12, 2, 0x20, 1]);
    expect(decodeStruct(whole(bytes))).toEqual({ "": null, a: true });
  });

  test("a value without a kind is null, as in Go", () => {
    expect(decodeStruct(whole(value("")))).toEqual({ a: null });
  });

  test("equal short texts are right although they share a table", () => {
    const texts = Array.from({ length: 30_000 }, (_, i) => `t${i.toString(36)}`);
    expect(decodeStruct(whole(encodeObject({ texts })))).toEqual({ texts });
    expect(decodeStruct(whole(encodeObject({ texts })))).toEqual({ texts });
  });
});

const bucket = (name: string): JsonObject => ({
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "Bucket",
  metadata: { name },
  spec: { forProvider: { region: "eu-west-1", tags: { a: "b" }, list: [1, 2, null] } },
});

const full = () =>
  RunFunctionRequest.fromPartial({
    meta: { tag: "t-1" },
    observed: {
      composite: { resource: bucket("xr"), connectionDetails: { a: Buffer.from("s") } },
      resources: { one: { resource: bucket("one") } },
    },
    desired: {
      composite: { resource: { status: { a: 1 } } },
      resources: {
        two: {
          resource: bucket("two"),
          ready: 1,
          connectionDetails: { user: Buffer.from("u"), pass: Buffer.from([0, 255]) },
        },
        one: { resource: bucket("one") },
        three: { resource: bucket("three"), ready: 2 },
      },
    },
    input: { apiVersion: "x" },
    context: { "apiextensions.crossplane.io/environment": { a: [1] } },
    credentials: { c: { credentialData: { data: { k: Buffer.from("secret") } } } },
    requiredResources: { p: { items: [{ resource: bucket("p") }] }, none: { items: [] } },
  });

const read = (): { wire: Buffer; request: Request } => {
  const wire = Buffer.from(RunFunctionRequest.encode(full()).finish());
  return { wire, request: decodeRequest(wire) };
};

const untouched = (request: Request): Response => ({
  tag: request.tag,
  ttlSeconds: undefined,
  desired: { from: request.desired, composite: undefined, resources: new Map() },
  results: [],
  context: request.context,
  requirements: new Map(),
  conditions: [],
});

describe("RunFunction", () => {
  test("takes a request apart", () => {
    const { request } = read();
    expect(request.tag).toBe("t-1");
    expect([...request.desired.resources.keys()]).toEqual(["one", "three", "two"]);
    expect([...request.observed.resources.keys()]).toEqual(["one"]);
    expect(request.desired.resources.get("two")?.ready).toBe(1);
    expect([...request.required].map(([name, items]) => [name, items.length])).toEqual([
      ["p", 1],
      ["none", 0],
    ]);
  });

  test("an untouched answer is what the SDK would write", () => {
    const { request } = read();
    const source = full();
    const theirs = RunFunctionResponse.encode(
      RunFunctionResponse.fromPartial({
        meta: { tag: "t-1" },
        desired: source.desired ?? {},
        context: source.context,
        results: [],
      }),
    ).finish();
    expect(encodeResponse(untouched(request)).equals(Buffer.from(theirs))).toBe(true);
  });

  test("a changed resource keeps its connection details and readiness, the others their bytes", () => {
    const { request } = read();
    const changed = { ...bucket("two"), spec: { forProvider: { region: "eu-west-2" } } };
    const answer = encodeResponse({
      ...untouched(request),
      ttlSeconds: 60,
      desired: {
        from: request.desired,
        composite: { ready: 2, object: undefined },
        resources: new Map([
          ["two", { object: changed, ready: undefined }],
          ["one", undefined],
          ["added", { object: bucket("added"), ready: 1 }],
        ]),
      },
      results: [{ severity: "warning", message: "m", reason: "Held", target: "composite" }],
      conditions: [
        {
          type: "PolicyCompliant",
          status: "False",
          reason: "Held",
          message: "x",
          target: "compositeAndClaim",
        },
      ],
      requirements: new Map([
        [
          "a",
          {
            apiVersion: "v1",
            kind: "ConfigMap",
            match: { labels: { b: "1", a: "" } },
            namespace: "ns",
          },
        ],
        ["b", { apiVersion: "v1", kind: "Namespace", match: { name: "ns" }, namespace: undefined }],
      ]),
    });
    const decoded = RunFunctionResponse.decode(answer);
    const source = full();
    expect(decoded.meta).toEqual({ tag: "t-1", ttl: { seconds: 60, nanos: 0 } });
    expect(decoded.desired?.composite?.ready).toBe(2);
    expect(decoded.desired?.composite?.resource).toEqual({ status: { a: 1 } });
    expect(Object.keys(decoded.desired?.resources ?? {})).toEqual(["three", "two", "added"]);
    expect(decoded.desired?.resources["two"]?.resource).toEqual(changed);
    expect(decoded.desired?.resources["two"]?.ready).toBe(1);
    expect(decoded.desired?.resources["two"]?.connectionDetails).toEqual(
      source.desired?.resources["two"]?.connectionDetails,
    );
    expect(decoded.desired?.resources["three"]).toEqual(source.desired?.resources["three"]);
    expect(decoded.desired?.resources["added"]?.resource).toEqual(bucket("added"));
    expect(decoded.results).toEqual([{ severity: 2, message: "m", reason: "Held", target: 1 }]);
    expect(decoded.conditions).toEqual([
      { type: "PolicyCompliant", status: 3, reason: "Held", message: "x", target: 2 },
    ]);
    expect(decoded.requirements?.resources).toEqual({
      a: {
        apiVersion: "v1",
        kind: "ConfigMap",
        matchLabels: { labels: { b: "1", a: "" } },
        namespace: "ns",
      },
      b: { apiVersion: "v1", kind: "Namespace", matchName: "ns" },
    });
    expect(Buffer.from(RunFunctionResponse.encode(decoded).finish()).equals(answer)).toBe(true);
  });

  test("every truncation and every flipped byte is read or refused, never a crash of another kind", () => {
    const { wire } = read();
    for (let i = 0; i < wire.length; i++) {
      for (const bytes of [wire.subarray(0, i), flip(wire, i)]) {
        expect(readAll(bytes)).toBeOneOf([undefined, "WireError"]);
      }
    }
  });

  test("what protobuf would merge is refused", () => {
    const { wire } = read();
    expect(() => decodeRequest(Buffer.concat([wire, wire]))).toThrow(/comes twice/);
  });
});

function sortKeys(object: JsonObject): JsonObject {
  const inside = (value: Json): Json => {
    if (isArray(value)) return value.map(inside);
    return isObject(value) ? sortKeys(value) : value;
  };
  const keys = Object.keys(object).sort();
  return Object.fromEntries(keys.map((key) => [key, inside(object[key] ?? null)]));
}

function readAll(bytes: Buffer): string | undefined {
  try {
    const { desired } = decodeRequest(bytes);
    for (const { struct } of desired.resources.values()) {
      if (struct !== undefined) decodeStruct(struct);
    }
    return undefined;
  } catch (error) {
    return error instanceof WireError ? error.name : String(error);
  }
}

function flip(bytes: Buffer, index: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[index] = (copy[index] ?? 0) ^ 0xff;
  return copy;
}
