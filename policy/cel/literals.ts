// SPDX-License-Identifier: Apache-2.0
import { int64Max, int64Min, intValue, Uint, uint64Max } from "./values.ts";

const simpleEscapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "`": "`",
  "?": "?",
};

const escape =
  /\\(?:([abfnrtv\\'"`?])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([^]|$))/g;

export type Unescaped =
  | { readonly value: string | Uint8Array }
  /** An escape that the grammar lacks, or a code point that is no character. */
  | { readonly problem: "escape" | "code point" };

/**
 * The value of a string or bytes literal's inner text. In bytes `\x41` and `\101` are bytes and `\u` is refused; in
 * strings they are code points. A code point must be a scalar value.
 */
export function unescapeText(text: string, isBytes: boolean, isRaw: boolean): Unescaped {
  if (isRaw || !text.includes("\\")) {
    return { value: isBytes ? new Uint8Array(Buffer.from(text, "utf8")) : text };
  }
  return isBytes ? unescapeBytes(text) : unescapeString(text);
}

function unescapeString(text: string): Unescaped {
  let problem: "escape" | "code point" | undefined;
  const value = text.replace(
    escape,
    (_all, mark?: string, hex?: string, u4?: string, u8?: string, octal?: string) => {
      if (mark !== undefined) return simpleEscapes[mark] ?? "";
      const digits = hex ?? u4 ?? u8;
      const point = digits !== undefined ? parseInt(digits, 16) : parseInt(octal ?? "", 8);
      if (isScalar(point)) return String.fromCodePoint(point);
      problem ??= Number.isNaN(point) ? "escape" : "code point";
      return "";
    },
  );
  return problem === undefined ? { value } : { problem };
}

function unescapeBytes(text: string): Unescaped {
  const parts: Buffer[] = [];
  let end = 0;
  for (const found of text.matchAll(escape)) {
    const [all, mark, hex, , , octal] = found;
    parts.push(Buffer.from(text.slice(end, found.index), "utf8"));
    end = found.index + all.length;
    if (mark !== undefined) {
      parts.push(Buffer.from(simpleEscapes[mark] ?? "", "latin1"));
      continue;
    }
    const byte = hex !== undefined ? parseInt(hex, 16) : parseInt(octal ?? "", 8);
    if (Number.isNaN(byte)) return { problem: "escape" };
    parts.push(Buffer.from([byte]));
  }
  parts.push(Buffer.from(text.slice(end), "utf8"));
  return { value: new Uint8Array(Buffer.concat(parts)) };
}

/** Whether a number is a code point that text may hold; NaN is not. */
const isScalar = (point: number): boolean =>
  (point >= 0 && point < 0xd800) || (point > 0xdfff && point <= 0x10ffff);

/** The value of an int literal with its sign; undefined when it does not fit int64. */
export function parseIntLiteral(text: string, negative: boolean): number | bigint | undefined {
  const size = BigInt(text);
  const value = negative ? -size : size;
  return value > int64Max || value < int64Min ? undefined : intValue(value);
}

export function parseUintLiteral(text: string): Uint | undefined {
  const value = BigInt(text.slice(0, -1));
  return value > uint64Max ? undefined : new Uint(value);
}
