// SPDX-License-Identifier: Apache-2.0
import { textAt, type JsonObject } from "#policy/json";
import type { Companion } from "./companions.ts";
import type { Composed } from "./composed.ts";
import type { Composite } from "./composite.ts";
import type { CompiledGuard } from "./policies.ts";
import type { Slice } from "./wire/reader.ts";
import { sameStruct } from "./wire/same.ts";
import { decodeKey, structAt } from "./wire/struct.ts";

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

/** A verdict, when everything is the same; else those of the two objects that are, decoded. */
export type Recalled = {
  readonly settled: Settled | undefined;
  readonly given: JsonObject | undefined;
  readonly live: JsonObject | undefined;
};

const nothing: Recalled = { settled: undefined, given: undefined, live: undefined };

/** Most bytes of encoded objects that are remembered in decoded form, and most entries. */
const bytesMax = 32 * 1024 * 1024;
const entriesMax = 20_000;

type Entry = Settled & {
  readonly guard: CompiledGuard;
  readonly composite: string;
  readonly desiredLength: number;
  readonly observedLength: number;
};

export function makeMemo(): Memo {
  const entries = new Map<string, Entry>();
  let bytes = 0;
  const forget = (id: string) => {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.delete(id);
    bytes -= entry.desiredLength + entry.observedLength;
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
        desiredLength: lengthOf(key.desired),
        observedLength: lengthOf(key.observed),
      };
      entries.set(id, entry);
      bytes += entry.desiredLength + entry.observedLength;
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
  slice === undefined ? -1 : slice.end - slice.start;

function recallFrom(entry: Entry, key: MemoKey): Recalled {
  const { given, live } = entry.composed;
  const isGiven = isSameObject(given, entry.desiredLength, key.desired);
  const isLive =
    sameVersion(live, key.observed) && isSameObject(live, entry.observedLength, key.observed);
  const isAll =
    isGiven && isLive && entry.guard === key.guard && entry.composite === key.composite.identity;
  return {
    settled: isAll ? entry : undefined,
    given: isGiven ? given : undefined,
    live: isLive ? live : undefined,
  };
}

/** A live object of another resourceVersion has changed: no need to look where. */
function sameVersion(live: JsonObject | undefined, observed: Slice | undefined): boolean {
  const metadata = observed && structAt(observed, "metadata");
  if (live === undefined || metadata === undefined) return true;
  const version = decodeKey(metadata, "resourceVersion");
  return version === undefined || version === textAt(live, ["metadata", "resourceVersion"]);
}

/** The encoded length does not depend on the order of keys, so it tells most changes without a look at the bytes. */
function isSameObject(
  object: JsonObject | undefined,
  length: number,
  slice: Slice | undefined,
): boolean {
  if (length !== lengthOf(slice)) return false;
  if (object === undefined || slice === undefined) return object === slice;
  return sameStruct(object, slice);
}
