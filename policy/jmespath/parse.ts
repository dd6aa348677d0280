// SPDX-License-Identifier: Apache-2.0
import type { Comparison, Node } from "#policy/jmespath/syntax";
import { Stop, stop, TokenStream } from "#policy/jmespath/token-stream";
import { SyntaxFault, tokenize, type Token, type TokenKind } from "#policy/jmespath/tokens";

/** Longest expression, in characters. The longest of the public policies has about 700. */
export const expressionLengthMax = 16_384;

/** Deepest nesting of an expression, chains like `a.b.c` included: evaluation recurses as deep. */
export const expressionDepthMax = 400;

/** How strongly a token binds what stands left of it (go-jmespath parser.go, bindingPowers). */
const bindingPowers: Partial<Record<TokenKind, number>> = {
  tPipe: 1,
  tOr: 2,
  tAnd: 3,
  tEQ: 5,
  tLT: 5,
  tLTE: 5,
  tGT: 5,
  tGTE: 5,
  tNE: 5,
  tFlatten: 9,
  tStar: 20,
  tFilter: 21,
  tDot: 40,
  tNot: 45,
  tLbrace: 50,
  tLbracket: 55,
  tLparen: 60,
};
const power = (kind: TokenKind): number => bindingPowers[kind] ?? 0;

const current: Node = { kind: "current" };

const binaries: Partial<Record<TokenKind, "pipe" | "or" | "and">> = {
  tPipe: "pipe",
  tOr: "or",
  tAnd: "and",
};

const isComparison = (kind: TokenKind): kind is Comparison => power(kind) === 5;

/** Parses an expression with the fork's grammar, its leniencies included. Never throws. */
export function parseExpression(source: string): Node | SyntaxFault {
  if (source.length > expressionLengthMax) {
    return new SyntaxFault(
      `SyntaxError: expression is longer than ${expressionLengthMax} characters`,
    );
  }
  const tokens = tokenize(source);
  if (tokens instanceof SyntaxFault) return tokens;
  const stream = new TokenStream(tokens);
  try {
    const node = new Parser(stream).expression(0);
    if (stream.kind() === "tEOF") return node;
    return new SyntaxFault(
      `SyntaxError: Unexpected token at the end of the expression: ${stream.kind()}`,
    );
  } catch (fault) {
    if (fault instanceof Stop) return new SyntaxFault(fault.text);
    throw fault;
  }
}

/** A Pratt parser's position. Depth bounds its own recursion, heights that of what it builds. */
class Parser {
  readonly #tokens: TokenStream;
  #depth = 0;
  readonly #heights = new WeakMap<Node, number>();

  constructor(tokens: TokenStream) {
    this.#tokens = tokens;
  }

  expression(bindingPower: number): Node {
    this.#depth += 1;
    if (this.#depth > expressionDepthMax) stop("expression is nested too deeply");
    let left = this.#prefix(this.#tokens.take());
    while (bindingPower < power(this.#tokens.kind())) {
      left = this.#infix(this.#tokens.take().kind, left);
    }
    this.#depth -= 1;
    return left;
  }

  #grow(node: Node, ...children: readonly Node[]): Node {
    const height = 1 + Math.max(0, ...children.map((child) => this.#heights.get(child) ?? 0));
    if (height > expressionDepthMax) stop("expression is nested too deeply");
    this.#heights.set(node, height);
    return node;
  }

  /** What may start an expression ("nud"). */
  #prefix(token: Token): Node {
    const { kind } = token;
    if (kind === "tJSONLiteral") return { kind: "literal", value: token.literal };
    if (kind === "tStringLiteral") return { kind: "literal", value: token.text };
    if (kind === "tUnquotedIdentifier") return { kind: "field", name: token.text };
    if (kind === "tQuotedIdentifier") {
      if (this.#tokens.kind() === "tLparen") stop("Can't have quoted identifier as function Name.");
      return { kind: "field", name: token.text };
    }
    if (kind === "tCurrent") return current;
    if (kind === "tStar") {
      const isLast = this.#tokens.kind() === "tRbracket";
      return this.#valueProjection(current, isLast ? current : this.#projected(power(kind)));
    }
    if (kind === "tFilter") return this.#filter(current);
    if (kind === "tFlatten") return this.#flatten(current);
    if (kind === "tLbrace") return this.#hash();
    if (kind === "tLbracket") return this.#bracket();
    return kind === "tLparen" ? this.#group() : this.#operator(token);
  }

  #group(): Node {
    const inner = this.expression(0);
    this.#tokens.match("tRparen");
    return inner;
  }

  #operator(token: Token): Node {
    if (token.kind === "tExpref" || token.kind === "tNot") {
      const operand = this.expression(power(token.kind));
      return this.#grow({ kind: token.kind === "tNot" ? "not" : "reference", operand }, operand);
    }
    return stop(token.kind === "tEOF" ? "Incomplete expression" : `Invalid token: ${token.kind}`);
  }

  /** What may follow an expression ("led"). */
  #infix(kind: TokenKind, left: Node): Node {
    const binary = binaries[kind];
    if (binary !== undefined) return this.#binary(binary, left, power(kind));
    if (isComparison(kind)) return this.#comparison(kind, left);
    if (kind === "tDot") return this.#dot(left);
    if (kind === "tLparen") return this.#call(left);
    if (kind === "tFilter") return this.#filter(left);
    if (kind === "tFlatten") return this.#flatten(left);
    return kind === "tLbracket" ? this.#subscript(left) : stop(`Unexpected token: ${kind}`);
  }

  #binary(kind: "pipe" | "or" | "and", left: Node, bindingPower: number): Node {
    const right = this.expression(bindingPower);
    return this.#grow({ kind, left, right }, left, right);
  }

  #comparison(operator: Comparison, left: Node): Node {
    const right = this.expression(power(operator));
    return this.#grow({ kind: "comparison", operator, left, right }, left, right);
  }

  #chain(left: Node, right: Node): Node {
    return this.#grow({ kind: "chain", left, right }, left, right);
  }

  #projection(left: Node, right: Node): Node {
    return this.#grow({ kind: "projection", left, right }, left, right);
  }

  #valueProjection(left: Node, right: Node): Node {
    return this.#grow({ kind: "valueProjection", left, right }, left, right);
  }

  #dot(left: Node): Node {
    if (this.#tokens.kind() !== "tStar") return this.#chain(left, this.#afterDot(power("tDot")));
    this.#tokens.take();
    return this.#valueProjection(left, this.#projected(power("tDot")));
  }

  /** Commas between arguments may be missing, as in the fork. */
  #call(callee: Node): Node {
    const args: Node[] = [];
    while (this.#tokens.kind() !== "tRparen") {
      args.push(this.expression(0));
      if (this.#tokens.kind() === "tComma") this.#tokens.take();
    }
    this.#tokens.take();
    return this.#grow({ kind: "call", name: nameOf(callee), arguments: args }, ...args);
  }

  #flatten(operand: Node): Node {
    const flat = this.#grow({ kind: "flatten", operand }, operand);
    return this.#projection(flat, this.#projected(power("tFlatten")));
  }

  #filter(left: Node): Node {
    const condition = this.expression(0);
    this.#tokens.match("tRbracket");
    const right = this.#tokens.kind() === "tFlatten" ? current : this.#projected(power("tFilter"));
    return this.#grow({ kind: "filter", left, condition, right }, left, condition, right);
  }

  /** `[...]` at the start of an expression. */
  #bracket(): Node {
    if (this.#tokens.kind() === "tNumber" || this.#tokens.kind() === "tColon") {
      return this.#indexed(current);
    }
    if (this.#tokens.kind() !== "tStar" || this.#tokens.kind(1) !== "tRbracket")
      return this.#list();
    this.#tokens.take();
    this.#tokens.take();
    return this.#projection(current, this.#projected(power("tStar")));
  }

  /** `[...]` after an expression. */
  #subscript(left: Node): Node {
    if (this.#tokens.kind() === "tNumber" || this.#tokens.kind() === "tColon")
      return this.#indexed(left);
    this.#tokens.match("tStar");
    this.#tokens.match("tRbracket");
    return this.#projection(left, this.#projected(power("tStar")));
  }

  #indexed(left: Node): Node {
    if (this.#tokens.kind() === "tColon" || this.#tokens.kind(1) === "tColon") {
      const slice = this.#slice();
      return this.#projection(this.#chain(left, slice), this.#projected(power("tStar")));
    }
    const index = parseIndex(this.#tokens.take().text);
    this.#tokens.match("tRbracket");
    return this.#chain(left, { kind: "index", index });
  }

  #slice(): Node {
    const parts: (number | undefined)[] = [undefined, undefined, undefined];
    let part = 0;
    while (this.#tokens.kind() !== "tRbracket" && part < 3) {
      if (this.#tokens.kind() === "tColon") part += 1;
      else if (this.#tokens.kind() === "tNumber")
        parts[part] = parseIndex(this.#tokens.peek().text);
      else stop(`Expected tColon or tNumber, received: ${this.#tokens.kind()}`);
      this.#tokens.take();
    }
    this.#tokens.match("tRbracket");
    return { kind: "slice", parts };
  }

  #list(): Node {
    const items: Node[] = [this.expression(0)];
    while (this.#tokens.kind() !== "tRbracket") {
      this.#tokens.match("tComma");
      items.push(this.expression(0));
    }
    this.#tokens.take();
    return this.#grow({ kind: "list", items }, ...items);
  }

  /** The fork lets the comma between entries be missing. */
  #hash(): Node {
    const entries: [string, Node][] = [];
    for (;;) {
      const key = this.#tokens.peek();
      if (key.kind !== "tUnquotedIdentifier" && key.kind !== "tQuotedIdentifier") {
        stop("Expected tQuotedIdentifier or tUnquotedIdentifier");
      }
      this.#tokens.take();
      this.#tokens.match("tColon");
      entries.push([key.text, this.expression(0)]);
      if (this.#tokens.kind() === "tComma") this.#tokens.take();
      else if (this.#tokens.kind() === "tRbrace") break;
    }
    this.#tokens.take();
    return this.#grow({ kind: "hash", entries }, ...entries.map(([, value]) => value));
  }

  #afterDot(bindingPower: number): Node {
    const kind = this.#tokens.kind();
    if (kind === "tQuotedIdentifier" || kind === "tUnquotedIdentifier" || kind === "tStar") {
      return this.expression(bindingPower);
    }
    if (kind !== "tLbracket" && kind !== "tLbrace") {
      stop("Expected identifier, lbracket, or lbrace");
    }
    this.#tokens.take();
    return kind === "tLbracket" ? this.#list() : this.#hash();
  }

  /** The right side of a projection: what binds tighter than it, once per element. */
  #projected(bindingPower: number): Node {
    const kind = this.#tokens.kind();
    if (power(kind) < 10) return current;
    if (kind === "tLbracket" || kind === "tFilter") return this.expression(bindingPower);
    if (kind !== "tDot") stop("Error");
    this.#tokens.take();
    return this.#afterDot(bindingPower);
  }
}

function nameOf(callee: Node): string | undefined {
  if (callee.kind === "field") return callee.name;
  return callee.kind === "literal" && typeof callee.value === "string" ? callee.value : undefined;
}

function parseIndex(text: string): number {
  const index = /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(index)) {
    throw new Stop(`strconv.Atoi: parsing "${text}": invalid syntax`);
  }
  return index;
}
