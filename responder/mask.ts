// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { isArray } from "#policy/json";

/** What looks like a credential in a command line or a message. Each alternative is linear in the text. */
const secrets: readonly (readonly [RegExp, string])[] = [
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, "[masked token]"],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, "[masked key id]"],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, "$1 [masked]"],
  [/(:\/\/[^\s/:@]{1,128}:)[^\s/@]{1,256}@/g, "$1[masked]@"],
  [
    /((?:password|passwd|pwd|secret|token|api[_-]?key|credentials?)["']?\s{0,4}[=:]\s{0,4})["']?[^\s"',;&]{1,512}/gi,
    "$1[masked]",
  ],
];

/** A text from outside for records that many may read: credentials masked. Hunting for others' secrets is not the reader's job. */
export function mask(text: string): string {
  let masked = text;
  for (const [pattern, replacement] of secrets) masked = masked.replaceAll(pattern, replacement);
  return masked;
}

/** Names of values that are credentials, whatever they look like. */
const secretName = /pass|secret|token|credential|api[_-]?key|private[_-]?key|auth/i;
const depthMax = 60;

/** The same for a whole object: each text masked, and the values of environment variables whose name tells what they are. */
export function maskJson(value: Json, depth = 0): Json {
  if (typeof value === "string") return mask(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= depthMax) return "[too deep]";
  if (isArray(value)) return value.map((item) => maskJson(item, depth + 1));
  const isNamedSecret =
    typeof value["name"] === "string" &&
    typeof value["value"] === "string" &&
    secretName.test(value["name"]);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      isNamedSecret && key === "value" ? "[masked]" : maskJson(item, depth + 1),
    ]),
  );
}
