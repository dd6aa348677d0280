// SPDX-License-Identifier: Apache-2.0
import type { Token, TokenKind } from "#policy/jmespath/tokens";

/** Unwinds the recursive descent of the parser, which catches it; never leaves it. */
export class Stop extends Error {
  readonly text: string;
  constructor(text: string) {
    super(text);
    this.text = text;
  }
}

export function stop(message: string): never {
  throw new Stop(`SyntaxError: ${message}`);
}

const endToken: Token = { kind: "tEOF", text: "", literal: null };

/** Where a parser stands in its tokens; past the end there is only tEOF. */
export class TokenStream {
  readonly #tokens: readonly Token[];
  #position = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  kind(ahead = 0): TokenKind {
    return this.peek(ahead).kind;
  }

  peek(ahead = 0): Token {
    return this.#tokens[this.#position + ahead] ?? endToken;
  }

  take(): Token {
    const token = this.peek();
    this.#position += 1;
    return token;
  }

  /** @throws Stop when another token stands here. */
  match(kind: TokenKind): void {
    if (this.kind() !== kind) stop(`Expected ${kind}, received: ${this.kind()}`);
    this.#position += 1;
  }
}
