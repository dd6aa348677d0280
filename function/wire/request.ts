// SPDX-License-Identifier: Apache-2.0
import {
  expectBytes,
  readFields,
  sliceOf,
  textOf,
  WireError,
  type Slice,
  type WireField,
} from "./reader.ts";
import { decodeKey, structAt } from "./struct.ts";

/** RunFunctionRequest (Crossplane proto/fn/v1/run_function.proto), read only as far as it must be understood. */
export type Request = {
  /** Opaque to us and copied into the answer. */
  readonly tag: string;
  /** Whether Crossplane told what it can do, as it does since v2.2; else it may know `extra_resources` only (before v2.0). */
  readonly tellsCapabilities: boolean;
  readonly observed: State;
  readonly desired: State;
  readonly input: Slice | undefined;
  readonly context: Slice | undefined;
  /**
   * By requirement name: Struct bytes of each object, sorted by namespace and name as the API server lists them, since
   * Crossplane's cache gives them in any order. A name that was asked for and not found has an empty list.
   */
  readonly required: ReadonlyMap<string, readonly Slice[]>;
};

export type State = {
  /** The whole message, to be given back as it is; undefined when the request has none. */
  readonly whole: Slice | undefined;
  readonly composite: ResourceBytes | undefined;
  /** Sorted by name: Go writes a map in another order each time. */
  readonly resources: ReadonlyMap<string, ResourceBytes>;
};

/** One Resource message. */
export type ResourceBytes = {
  readonly whole: Slice;
  /** The object's google.protobuf.Struct; undefined when the message has none. */
  readonly struct: Slice | undefined;
  /** Connection details and whatever else is in the message beside object and readiness. */
  readonly others: readonly Slice[];
  readonly ready: number;
};

/** Values of the enum Ready. */
export const readyUnspecified = 0;
export const readyTrue = 1;
export const readyFalse = 2;

/** Most composed or required resources of one request; far above what 4 MiB of answer can hold. */
const entriesMax = 100_000;

/** Takes a request apart. Throws a WireError when the bytes are no RunFunctionRequest. */
export function decodeRequest(bytes: Buffer): Request {
  const whole: Slice = { bytes, start: 0, end: bytes.length };
  const parts = new Map<number, Slice>();
  const required = new Map<string, readonly Slice[]>();
  const extra = new Map<string, readonly Slice[]>();
  readFields(whole, (field) => {
    const name = fieldNames[field.number];
    if (name === undefined) return;
    expectBytes(field, name);
    if (field.number === fieldRequired || field.number === fieldExtra) {
      const map = field.number === fieldRequired ? required : extra;
      addEntry(map, readMapEntry(sliceOf(whole, field)), readItems);
      return;
    }
    setOnce(parts, field.number, sliceOf(whole, field), name);
  });
  for (const [name, items] of extra) if (!required.has(name)) required.set(name, items);
  return {
    ...readMeta(parts.get(1)),
    observed: readState(parts.get(2)),
    desired: readState(parts.get(3)),
    input: parts.get(4),
    context: parts.get(5),
    required,
  };
}

const fieldExtra = 6;
const fieldRequired = 8;
const fieldNames: Readonly<Record<number, string>> = {
  1: "meta",
  2: "observed",
  3: "desired",
  4: "input",
  5: "context",
  6: "extra_resources",
  8: "required_resources",
};

/** Two of a singular message would be merged by protobuf's rules; nobody sends that, so it is refused. */
function setOnce(parts: Map<number, Slice>, number: number, value: Slice, name: string): void {
  if (parts.has(number)) throw new WireError(`${name} comes twice`);
  parts.set(number, value);
}

function readMeta(meta: Slice | undefined): Pick<Request, "tag" | "tellsCapabilities"> {
  let tag = "";
  let tellsCapabilities = false;
  if (meta === undefined) return { tag, tellsCapabilities };
  readFields(meta, (field) => {
    // An empty list, which some encoders write, tells nothing.
    if (field.number === 2) tellsCapabilities ||= field.wireType !== 2 || field.end > field.start;
    if (field.number !== 1) return;
    expectBytes(field, "meta.tag");
    tag = textOf(meta, field);
  });
  return { tag, tellsCapabilities };
}

function readState(whole: Slice | undefined): State {
  const resources = new Map<string, ResourceBytes>();
  let composite: ResourceBytes | undefined;
  if (whole === undefined) return { whole, composite, resources };
  readFields(whole, (field) => {
    if (field.number === 1) {
      expectBytes(field, "composite");
      if (composite !== undefined) throw new WireError("composite comes twice");
      composite = readResource(sliceOf(whole, field));
    }
    if (field.number === 2) {
      expectBytes(field, "resources");
      addEntry(resources, readMapEntry(sliceOf(whole, field)), readResource);
    }
  });
  return { whole, composite, resources: sortedMap(resources) };
}

const sortedMap = <T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> =>
  new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));

function readResource(whole: Slice): ResourceBytes {
  let struct: Slice | undefined;
  let ready = readyUnspecified;
  const others: Slice[] = [];
  let start = whole.start;
  readFields(whole, (field) => {
    if (field.number === 1) {
      expectBytes(field, "resource");
      if (struct !== undefined) throw new WireError("resource comes twice");
      struct = sliceOf(whole, field);
    }
    if (field.number === 3) ready = readReady(field);
    if (field.number !== 1 && field.number !== 3) {
      others.push({ bytes: whole.bytes, start, end: field.end });
    }
    start = field.end;
  });
  return { whole, struct, others, ready };
}

function readReady(field: WireField): number {
  if (field.wireType !== 0) throw new WireError("ready is not an enum");
  return field.value;
}

type MapEntry = { readonly key: string; readonly value: Slice };

function readMapEntry(slice: Slice): MapEntry {
  let key = "";
  let value: Slice = { bytes: slice.bytes, start: slice.end, end: slice.end };
  readFields(slice, (field) => {
    if (field.number !== 1 && field.number !== 2) return;
    expectBytes(field, "a map entry");
    if (field.number === 1) key = textOf(slice, field);
    if (field.number === 2) value = sliceOf(slice, field);
  });
  return { key, value };
}

function addEntry<T>(map: Map<string, T>, entry: MapEntry, read: (slice: Slice) => T): void {
  if (map.size >= entriesMax) throw new WireError(`a map has more than ${entriesMax} entries`);
  if (map.has(entry.key)) throw new WireError("a map has the same key twice");
  map.set(entry.key, read(entry.value));
}

/** Structs of a Resources message: `items` of which each is a Resource. */
function readItems(resources: Slice): readonly Slice[] {
  const items: Slice[] = [];
  readFields(resources, (field) => {
    if (field.number !== 1) return;
    expectBytes(field, "items");
    const { struct } = readResource(sliceOf(resources, field));
    if (struct !== undefined) items.push(struct);
  });
  return items.length < 2 ? items : sortedItems(items);
}

function sortedItems(items: readonly Slice[]): readonly Slice[] {
  const keyed = items.map((item) => ({ item, key: identityOf(item) }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ item }) => item);
}

function identityOf(item: Slice): string {
  const metadata = structAt(item, "metadata");
  const text = (key: string): string => {
    const value = metadata && decodeKey(metadata, key);
    return typeof value === "string" ? value : "";
  };
  return `${text("namespace")}/${text("name")}`;
}
