// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./ast.ts";
import type { Environment } from "./environment.ts";
import { lex, type SyntaxProblem, type Token } from "./lexer.ts";
import { parsePrimary } from "./parse-primary.ts";
import {
  descend,
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
  SyntaxFailure,
  take,
  takeFieldName,
  takeOptionalMark,
  takeSymbol,
  type ParseState,
} from "./parse-state.ts";

/** Longest source in code points: the default of cel-go's parser/options.go. */
export const sourceLengthMax = 100_000;

export type Parsed =
  | { readonly ok: true; readonly expression: Expression; readonly nodes: number }
  | { readonly ok: false; readonly problem: SyntaxProblem };

/** Parses a source and expands its macros. */
export function parse(source: string, environment: Environment): Parsed {
  if (source.length > sourceLengthMax) {
    const size = countCodePoints(source);
    if (size > sourceLengthMax) {
      const message = `expression code point size exceeds limit: size: ${size}, limit ${sourceLengthMax}`;
      return { ok: false, problem: { position: 0, message } };
    }
  }
  const lexed = lex(source);
  if (!lexed.ok) return lexed;
  const state: ParseState = {
    environment,
    tokens: lexed.tokens,
    index: 0,
    nextId: 1,
    expression: parseExpression,
    depth: { expression: 0, relation: 0, calc: 0, member: 0 },
  };
  try {
    const expression = parseExpression(state);
    const last = peek(state);
    if (last.kind !== "end") {
      const alone = peek(state, 1).kind === "end";
      fail(last.start, alone ? extraneous(last, "<EOF>") : mismatch(last, "<EOF>"));
    }
    return { ok: true, expression, nodes: state.nextId };
  } catch (error) {
    if (error instanceof SyntaxFailure) return { ok: false, problem: error.problem };
    throw error;
  }
}

function countCodePoints(source: string): number {
  let count = 0;
  for (let i = 0; i < source.length; i++) {
    const unit = source.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) count++;
  }
  return count;
}

function parseExpression(state: ParseState): Expression {
  descend(state, "expression");
  const start = peek(state).start;
  const condition = parseLogical(state, "||");
  const mark = takeSymbol(state, "?");
  let result = condition;
  if (mark !== undefined) {
    const yes = parseLogical(state, "||");
    expectSymbol(state, ":");
    const no = parseExpression(state);
    const span = { position: mark.start, start, end: endOfLast(state) };
    result = makeCall(state, "_?_:_", span, undefined, [condition, yes, no]);
  }
  state.depth.expression--;
  return result;
}

/** Chains of `||` or `&&` become balanced trees, as in cel-go, so that long ones are not deep. */
function parseLogical(state: ParseState, operator: "||" | "&&"): Expression {
  const next = (): Expression =>
    operator === "||" ? parseLogical(state, "&&") : parseRelation(state);
  const terms = [next()];
  const positions: number[] = [];
  for (;;) {
    const mark = takeSymbol(state, operator);
    if (mark === undefined) break;
    positions.push(mark.start);
    terms.push(next());
  }
  const name = operator === "||" ? "_||_" : "_&&_";
  const balance = (from: number, to: number): Expression => {
    const first = terms[from];
    if (first === undefined) throw new Error("a chain without terms");
    if (from === to) return first;
    const middle = Math.floor((from + to) / 2);
    const left = balance(from, middle);
    const right = balance(middle + 1, to);
    const span = {
      position: positions[middle] ?? 0,
      start: left.span.start,
      end: right.span.end,
    };
    return makeCall(state, name, span, undefined, [left, right]);
  };
  return balance(0, terms.length - 1);
}

const relations: Readonly<Record<string, string>> = {
  "<": "_<_",
  "<=": "_<=_",
  ">": "_>_",
  ">=": "_>=_",
  "==": "_==_",
  "!=": "_!=_",
  in: "@in",
};

function parseRelation(state: ParseState): Expression {
  const depth = state.depth.relation;
  descend(state, "relation");
  let left = parseCalc(state, 0);
  for (;;) {
    const token = peek(state);
    const name = token.kind === "symbol" ? relations[token.text] : undefined;
    if (name === undefined) break;
    take(state);
    descend(state, "relation");
    left = binary(state, name, token, left, parseCalc(state, 0));
  }
  state.depth.relation = depth;
  return left;
}

const calculations: Readonly<Record<string, readonly [name: string, strength: number]>> = {
  "+": ["_+_", 1],
  "-": ["_-_", 1],
  "*": ["_*_", 2],
  "/": ["_/_", 2],
  "%": ["_%_", 2],
};

/** Operators stronger than `floor`, left to right. */
function parseCalc(state: ParseState, floor: number): Expression {
  const depth = state.depth.calc;
  descend(state, "calc");
  let left = parseUnary(state);
  for (;;) {
    const token = peek(state);
    const operation = token.kind === "symbol" ? calculations[token.text] : undefined;
    if (operation === undefined || operation[1] <= floor) break;
    take(state);
    descend(state, "calc");
    left = binary(state, operation[0], token, left, parseCalc(state, operation[1]));
  }
  state.depth.calc = depth;
  return left;
}

function binary(
  state: ParseState,
  name: string,
  mark: Token,
  left: Expression,
  right: Expression,
): Expression {
  const span = { position: mark.start, start: left.span.start, end: right.span.end };
  return makeCall(state, name, span, undefined, [left, right]);
}

function parseUnary(state: ParseState): Expression {
  const first = peek(state);
  const mark = isSymbol(first, "!") ? "!" : "-";
  let count = 0;
  while (takeSymbol(state, mark) !== undefined) count++;
  if (count === 1 && mark === "-" && /^(?:int|double)$/.test(peek(state).kind)) {
    // One sign next to a number belongs to the literal: only so can the smallest int be written.
    count--;
    state.index--;
  }
  const operand = parseMember(state);
  if (count % 2 === 0) return operand;
  const span = { position: first.start, start: first.start, end: operand.span.end };
  return makeCall(state, mark === "!" ? "!_" : "-_", span, undefined, [operand]);
}

function parseMember(state: ParseState): Expression {
  const depth = state.depth.member;
  descend(state, "member");
  const { start } = peek(state);
  let operand = parsePrimary(state);
  for (;;) {
    const mark = takeSymbol(state, ".") ?? takeSymbol(state, "[");
    if (mark === undefined) break;
    descend(state, "member");
    operand =
      mark.text === "."
        ? parseSelection(state, operand, start, mark)
        : parseIndex(state, operand, start, mark);
  }
  state.depth.member = depth;
  return operand;
}

function parseSelection(
  state: ParseState,
  operand: Expression,
  start: number,
  dot: Token,
): Expression {
  const optional = takeOptionalMark(state);
  const name = takeFieldName(state);
  if (name.kind !== "ident" && name.kind !== "quotedIdent") {
    return fail(name.start, mismatch(name, "IDENTIFIER"));
  }
  const open = name.kind === "ident" && !optional ? takeSymbol(state, "(") : undefined;
  if (open !== undefined) {
    const args = parseArguments(state);
    const span = { position: open.start, start, end: endOfLast(state) };
    return makeCall(state, name.text, span, operand, args);
  }
  const span = { position: dot.start, start, end: name.end };
  if (!optional) {
    return { kind: "select", id: state.nextId++, span, operand, field: name.text, test: false };
  }
  const field = makeLiteral(state, name.text, {
    position: name.start,
    start: name.start,
    end: name.end,
  });
  return makeCall(state, "_?._", span, undefined, [operand, field]);
}

function parseIndex(
  state: ParseState,
  operand: Expression,
  start: number,
  open: Token,
): Expression {
  const optional = takeOptionalMark(state);
  const index = parseExpression(state);
  expectSymbol(state, "]");
  const span = { position: open.start, start, end: endOfLast(state) };
  return makeCall(state, optional ? "_[?_]" : "_[_]", span, undefined, [operand, index]);
}
