// SPDX-License-Identifier: Apache-2.0

/**
 * Short texts repeat without end in Kubernetes objects (keys, kinds, regions), and making a string from bytes is the
 * dearest step of decoding. A fixed table of the last ones seen turns it into a comparison.
 */
const slots = 8192;
const table: (string | undefined)[] = Array.from({ length: slots });

/** Longest text that is kept, in bytes: the longest usual annotation keys still fit. */
const internedBytesMax = 48;

/** The text in `bytes` from `start` to `end`, the very same string for the same short ASCII bytes. */
export function internText(bytes: Buffer, start: number, end: number): string {
  const length = end - start;
  if (length === 0) return "";
  if (length > internedBytesMax) return bytes.toString("utf8", start, end);
  // Every second byte tells texts apart well enough; what is found is compared in full.
  const step = length <= 12 ? 1 : 2;
  let hash = length;
  for (let i = end - 1; i >= start; i -= step) hash = (Math.imul(hash, 31) + (bytes[i] ?? 0)) | 0;
  const slot = (hash ^ (hash >>> 15)) & (slots - 1);
  const known = table[slot];
  if (known !== undefined && known.length === length && sameAscii(known, bytes, start))
    return known;
  const fresh = bytes.toString("utf8", start, end);
  // Texts beyond ASCII have fewer characters than bytes, and are not kept.
  if (fresh.length === length) table[slot] = fresh;
  return fresh;
}

function sameAscii(text: string, bytes: Buffer, start: number): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== bytes[start + i]) return false;
  }
  return true;
}
