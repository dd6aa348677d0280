// SPDX-License-Identifier: Apache-2.0
import type { Companion } from "./companions.ts";
import type { Composed } from "./composed.ts";
import type { Composite } from "./composite.ts";
import type { CompiledGuard } from "./policies.ts";
import type { Slice } from "./wire/reader.ts";
import { sameStruct } from "./wire/same.ts";

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
  readonly find: (key: MemoKey) => Settled | undefined;
  readonly remember: (key: MemoKey, settled: Settled) => void;
};

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
    find: (key) => {
      const entry = entries.get(idOf(key));
      return entry !== undefined && isSame(entry, key) ? entry : undefined;
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
  };
}

const idOf = ({ composite, name }: MemoKey): string => `${composite.uid}/${composite.name}/${name}`;

const lengthOf = (slice: Slice | undefined): number =>
  slice === undefined ? -1 : slice.end - slice.start;

/** The encoded length does not depend on the order of keys, so it tells most changes without a look at the bytes. */
function isSame(entry: Entry, key: MemoKey): boolean {
  if (entry.guard !== key.guard || entry.composite !== key.composite.identity) return false;
  if (entry.desiredLength !== lengthOf(key.desired)) return false;
  if (entry.observedLength !== lengthOf(key.observed)) return false;
  const { given, live } = entry.composed;
  if (key.observed !== undefined && (live === undefined || !sameStruct(live, key.observed))) {
    return false;
  }
  return sameStruct(given, key.desired);
}
