// SPDX-License-Identifier: Apache-2.0

/**
 * `/a~1b/0` -> ['a/b', '0']; undefined when it is not a pointer. `loose` takes what is before the first slash for
 * nothing, as evanphx/json-patch does.
 */
export function parsePointer(pointer: string, loose = false): readonly string[] | undefined {
  if (pointer === "") return [];
  const slash = pointer.indexOf("/");
  if (slash !== 0 && !(loose && slash > 0)) return undefined;
  return pointer
    .slice(slash + 1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** An index as RFC 6901 writes it, as far as a list can be that long. */
export const canonicalIndex = /^(?:0|[1-9]\d{0,8})$/;
/** What Go's strconv.Atoi takes, as far as a list can be that long. */
export const looseIndex = /^[+-]?\d{1,9}$/;

/**
 * Where a step points in a list of a length; undefined when it points at nothing. `loose` counts negative ones from the
 * end and takes `+1` and `01` too.
 */
export function indexOf(step: string, length: number, loose: boolean): number | undefined {
  if (!(loose ? looseIndex : canonicalIndex).test(step)) return undefined;
  const stated = Number(step);
  const index = stated < 0 ? length + stated : stated;
  return index >= 0 && index < length ? index : undefined;
}

/** Where `add` puts something: `-` and the index behind the last item append. */
export const indexForAdd = (step: string, length: number, loose: boolean): number | undefined =>
  // Negative indices count from the end of the list as it will be: -1 appends.
  step === "-" ? length : indexOf(step, length + 1, loose);
