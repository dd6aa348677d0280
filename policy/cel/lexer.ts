// SPDX-License-Identifier: Apache-2.0
import { unescapeText } from "./literals.ts";

export type TokenKind =
  | "ident"
  /** An identifier in backticks, allowed as a field name only. */
  | "quotedIdent"
  | "int"
  | "uint"
  | "double"
  | "string"
  | "bytes"
  /** Operators, brackets and the keywords `in`, `true`, `false`, `null`. */
  | "symbol"
  | "end";

export type Token = {
  readonly kind: TokenKind;
  /** As written; for identifiers the name, for symbols the symbol. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** Value of a string or bytes literal. */
  readonly value: string | Uint8Array | undefined;
};

export type SyntaxProblem = { readonly position: number; readonly message: string };

export type Lexed =
  | { readonly ok: true; readonly tokens: readonly Token[] }
  | { readonly ok: false; readonly problem: SyntaxProblem };

const keywords = new Set(["in", "true", "false", "null"]);
const blank = /[\t \r\n\f]+|\/\/[^\n]*/y;
const identifier = /[_a-zA-Z][_a-zA-Z0-9]*/y;
const quotedIdentifier = /`[a-zA-Z0-9_.\-/ ]+`/y;
const number =
  /0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)|[0-9]+[uU]?/y;
const symbol = /==|!=|<=|>=|&&|\|\||[<>[\]{}().,\-!?:+*/%]/y;
/** Prefix and opening quote of a string or bytes literal. */
const quote = /([bB]?)([rR]?)("""|'''|"|')/y;
/**
 * The rest of a literal by its quote. Escapes are matched as a backslash and any character, so that a quote after a
 * backslash does not end the text; which escapes exist is checked when the text is unescaped.
 */
const rest: Readonly<Record<string, RegExp>> = {
  '"': /(?:[^"\\\r\n]|\\[^\r\n])*"/y,
  "'": /(?:[^'\\\r\n]|\\[^\r\n])*'/y,
  '"""': /(?:[^"\\]|\\[^]|"(?!""))*"""/y,
  "'''": /(?:[^'\\]|\\[^]|'(?!''))*'''/y,
  'r"': /[^"\r\n]*"/y,
  "r'": /[^'\r\n]*'/y,
  'r"""': /(?:[^"]|"(?!""))*"""/y,
  "r'''": /(?:[^']|'(?!''))*'''/y,
};

/** Where the text that a pattern finds at a position ends, -1 when it finds none. */
function endOf(pattern: RegExp, source: string, position: number): number {
  pattern.lastIndex = position;
  return pattern.test(source) ? pattern.lastIndex : -1;
}

/** Splits a source into tokens; the last one is the end. All patterns are linear in the length of the source. */
export function lex(source: string): Lexed {
  const tokens: Token[] = [];
  let position = 0;
  for (;;) {
    const skipped = endOf(blank, source, position);
    if (skipped > 0) {
      position = skipped;
      continue;
    }
    if (position >= source.length) break;
    const token = nextToken(source, position);
    if ("message" in token) return { ok: false, problem: token };
    tokens.push(token);
    position = token.end;
  }
  tokens.push({
    kind: "end",
    text: "<EOF>",
    start: source.length,
    end: source.length,
    value: undefined,
  });
  return { ok: true, tokens };
}

/** What can start a string or bytes literal, and what an identifier: most tokens are told by their first character. */
const startsText = /["'bBrR]/;
const startsNumber = /[0-9.]/;

function nextToken(source: string, start: number): Token | SyntaxProblem {
  const first = source.charAt(start);
  if (startsText.test(first) && endOf(quote, source, start) > 0) return textToken(source, start);
  const name = endOf(identifier, source, start);
  if (name > 0) {
    const text = source.slice(start, name);
    return makeToken(keywords.has(text) ? "symbol" : "ident", text, start, name);
  }
  const digits = startsNumber.test(first) ? endOf(number, source, start) : -1;
  if (digits > 0) {
    const text = source.slice(start, digits);
    return makeToken(numberKind(text), text, start, digits);
  }
  const mark = endOf(symbol, source, start);
  if (mark > 0) return makeToken("symbol", source.slice(start, mark), start, mark);
  const quoted = endOf(quotedIdentifier, source, start);
  if (quoted > 0) {
    return makeToken("quotedIdent", source.slice(start + 1, quoted - 1), start, quoted);
  }
  return unrecognized(source, start);
}

function numberKind(digits: string): "int" | "uint" | "double" {
  if (/[uU]$/.test(digits)) return "uint";
  return digits.startsWith("0x") || /^[0-9]+$/.test(digits) ? "int" : "double";
}

const makeToken = (
  kind: TokenKind,
  text: string,
  start: number,
  end: number,
  value?: string | Uint8Array,
): Token => ({ kind, text, start, end, value });

function textToken(source: string, start: number): Token | SyntaxProblem {
  quote.lastIndex = start;
  const [prefix = "", bytes = "", raw = "", marks = ""] = quote.exec(source) ?? [];
  const isBytes = bytes !== "";
  const isRaw = raw !== "";
  const from = start + prefix.length;
  const ending = rest[`${isRaw ? "r" : ""}${marks}`];
  const end = ending === undefined ? -1 : endOf(ending, source, from);
  if (end < 0) return unrecognized(source, start);
  const text = source.slice(from, end - marks.length).replace(/\r\n?/g, "\n");
  const unescaped = unescapeText(text, isBytes, isRaw);
  if ("problem" in unescaped) {
    return unescaped.problem === "escape"
      ? unrecognized(source, start)
      : { position: start, message: "invalid unicode code point" };
  }
  const kind = isBytes ? "bytes" : "string";
  return makeToken(kind, source.slice(start, end), start, end, unescaped.value);
}

/** ANTLR's words for characters that begin no token. */
function unrecognized(source: string, position: number): SyntaxProblem {
  const text = String.fromCodePoint(source.codePointAt(position) ?? 0);
  return { position, message: `Syntax error: token recognition error at: '${text}'` };
}
