// SPDX-License-Identifier: Apache-2.0
import { quoteText } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** The part of a URL that a text belongs to: each leaves other characters as they are. */
export type UrlPart = "path" | "host" | "zone" | "user" | "query" | "fragment";

const hostMarks = "-_.~!$&'()*+,;=:[]<>\"";

/** ASCII marks that need no escape in a part, beside letters and digits. Source: net/url, shouldEscape. */
const plainMarks: Readonly<Record<UrlPart, string>> = {
  path: "-_.~$&+,/:;=@",
  host: hostMarks,
  zone: hostMarks,
  user: "-_.~$&+,;=",
  query: "-_.~",
  fragment: "-_.~$&+,/:;=?@!()*",
};

/** Undoes %-escapes as Go's url.unescape. A sequence that is no UTF-8 becomes U+FFFD. Never throws. */
export function unescapeUrl(text: string, part: UrlPart): Parsed<string> {
  const strict = part === "host" || part === "zone";
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character === "%") {
      const triple = text.slice(index, index + 3);
      if (!/^%[0-9a-fA-F]{2}$/.test(triple) || !mayEscape(triple, part)) {
        return unparsed(`invalid URL escape ${quoteText(cutToBytes(triple))}`);
      }
      index += 2;
    } else if (strict && character < "\u0080" && !isPlain(character, part)) {
      return unparsed(`invalid character ${quoteText(character)} in host name`);
    }
  }
  const spaced = part === "query" ? text.replaceAll("+", " ") : text;
  return parsed(spaced.includes("%") ? decodeEscapes(spaced) : spaced);
}

/** Escapes what may not stand in the part, byte by byte. */
export function escapeUrl(text: string, part: UrlPart): string {
  let escaped = "";
  for (const character of text) {
    if (character < "\u0080" && isPlain(character, part)) escaped += character;
    else if (part === "query" && character === " ") escaped += "+";
    else escaped += percentBytes(character);
  }
  return escaped;
}

/** Whether a path or fragment is written so that it needs no further escapes. Source: net/url, validEncoded. */
export function isRawPath(text: string, part: "path" | "fragment" = "path"): boolean {
  for (const character of text) {
    if ("!$&'()*+,;=:@[]%".includes(character)) continue;
    if (character >= "\u0080" || !isPlain(character, part)) return false;
  }
  return true;
}

const isPlain = (character: string, part: UrlPart): boolean =>
  /^[A-Za-z0-9]$/.test(character) || plainMarks[part].includes(character);

/** In a host only bytes beyond ASCII may be escaped, and a percent sign; in a zone also what a host may hold. */
function mayEscape(triple: string, part: UrlPart): boolean {
  if ((part !== "host" && part !== "zone") || triple === "%25") return true;
  const code = Number.parseInt(triple.slice(1), 16);
  if (part === "host") return code >= 0x80;
  return code === 0x20 || (code < 0x80 && isPlain(String.fromCharCode(code), part));
}

/** Go quotes at most three bytes of a broken escape. */
function cutToBytes(text: string): string {
  return Buffer.from(text, "utf8").subarray(0, 3).toString("utf8");
}

function decodeEscapes(text: string): string {
  const bytes: number[] = [];
  for (const piece of text.split(/(%[0-9a-fA-F]{2})/)) {
    if (piece.length === 3 && piece.startsWith("%"))
      bytes.push(Number.parseInt(piece.slice(1), 16));
    else for (const byte of Buffer.from(piece, "utf8")) bytes.push(byte);
  }
  return Buffer.from(bytes).toString("utf8");
}

const percentBytes = (character: string): string =>
  Array.from(
    Buffer.from(character, "utf8"),
    (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
