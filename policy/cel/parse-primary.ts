// SPDX-License-Identifier: Apache-2.0
import type { Expression, ListLiteral, MapLiteral, Span, StructLiteral } from "./ast.ts";
import type { Token } from "./lexer.ts";
import { parseIntLiteral, parseUintLiteral } from "./literals.ts";
import {
  endOfLast,
  expectSymbol,
  extraneous,
  fail,
  isSymbol,
  makeCall,
  makeLiteral,
  mismatch,
  parseArguments,
  peek,
  take,
  takeFieldName,
  takeOptionalMark,
  takeSymbol,
  type ParseState,
} from "./parse-state.ts";
import { doubleValue, type CelValue } from "./values.ts";

/** Words that CEL keeps for later: not allowed as variables or functions, but as field names. */
const reserved = new Set(
  "as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

/** What ANTLR lists where an expression should start; in lists and maps their end and `?` can stand there too. */
const literalStarts =
  "'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const startOfExpression = `{'[', '{', '(', '.', '-', '!', ${literalStarts}`;
const startOfElement = `{'[', ']', '{', '(', '.', ',', '-', '!', '?', ${literalStarts}`;
const startOfEntry = `{'[', '{', '}', '(', '.', ',', '-', '!', '?', ${literalStarts}`;

/** Whether an expression can start with a token: then ANTLR takes the one before for superfluous. */
const startsExpression = (token: Token): boolean =>
  token.kind === "symbol"
    ? ["[", "{", "(", ".", "-", "!", "true", "false", "null"].includes(token.text)
    : token.kind !== "end" && token.kind !== "quotedIdent";

const misplaced = (state: ParseState, token: Token, expected: string): string =>
  startsExpression(peek(state, 1)) ? extraneous(token, expected) : mismatch(token, expected);

/** Fails when a list or map neither ends nor goes on with an expression right behind its opening bracket. */
function checkFirst(state: ParseState, expected: string): void {
  const token = peek(state);
  const allowed = startsExpression(token) || ["]", "}", ",", "?"].includes(token.text);
  if (!allowed) fail(token.start, misplaced(state, token, expected));
}

/** A literal, name, call, list, map, message or expression in brackets. */
export function parsePrimary(state: ParseState): Expression {
  const token = peek(state);
  if (isSymbol(token, "(")) {
    take(state);
    const inner = state.expression(state);
    expectSymbol(state, ")");
    return { ...inner, span: spanFrom(state, inner.span.position, token.start) };
  }
  if (isSymbol(token, "[")) return parseList(state);
  if (isSymbol(token, "{")) return parseMap(state);
  if (token.kind === "ident" || isSymbol(token, ".")) return parseName(state);
  return parseLiteral(state);
}

function spanFrom(state: ParseState, position: number, start: number): Span {
  return { position, start, end: endOfLast(state) };
}

function parseLiteral(state: ParseState): Expression {
  const first = peek(state);
  const negative = takeSymbol(state, "-") !== undefined;
  const token = peek(state);
  const value = literalValue(token, negative);
  if (value === undefined) {
    return fail(token.start, misplaced(state, token, startOfExpression));
  }
  take(state);
  return makeLiteral(state, value, spanFrom(state, first.start, first.start));
}

function literalValue(token: Token, negative: boolean): CelValue | undefined {
  if (token.kind === "int") {
    return parseIntLiteral(token.text, negative) ?? fail(token.start, "invalid int literal");
  }
  if (token.kind === "double") {
    const value = Number(token.text) * (negative ? -1 : 1);
    if (!Number.isFinite(value)) fail(token.start, "invalid double literal");
    return doubleValue(value);
  }
  if (negative) return undefined;
  if (token.kind === "uint") {
    return parseUintLiteral(token.text) ?? fail(token.start, "invalid uint literal");
  }
  if (token.kind === "string" || token.kind === "bytes") return token.value;
  if (isSymbol(token, "true")) return true;
  if (isSymbol(token, "false")) return false;
  return isSymbol(token, "null") ? null : undefined;
}

/** `a`, `.a`, `f(x)`, and `a.b.C{...}`, which only looking ahead tells from a selection. */
function parseName(state: ParseState): Expression {
  const { start } = peek(state);
  const dot = takeSymbol(state, ".") === undefined ? "" : ".";
  const message = parseMessage(state, dot, start);
  if (message !== undefined) return message;
  const token = take(state);
  if (token.kind !== "ident") return fail(token.start, mismatch(token, "IDENTIFIER"));
  if (reserved.has(token.text)) fail(token.start, `reserved identifier: ${token.text}`);
  const name = dot + token.text;
  const open = takeSymbol(state, "(");
  if (open === undefined) {
    return { kind: "ident", id: state.nextId++, span: spanFrom(state, token.start, start), name };
  }
  const args = parseArguments(state);
  return makeCall(state, name, spanFrom(state, open.start, start), undefined, args);
}

function parseMessage(state: ParseState, dot: string, start: number): Expression | undefined {
  let ahead = 0;
  const names: string[] = [];
  for (;;) {
    const token = peek(state, ahead);
    if (token.kind !== "ident") return undefined;
    names.push(token.text);
    const after = peek(state, ahead + 1);
    if (isSymbol(after, "{")) break;
    if (!isSymbol(after, ".")) return undefined;
    ahead += 2;
  }
  state.index += ahead + 1;
  const open = expectSymbol(state, "{");
  const fields: StructLiteral["fields"][number][] = [];
  while (takeSymbol(state, "}") === undefined) {
    const optional = takeOptionalMark(state);
    const name = takeFieldName(state);
    if (name.kind !== "ident" && name.kind !== "quotedIdent") {
      // ANTLR drops a superfluous token where the next one fits.
      const word = peek(state).kind === "ident" || peek(state).text === "{" ? extraneous : mismatch;
      fail(name.start, word(name, "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"));
    }
    const colon = expectSymbol(state, ":");
    const value = state.expression(state);
    const span = spanFrom(state, colon.start, name.start);
    fields.push({ name: name.text, value, optional, span });
    if (takeSymbol(state, ",") !== undefined) continue;
    expectSymbol(state, "}");
    break;
  }
  const span = spanFrom(state, open.start, start);
  return { kind: "struct", id: state.nextId++, span, typeName: dot + names.join("."), fields };
}

function parseList(state: ParseState): Expression {
  const open = take(state);
  checkFirst(state, startOfElement);
  const elements: ListLiteral["elements"][number][] = [];
  while (takeSymbol(state, "]") === undefined) {
    const optional = takeOptionalMark(state);
    elements.push({ value: state.expression(state), optional });
    if (takeSymbol(state, ",") !== undefined) continue;
    expectSymbol(state, "]");
    break;
  }
  const span = spanFrom(state, open.start, open.start);
  return { kind: "list", id: state.nextId++, span, elements };
}

function parseMap(state: ParseState): Expression {
  const open = take(state);
  checkFirst(state, startOfEntry);
  const entries: MapLiteral["entries"][number][] = [];
  while (takeSymbol(state, "}") === undefined) {
    const optional = takeOptionalMark(state);
    const key = state.expression(state);
    const colon = expectSymbol(state, ":");
    const value = state.expression(state);
    const span = spanFrom(state, colon.start, key.span.start);
    entries.push({ key, value, optional, span });
    if (takeSymbol(state, ",") !== undefined) continue;
    expectSymbol(state, "}");
    break;
  }
  const span = spanFrom(state, open.start, open.start);
  return { kind: "map", id: state.nextId++, span, entries };
}
