// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { quoteText } from "#policy/kubernetes/go-text";
import { parseJson } from "#policy/text/go-json";

/** Token kinds by the reference's names, which its syntax errors print. */
export type TokenKind =
  | "tUnknown"
  | "tStar"
  | "tDot"
  | "tFilter"
  | "tFlatten"
  | "tLparen"
  | "tRparen"
  | "tLbracket"
  | "tRbracket"
  | "tLbrace"
  | "tRbrace"
  | "tOr"
  | "tPipe"
  | "tNumber"
  | "tUnquotedIdentifier"
  | "tQuotedIdentifier"
  | "tComma"
  | "tColon"
  | "tLT"
  | "tLTE"
  | "tGT"
  | "tGTE"
  | "tEQ"
  | "tNE"
  | "tJSONLiteral"
  | "tStringLiteral"
  | "tCurrent"
  | "tExpref"
  | "tAnd"
  | "tNot"
  | "tEOF";

/** `text` is decoded for identifiers and strings; `literal` is the value of a JSON literal. */
export type Token = {
  readonly kind: TokenKind;
  readonly text: string;
  readonly literal: Json;
};

/** The text of a syntax error, without its `SyntaxError: ` where the reference prints none. */
export class SyntaxFault {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

const single: Readonly<Record<string, TokenKind>> = {
  ".": "tDot",
  "*": "tStar",
  ",": "tComma",
  ":": "tColon",
  "{": "tLbrace",
  "}": "tRbrace",
  "]": "tRbracket",
  "(": "tLparen",
  ")": "tRparen",
  "@": "tCurrent",
};

/** Characters that may be doubled: second character, kind with it, kind without it. */
const paired: Readonly<Record<string, readonly [string, TokenKind, TokenKind]>> = {
  "|": ["|", "tOr", "tPipe"],
  "<": ["=", "tLTE", "tLT"],
  ">": ["=", "tGTE", "tGT"],
  "!": ["=", "tNE", "tNot"],
  "=": ["=", "tEQ", "tUnknown"],
  "&": ["&", "tAnd", "tExpref"],
};

const identifier = /[A-Za-z_][A-Za-z0-9_]*/y;
const integer = /-?[0-9]*/y;

/** Splits an expression into tokens as the fork's lexer does. Ends with tEOF. */
export function tokenize(expression: string): readonly Token[] | SyntaxFault {
  const tokens: Token[] = [];
  let position = 0;
  while (position < expression.length) {
    const read = readToken(expression, position);
    if (read instanceof SyntaxFault) return read;
    if (read.token !== undefined) tokens.push(read.token);
    position = read.end;
  }
  tokens.push(plain("tEOF", ""));
  return tokens;
}

type Read = { readonly token: Token | undefined; readonly end: number };

const plain = (kind: TokenKind, text: string): Token => ({ kind, text, literal: null });

function readToken(source: string, start: number): Read | SyntaxFault {
  const first = source.charAt(start);
  if (" \t\n\r".includes(first)) return { token: undefined, end: start + 1 };
  const kind = single[first];
  if (kind !== undefined) return { token: plain(kind, first), end: start + 1 };
  const pair = paired[first];
  if (pair !== undefined) return readPair(source, start, pair);
  if (first === "[") return readBracket(source, start);
  if (first === "'") return readRawString(source, start + 1);
  if (first === '"') return readQuotedIdentifier(source, start + 1);
  if (first === "`") return readLiteral(source, start + 1);
  if (/[A-Za-z_]/.test(first)) return readBy(identifier, "tUnquotedIdentifier", source, start);
  if (/[-0-9]/.test(first)) return readBy(integer, "tNumber", source, start);
  const character = String.fromCodePoint(source.codePointAt(start) ?? 0);
  return new SyntaxFault(`SyntaxError: Unknown char: ${quoteRune(character)}`);
}

function readBy(pattern: RegExp, kind: TokenKind, source: string, start: number): Read {
  pattern.lastIndex = start;
  const text = pattern.exec(source)?.[0] ?? "";
  return { token: plain(kind, text), end: start + text.length };
}

function readPair(
  source: string,
  start: number,
  [second, doubled, alone]: readonly [string, TokenKind, TokenKind],
): Read {
  const isDoubled = source.charAt(start + 1) === second;
  const end = start + (isDoubled ? 2 : 1);
  return { token: plain(isDoubled ? doubled : alone, source.slice(start, end)), end };
}

function readBracket(source: string, start: number): Read {
  const next = source.charAt(start + 1);
  if (next === "?") return { token: plain("tFilter", "[?"), end: start + 2 };
  if (next === "]") return { token: plain("tFlatten", "[]"), end: start + 2 };
  return { token: plain("tLbracket", "["), end: start + 1 };
}

/** Only `\'` is an escape in a raw string. */
function readRawString(source: string, start: number): Read | SyntaxFault {
  let text = "";
  let position = start;
  while (position < source.length) {
    const character = source.charAt(position);
    if (character === "'") return { token: plain("tStringLiteral", text), end: position + 1 };
    const escaped = character === "\\" && source.charAt(position + 1) === "'";
    text += escaped ? "'" : character;
    position += escaped ? 2 : 1;
  }
  return new SyntaxFault("SyntaxError: Unclosed delimiter: '");
}

function readQuotedIdentifier(source: string, start: number): Read | SyntaxFault {
  const end = closing(source, start, '"');
  if (end === -1) return new SyntaxFault('SyntaxError: Unclosed delimiter: "');
  const decoded = parseJson(`"${source.slice(start, end)}"`);
  if (!decoded.ok) return new SyntaxFault(decoded.message);
  const text = typeof decoded.value === "string" ? decoded.value : "";
  return { token: plain("tQuotedIdentifier", text), end: end + 1 };
}

function readLiteral(source: string, start: number): Read | SyntaxFault {
  const end = closing(source, start, "`");
  if (end === -1) return new SyntaxFault("SyntaxError: Unclosed delimiter: `");
  const text = source.slice(start, end).replaceAll("\\`", "`");
  const decoded = parseJson(text);
  if (!decoded.ok) return new SyntaxFault(decoded.message);
  return { token: { kind: "tJSONLiteral", text, literal: decoded.value }, end: end + 1 };
}

function closing(source: string, start: number, delimiter: string): number {
  let position = start;
  while (position < source.length) {
    const character = source.charAt(position);
    if (character === delimiter) return position;
    position += character === "\\" ? 2 : 1;
  }
  return -1;
}

function quoteRune(character: string): string {
  const quoted = quoteText(character).slice(1, -1);
  return character === "'" ? "'\\''" : `'${quoted}'`;
}
