// SPDX-License-Identifier: Apache-2.0

/** `/a~1b/0` -> ['a/b', '0']; undefined when it is not a pointer. */
export function parsePointer(pointer: string): readonly string[] | undefined {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) return undefined;
  return pointer
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The pointer of a path. */
export const pointerOf = (path: readonly string[]): string =>
  path.map((step) => `/${step.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** An index as RFC 6901 writes it, as far as a list can be that long. */
export const canonicalIndex = /^(?:0|[1-9]\d{0,8})$/;
/** What Go's strconv.Atoi takes, as far as a list can be that long. */
export const looseIndex = /^[+-]?\d{1,9}$/;

/** Where a step points in a list of a length; undefined when it points at nothing. */
export function indexOf(
  step: string,
  length: number,
  options: { readonly looseIndices?: boolean },
): number | undefined {
  const index = parseIndex(step, length, options);
  return index !== undefined && index < length ? index : undefined;
}

/** Where `add` or `replace` puts something: `add` may append. */
export function indexForWrite(
  step: string,
  length: number,
  op: "add" | "replace",
  options: { readonly looseIndices?: boolean },
): number | undefined {
  if (op === "replace") return indexOf(step, length, options);
  if (step === "-") return length;
  // Negative indices count from the end of the list as it will be: -1 appends.
  return indexOf(step, length + 1, options);
}

function parseIndex(
  step: string,
  length: number,
  options: { readonly looseIndices?: boolean },
): number | undefined {
  if (canonicalIndex.test(step)) return Number(step);
  if (options.looseIndices !== true || !looseIndex.test(step)) return undefined;
  const index = Number(step) < 0 ? length + Number(step) : Number(step);
  return index >= 0 ? index : undefined;
}
