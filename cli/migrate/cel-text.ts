// SPDX-License-Identifier: Apache-2.0

/** A text as a CEL string literal. */
export function quote(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return `"${escaped}"`;
}

/** Words that the lexer keeps for itself; the other reserved words may follow a dot. */
const keywords = new Set(["in", "true", "false", "null"]);

export const isIdentifier = (name: string): boolean =>
  /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !keywords.has(name);

/** The member `key` of a map expression. */
export const member = (map: string, key: string): string =>
  isIdentifier(key) ? `${map}.${key}` : `${map}[${quote(key)}]`;

/** Whether a map expression has the key. */
export const hasMember = (map: string, key: string): string =>
  isIdentifier(key) ? `has(${map}.${key})` : `${quote(key)} in ${map}`;

/** A list of texts. */
export const quoteAll = (texts: readonly string[]): string => `[${texts.map(quote).join(", ")}]`;

/** Looser operators than `&&` and `||` need parentheses below them; `&&` below `||` gets them for readers. */
export const allOf = (terms: readonly string[]): string => joinTerms(terms, "&&", /^(\|\||\?)$/);
export const anyOf = (terms: readonly string[]): string => joinTerms(terms, "||", /^(&&|\?)$/);

function joinTerms(terms: readonly string[], operator: "&&" | "||", loose: RegExp): string {
  const [only] = terms;
  if (only === undefined) return operator === "&&" ? "true" : "false";
  return terms.length === 1
    ? only
    : terms.map((term) => parenthesize(term, loose)).join(` ${operator} `);
}

/** Puts parentheses around a term in which one of the operators stands outside of any bracket or string. */
export function parenthesize(term: string, loose = /^(&&|\|\||\?)$/): string {
  let depth = 0;
  for (const token of term.matchAll(/"(?:\\.|[^"\\])*"|[()[\]{}]|&&|\|\||\?(?=\s)/g)) {
    const [text] = token;
    if ("([{".includes(text)) depth += 1;
    else if (")]}".includes(text)) depth -= 1;
    else if (depth === 0 && loose.test(text)) return `(${term})`;
  }
  return term;
}

/** The term with `object` read as `oldObject`, as if the old object were created now; texts stay as they are. */
export const ofOldObject = (term: string): string =>
  term.replace(
    /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?<![\w.])object\b|\brequest\.operation\b|\bvariables\.([A-Za-z_]\w*)/g,
    (text, variable?: string) => {
      if (text === "object") return "oldObject";
      if (text === "request.operation") return '"CREATE"';
      return variable === undefined ? text : `variables.${oldName(variable)}`;
    },
  );

export const oldName = (name: string): string => `old_${name}`;

export const not = (term: string): string =>
  /^(has\(|[A-Za-z_][\w.]*\()/.test(term) &&
  parenthesize(term) === term &&
  !/\s/.test(topLevel(term))
    ? `!${term}`
    : `!(${term})`;

/** The term without what stands in brackets and strings. */
function topLevel(term: string): string {
  let depth = 0;
  let out = "";
  for (const token of term.matchAll(/"(?:\\.|[^"\\])*"|[()[\]{}]|[^"()[\]{}]+/g)) {
    const [text] = token;
    if ("([{".includes(text)) depth += 1;
    else if (")]}".includes(text)) depth -= 1;
    else if (depth === 0) out += text;
  }
  return out;
}

/** A word for one element of the list at `key`, unlike any in `taken`: `containers` gives `container`. */
export function elementName(key: string, taken: ReadonlySet<string>): string {
  const word = key.replace(/[^A-Za-z0-9_]/g, "");
  const singular = /[^s]s$/.test(word) ? word.slice(0, -1) : `${word}Item`;
  const base = isIdentifier(singular) ? singular : "item";
  let name = base;
  for (let count = 2; taken.has(name); count += 1) name = `${base}${count}`;
  return name;
}
