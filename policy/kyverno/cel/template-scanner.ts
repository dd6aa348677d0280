// SPDX-License-Identifier: Apache-2.0

export type Segment = { readonly is: "text" | "expression"; readonly text: string };

export type Scanned =
  | { readonly ok: true; readonly segments: readonly Segment[] }
  | { readonly ok: false; readonly message: string };

/** Whether a text has a `((` that is not escaped. */
export const containsPlaceholder = (text: string): boolean =>
  text.replaceAll("\\((", "").includes("((");

/**
 * Splits a text at its `(( expression ))` placeholders. Parentheses and string literals inside an expression are
 * followed, so that `(( string(f(x)) ))` and `(( "))".size() ))` end where they should.
 */
export function scanPlaceholders(text: string): Scanned {
  const segments: Segment[] = [];
  let literal = "";
  let index = 0;
  while (index < text.length) {
    if (text.startsWith("\\((", index)) {
      literal += "((";
      index += 3;
      continue;
    }
    if (!text.startsWith("((", index)) {
      literal += text[index] ?? "";
      index += 1;
      continue;
    }
    const end = findEnd(text, index);
    if (typeof end === "string") return { ok: false, message: end };
    const expression = text.slice(index + 2, end).trim();
    if (expression === "") return { ok: false, message: `empty placeholder at offset ${index}` };
    if (literal !== "") segments.push({ is: "text", text: literal });
    literal = "";
    segments.push({ is: "expression", text: expression });
    index = end + 2;
  }
  if (literal !== "") segments.push({ is: "text", text: literal });
  return { ok: true, segments };
}

/** Where the closing `))` of the placeholder at `start` begins, or what is wrong with it. */
function findEnd(text: string, start: number): number | string {
  let depth = 0;
  let quote = "";
  for (let index = start + 2; index < text.length; index += 1) {
    const char = text[index] ?? "";
    if (quote !== "") {
      if (char === "\\") index += 1;
      if (char === quote) quote = "";
      continue;
    }
    if (char === '"' || char === "'") quote = char;
    if (char === "(") depth += 1;
    if (char !== ")") continue;
    if (depth === 0) {
      if (text[index + 1] === ")") return index;
      return `unbalanced parenthesis in placeholder starting at offset ${start}`;
    }
    depth -= 1;
  }
  if (quote !== "") return `unterminated string literal in placeholder starting at offset ${start}`;
  return `unterminated placeholder starting at offset ${start}: missing closing '))'`;
}
