// SPDX-License-Identifier: Apache-2.0

const hasSurrogate = /[\ud800-\udfff]/;

/** Orders texts as Go does, by the bytes of UTF-8; JavaScript's `<` differs above U+FFFF. */
export function byCodePoint(a: string, b: string): number {
  if (hasSurrogate.test(a) || hasSurrogate.test(b)) {
    return Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
  }
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
