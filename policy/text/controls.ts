// SPDX-License-Identifier: Apache-2.0

/**
 * Characters that steer whoever shows them instead of being shown: controls of terminals, and marks that turn the
 * direction of writing around, so that what is read is not what is there (unicode.org/reports/tr9, CVE-2021-42574).
 */
const steering = /[\p{Cc}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/** The text with such characters written out, `\x1b` or `\u202e`; those in `kept`, such as line breaks, stay. */
export const showControls = (text: string, kept = ""): string =>
  text.replace(steering, (character) => (kept.includes(character) ? character : nameOf(character)));

function nameOf(character: string): string {
  if (character === "\n") return "\\n";
  const code = character.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
}
