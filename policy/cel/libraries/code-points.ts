// SPDX-License-Identifier: Apache-2.0
import { codePointLength } from "#policy/cel/text";

/** Whether a text has characters of two UTF-16 units: only then do positions differ from JS's. */
const isWide = (text: string): boolean => /[\ud800-\udbff]/.test(text);

/** The number of code points, which is what CEL counts. */
export const lengthOf = (text: string): number =>
  isWide(text) ? codePointLength(text) : text.length;

/** The part of a text between two positions in code points. */
export function sliceOf(text: string, start: number, end?: number): string {
  if (!isWide(text)) return text.slice(start, end);
  const from = unitOffset(text, 0, start);
  return end === undefined
    ? text.slice(from)
    : text.slice(from, unitOffset(text, from, end - start));
}

/** The first place of `part` at or after `from`, in code points; -1 when there is none. */
export function findForward(text: string, part: string, from: number): number {
  if (!isWide(text)) return text.indexOf(part, from);
  return pointsBefore(text, text.indexOf(part, unitOffset(text, 0, from)));
}

/** The last place of `part` at or before `from`, in code points; -1 when there is none. */
export function findBackward(text: string, part: string, from: number): number {
  if (!isWide(text)) return text.lastIndexOf(part, from);
  return pointsBefore(text, text.lastIndexOf(part, unitOffset(text, 0, from)));
}

const pointsBefore = (text: string, unit: number): number =>
  unit === -1 ? -1 : codePointLength(text.slice(0, unit));

/** The UTF-16 unit that is `points` code points after the unit `from`; the end at the most. */
function unitOffset(text: string, from: number, points: number): number {
  let unit = from;
  for (let count = 0; count < points && unit < text.length; count += 1) {
    unit += (text.codePointAt(unit) ?? 0) > 0xffff ? 2 : 1;
  }
  return unit;
}
