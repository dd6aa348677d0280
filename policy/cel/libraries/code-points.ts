// SPDX-License-Identifier: Apache-2.0

/** A text whose positions are code points, as CEL counts them; without surrogates those are JS's own. */
export type CodePoints = string | readonly string[];

/** The code points of a text: the text itself where one unit is one code point, which is nearly always. */
export const codePoints = (text: string): CodePoints =>
  // oxlint-disable-next-line no-misleading-character-class -- surrogates are looked for as units
  /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;

export const codePointSlice = (points: CodePoints, start: number, end?: number): string =>
  typeof points === "string" ? points.slice(start, end) : points.slice(start, end).join("");

/** The first place of `part` at or after `from`, in code points; -1 when there is none. */
export function findForward(points: CodePoints, part: CodePoints, from: number): number {
  if (typeof points === "string") return typeof part === "string" ? points.indexOf(part, from) : -1;
  for (let start = from; start + part.length <= points.length; start += 1) {
    if (matchesAt(points, part, start)) return start;
  }
  return -1;
}

/** The last place of `part` at or before `from`, in code points; -1 when there is none. */
export function findBackward(points: CodePoints, part: CodePoints, from: number): number {
  if (typeof points === "string") {
    return typeof part === "string" ? points.lastIndexOf(part, from) : -1;
  }
  for (let start = Math.min(from, points.length - part.length); start >= 0; start -= 1) {
    if (matchesAt(points, part, start)) return start;
  }
  return -1;
}

function matchesAt(points: readonly string[], part: CodePoints, start: number): boolean {
  for (let index = 0; index < part.length; index += 1) {
    if (points[start + index] !== part[index]) return false;
  }
  return true;
}
