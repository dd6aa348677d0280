// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Companion } from "./companions.ts";
import type { Composed } from "./composed.ts";
import type { Composite } from "./composite.ts";
import type { CompiledGuard } from "./policies.ts";
import { decodeLike } from "./wire/like.ts";
import { WireError, type Slice } from "./wire/reader.ts";

/** A composed resource that was judged before and that nothing stood against. */
export type Settled = {
  readonly composed: Composed;
  readonly companions: readonly Companion[];
};

/** What a verdict was a function of; a memory counts only while all of it is the same. */
export type MemoKey = {
  readonly composite: Composite;
  readonly guard: CompiledGuard;
  readonly name: string;
  readonly desired: Slice;
  readonly observed: Slice | undefined;
};

/**
 * Crossplane asks again and again about the same state. A resource whose desired and observed objects are the same as
 * when nothing stood against it, under the same policies, is not decoded and judged anew; comparing costs a fraction of
 * that. Never remembered: violations, and verdicts of policies that looked at anything beside the object.
 */
export type Memo = {
  readonly recall: (key: MemoKey) => Recalled;
  readonly remember: (key: MemoKey, settled: Settled) => void;
  readonly size: () => number;
};

/** A verdict, when everything is the same; else the two objects, decoded, with what did not change shared. */
export type Recalled = {
  readonly settled: Settled | undefined;
  readonly given: JsonObject | undefined;
  readonly live: JsonObject | undefined;
};

const nothing: Recalled = { settled: undefined, given: undefined, live: undefined };

/** Most bytes of encoded objects that are remembered in decoded form, and most entries. */
const bytesMax = 16 * 1024 * 1024;
const entriesMax = 20_000;

type Entry = Settled & {
  readonly guard: CompiledGuard;
  readonly composite: string;
  /** Of the encoded objects. */
  readonly bytes: number;
};

export function makeMemo(): Memo {
  const entries = new Map<string, Entry>();
  let bytes = 0;
  const forget = (id: string) => {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.delete(id);
    bytes -= entry.bytes;
  };
  return {
    recall: (key) => {
      const entry = entries.get(idOf(key));
      return entry === undefined ? nothing : recallFrom(entry, key);
    },
    remember: (key, { composed, companions }) => {
      const id = idOf(key);
      forget(id);
      const entry: Entry = {
        composed,
        companions,
        guard: key.guard,
        composite: key.composite.identity,
        bytes: lengthOf(key.desired) + lengthOf(key.observed),
      };
      entries.set(id, entry);
      bytes += entry.bytes;
      for (const oldest of entries.keys()) {
        if (bytes <= bytesMax && entries.size <= entriesMax) break;
        forget(oldest);
      }
    },
    size: () => entries.size,
  };
}

const idOf = ({ composite, name }: MemoKey): string => `${composite.uid}/${composite.name}/${name}`;

const lengthOf = (slice: Slice | undefined): number =>
  slice === undefined ? 0 : slice.end - slice.start;

function recallFrom(entry: Entry, key: MemoKey): Recalled {
  const known = entry.composed;
  const given = partLike(known.given, key.desired);
  const live = partLike(known.live, key.observed);
  const isAll =
    given === known.given &&
    live === known.live &&
    (live === undefined) === (key.observed === undefined) &&
    entry.guard === key.guard &&
    entry.composite === key.composite.identity;
  return { settled: isAll ? entry : undefined, given, live };
}

/** Malformed bytes are like nothing: whoever decodes them names the resource, whatever was known of it before. */
function partLike(known: JsonObject | undefined, slice: Slice | undefined): JsonObject | undefined {
  if (known === undefined || slice === undefined) return undefined;
  try {
    return decodeLike(known, slice);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
