// SPDX-License-Identifier: Apache-2.0
import type { Call, Expression, Span } from "./ast.ts";
import { macroKey, type Environment } from "./environment.ts";
import type { SyntaxProblem, Token } from "./lexer.ts";
import { isMacroError } from "./library.ts";
import { makeMacroContext } from "./macro-context.ts";
import type { CelValue } from "./values.ts";

/** Deepest nesting of one grammar rule: the default of cel-go's parser/options.go. */
export const nestingMax = 250;

/** How far a parse has come. Mutable: one per source. */
export type ParseState = {
  readonly environment: Environment;
  readonly tokens: readonly Token[];
  index: number;
  nextId: number;
  /** Parses one expression: here, so that the parts of the grammar need not import each other in a circle. */
  readonly expression: (state: ParseState) => Expression;
  readonly depth: { expression: number; relation: number; calc: number; member: number };
};

/** Ends a parse; caught in `parse` and never seen outside. */
export class SyntaxFailure extends Error {
  readonly problem: SyntaxProblem;
  constructor(problem: SyntaxProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

export function fail(position: number, message: string): never {
  throw new SyntaxFailure({ position, message });
}

/** The token at hand. The end token is never passed, so there always is one. */
export function peek(state: ParseState, ahead = 0): Token {
  const token = state.tokens[Math.min(state.index + ahead, state.tokens.length - 1)];
  if (token === undefined) throw new Error("a token list without an end");
  return token;
}

export const isSymbol = (token: Token, text: string): boolean =>
  token.kind === "symbol" && token.text === text;

export function take(state: ParseState): Token {
  const token = peek(state);
  state.index++;
  return token;
}

export function takeSymbol(state: ParseState, text: string): Token | undefined {
  return isSymbol(peek(state), text) ? take(state) : undefined;
}

export function expectSymbol(state: ParseState, text: string): Token {
  const token = takeSymbol(state, text);
  if (token !== undefined) return token;
  return fail(peek(state).start, mismatch(peek(state), `'${text}'`));
}

/** A token as it is written. */
const shown = (token: Token): string =>
  token.kind === "quotedIdent" ? `\`${token.text}\`` : token.text;

export const mismatch = (token: Token, expected: string): string =>
  `Syntax error: mismatched input '${shown(token)}' expecting ${expected}`;

export const extraneous = (token: Token, expected: string): string =>
  `Syntax error: extraneous input '${shown(token)}' expecting ${expected}`;

/** Where the last token taken ends. */
export const endOfLast = (state: ParseState): number => state.tokens[state.index - 1]?.end ?? 0;

export function descend(state: ParseState, rule: keyof ParseState["depth"]): void {
  state.depth[rule]++;
  if (state.depth[rule] > nestingMax) {
    fail(peek(state).start, `expression recursion limit exceeded: ${nestingMax}`);
  }
}

/** The `?` of optional syntax, where the environment has it. */
export function takeOptionalMark(state: ParseState): boolean {
  const mark = takeSymbol(state, "?");
  if (mark === undefined) return false;
  if (!state.environment.options.optionalSyntax) fail(mark.start, "unsupported syntax '?'");
  return true;
}

/** The next token, which should be a field's name; in backticks where the environment has that. */
export function takeFieldName(state: ParseState): Token {
  const name = take(state);
  if (name.kind === "quotedIdent" && !state.environment.options.quotedIdentifiers) {
    fail(name.start, "unsupported syntax: '`'");
  }
  return name;
}

/** The arguments of a call, from behind its `(` to behind its `)`. */
export function parseArguments(state: ParseState): readonly Expression[] {
  const args: Expression[] = [];
  if (takeSymbol(state, ")") !== undefined) return args;
  do args.push(state.expression(state));
  while (takeSymbol(state, ",") !== undefined);
  expectSymbol(state, ")");
  return args;
}

export const makeLiteral = (state: ParseState, value: CelValue, span: Span): Expression => ({
  kind: "literal",
  id: state.nextId++,
  span,
  value,
});

/** A call, or what its macro makes of it. */
export function makeCall(
  state: ParseState,
  name: string,
  span: Span,
  target: Expression | undefined,
  args: readonly Expression[],
): Expression {
  const call: Call = { kind: "call", id: state.nextId++, span, target, name, args };
  const { macros } = state.environment;
  const receiver = target !== undefined;
  const macro =
    macros.get(macroKey(name, receiver, args.length)) ??
    macros.get(macroKey(name, receiver, undefined));
  if (macro === undefined) return call;
  const expanded = macro.expand(
    makeMacroContext(call, () => state.nextId++),
    target,
    args,
  );
  if (expanded === undefined) return call;
  if (isMacroError(expanded)) return fail(expanded.at.span.position, expanded.message);
  return expanded;
}
