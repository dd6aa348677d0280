// SPDX-License-Identifier: Apache-2.0

/** A planned wildcard pattern: says whether a text matches all of it. */
export type Wildcard = (text: string) => boolean;

/** Whether a text holds `*` or `?`. */
export const containsWildcard = (text: string): boolean => text.includes("*") || text.includes("?");

/**
 * Plans a pattern where `*` stands for any run of characters, empty ones too, and `?` for exactly one character
 * (Kyverno, ext/wildcard). Pieces between stars are looked for from left to right once, so no text makes it backtrack.
 */
export function compileWildcard(pattern: string): Wildcard {
  if (!containsWildcard(pattern)) return (text) => text === pattern;
  const pieces = pattern.split("*");
  const [first = "", ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return (text) => text.length === first.length && fits(first, text, 0);
  const middle = rest.filter((piece) => piece !== "");
  if (middle.length > 0) return (text) => matchPieces(first, middle, last, text);
  if (pattern.includes("?")) {
    const length = first.length + last.length;
    return (text) =>
      text.length >= length && fits(first, text, 0) && fits(last, text, text.length - last.length);
  }
  if (first === "") return last === "" ? () => true : (text) => text.endsWith(last);
  if (last === "") return (text) => text.startsWith(first);
  return (text) =>
    text.length >= first.length + last.length && text.startsWith(first) && text.endsWith(last);
}

/** Most patterns that are remembered; policies have a few hundred, resources can bring any number. */
const rememberedMax = 5_000;
/** Longest pattern that is remembered: a resource may bring megabytes. */
const rememberedLengthMax = 1_024;
const remembered = new Map<string, Wildcard>();

/** Whether a text matches a pattern that is only known now. Plans are remembered, the answer never depends on it. */
export function matchesWildcard(pattern: string, text: string): boolean {
  if (pattern === text || pattern === "*") return true;
  const known = remembered.get(pattern);
  if (known !== undefined) return known(text);
  const planned = compileWildcard(pattern);
  if (remembered.size < rememberedMax && pattern.length <= rememberedLengthMax) {
    remembered.set(pattern, planned);
  }
  return planned(text);
}

/** Plans a list of patterns of which one must match. */
export function compileWildcards(patterns: readonly string[]): Wildcard {
  const [only, ...others] = patterns.map((pattern) => compileWildcard(pattern));
  if (only === undefined) return () => false;
  if (others.length === 0) return only;
  const all = [only, ...others];
  return (text) => all.some((matches) => matches(text));
}

function matchPieces(
  first: string,
  middle: readonly string[],
  last: string,
  text: string,
): boolean {
  const end = text.length - last.length;
  if (end < first.length || !fits(first, text, 0) || !fits(last, text, end)) return false;
  let at = first.length;
  for (const piece of middle) {
    const found = find(piece, text, at, end);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return true;
}

/** Where the piece first fits between two positions, -1 when nowhere. */
function find(piece: string, text: string, from: number, end: number): number {
  if (!piece.includes("?")) {
    const found = text.indexOf(piece, from);
    return found >= 0 && found + piece.length <= end ? found : -1;
  }
  for (let at = from; at + piece.length <= end; at += 1) {
    if (fits(piece, text, at)) return at;
  }
  return -1;
}

/** Whether a piece without stars fits at a position of the text. */
function fits(piece: string, text: string, at: number): boolean {
  if (!piece.includes("?")) return text.startsWith(piece, at);
  if (at + piece.length > text.length) return false;
  for (let index = 0; index < piece.length; index += 1) {
    const wanted = piece[index];
    if (wanted !== "?" && wanted !== text[at + index]) return false;
  }
  return true;
}
