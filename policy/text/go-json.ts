// SPDX-License-Identifier: Apache-2.0
import { isArray, parseJson as parseText, type Json } from "#policy/json";
import { sortedKeys } from "#policy/text/order";
import { quoteText } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Deepest nesting that is read: encoding/json allows 10,000, but everything after it recurses. */
export const jsonDepthMax = 1_000;

/** Reads JSON that stands in a policy or a resource. Never throws. */
export function parseJson(text: string): Parsed<Json> {
  if (deepestNesting(text) > jsonDepthMax) return unparsed("exceeded max depth");
  try {
    return parsed(parseText(text));
  } catch {
    return unparsed(describeFault(text));
  }
}

/** A value as Go's json.Marshal writes it: keys sorted, no spaces, `<`, `>` and `&` escaped. */
export function marshalJson(value: Json): string {
  const json = write(value);
  return /[<>&\u2028\u2029]/.test(json) ? json.replaceAll(/[<>&\u2028\u2029]/g, escaped) : json;
}

function write(value: Json): string {
  if (isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const keys = sortedKeys(value);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${write(value[key] ?? null)}`).join(",")}}`;
}

const escaped = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** Bracket depth, brackets inside strings included: too careful is right here. */
function deepestNesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x5b || code === 0x7b) depth += 1;
    else if (code === 0x5d || code === 0x7d) depth -= 1;
    if (depth > deepest) deepest = depth;
  }
  return deepest;
}

function describeFault(text: string): string {
  const start = /[^ \t\r\n]/.exec(text)?.[0];
  if (start === undefined) return "unexpected end of JSON input";
  if (/[-0-9"[{tfn]/.test(start)) return `invalid JSON: ${quoteText(text.slice(0, 80))}`;
  return `invalid character '${start}' looking for beginning of value`;
}
