// SPDX-License-Identifier: Apache-2.0

/** Labels of an endpoint or of a namespace. */
export type Labels = (key: string) => string | undefined;
export type CalicoSelector = (labels: Labels) => boolean;

export type ParsedCalicoSelector =
  | { readonly ok: true; readonly everything: boolean; readonly matches: CalicoSelector }
  | { readonly ok: false; readonly message: string };

/** Selectors longer or nested deeper than any in use are not read. */
const lengthMax = 10_000;
const depthMax = 50;

type Token = { readonly kind: "word" | "text" | "sign"; readonly text: string };
type Node = { readonly everything: boolean; readonly matches: CalicoSelector };

class SelectorError extends Error {}

/**
 * Calico's selector language (docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors): `==`, `!=`,
 * `in`, `not in`, `contains`, `starts with`, `ends with`, `has()`, `all()`, `global()`, `!`, `&&`, `||`, parentheses.
 * `!=` and `not in` also hold for endpoints without the label. `&&` binds closer than `||`. Never throws.
 */
export function parseCalicoSelector(source: string): ParsedCalicoSelector {
  if (source.trim() === "") return { ok: true, everything: true, matches: () => true };
  if (source.length > lengthMax) return { ok: false, message: "too long" };
  try {
    const parser = new Parser(tokensOf(source));
    return { ok: true, ...parser.whole() };
  } catch (error) {
    if (error instanceof SelectorError) return { ok: false, message: error.message };
    throw error;
  }
}

const tokenPattern = /\s*(?:("[^"]*"|'[^']*')|([A-Za-z0-9_./-]+)|(==|!=|&&|\|\||[!(){},]))/y;

function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = [];
  const text = source.trimEnd();
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < text.length) {
    const at = tokenPattern.lastIndex;
    const found = tokenPattern.exec(text);
    if (found === null) throw new SelectorError(`cannot read it at character ${at}`);
    const [, quoted, word, sign] = found;
    if (quoted !== undefined) tokens.push({ kind: "text", text: quoted.slice(1, -1) });
    else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else tokens.push({ kind: "sign", text: sign ?? "" });
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Node {
    const node = this.#or();
    if (this.#next < this.#tokens.length) throw new SelectorError("something is left over");
    return node;
  }

  #or(): Node {
    const parts = [this.#and()];
    while (this.#takes("||")) parts.push(this.#and());
    return {
      everything: parts.some((part) => part.everything),
      matches: (labels) => parts.some((part) => part.matches(labels)),
    };
  }

  #and(): Node {
    const parts = [this.#operand()];
    while (this.#takes("&&")) parts.push(this.#operand());
    return {
      everything: parts.every((part) => part.everything),
      matches: (labels) => parts.every((part) => part.matches(labels)),
    };
  }

  #operand(): Node {
    this.#depth += 1;
    if (this.#depth > depthMax) throw new SelectorError("nested too deep");
    const node = this.#negatable();
    this.#depth -= 1;
    return node;
  }

  #negatable(): Node {
    if (this.#takes("!")) {
      const negated = this.#operand();
      return { everything: false, matches: (labels) => !negated.matches(labels) };
    }
    if (!this.#takes("(")) return this.#term();
    const node = this.#or();
    this.#expect(")");
    return node;
  }

  #term(): Node {
    const key = this.#word();
    if (this.#takes("(")) return this.#call(key);
    return { everything: false, matches: this.#comparison(key) };
  }

  #call(name: string): Node {
    if (name === "has") {
      const key = this.#word();
      this.#expect(")");
      return { everything: false, matches: (labels) => labels(key) !== undefined };
    }
    this.#expect(")");
    if (name === "all") return { everything: true, matches: () => true };
    // Endpoints without a namespace: never a pod.
    if (name === "global") return { everything: false, matches: () => false };
    throw new SelectorError(`${name}() is not known`);
  }

  #comparison(key: string): CalicoSelector {
    if (this.#takes("==")) {
      const value = this.#text();
      return (labels) => labels(key) === value;
    }
    if (this.#takes("!=")) {
      const value = this.#text();
      return (labels) => labels(key) !== value;
    }
    const operator = this.#word();
    const isFirst = ["not", "starts", "ends"].includes(operator);
    // The words of one operator need no space between them (libcalico-go: selector/tokenizer).
    switch (isFirst ? `${operator}${this.#word()}` : operator) {
      case "in":
        return this.#membership(key, true);
      case "notin":
        return this.#membership(key, false);
      case "contains":
        return textTest(key, this.#text(), (a, b) => a.includes(b));
      case "startswith":
        return textTest(key, this.#text(), (a, b) => a.startsWith(b));
      case "endswith":
        return textTest(key, this.#text(), (a, b) => a.endsWith(b));
      default:
        throw new SelectorError(`${operator} is not known`);
    }
  }

  #membership(key: string, wanted: boolean): CalicoSelector {
    this.#expect("{");
    const values = new Set<string>();
    while (!this.#takes("}")) {
      values.add(this.#text());
      if (this.#takes("}")) break;
      this.#expect(",");
    }
    return (labels) => {
      const value = labels(key);
      return (value !== undefined && values.has(value)) === wanted;
    };
  }

  #takes(sign: string): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "sign" || token.text !== sign) return false;
    this.#next += 1;
    return true;
  }

  #expect(sign: string): void {
    if (!this.#takes(sign)) throw new SelectorError(`${sign} is missing`);
  }

  #word(): string {
    return this.#take("word");
  }

  #text(): string {
    return this.#take("text");
  }

  #take(kind: Token["kind"]): string {
    const token = this.#tokens[this.#next];
    if (token?.kind !== kind) throw new SelectorError(`a ${kind} is missing`);
    this.#next += 1;
    return token.text;
  }
}

const textTest =
  (key: string, value: string, test: (found: string, value: string) => boolean): CalicoSelector =>
  (labels) => {
    const found = labels(key);
    return found !== undefined && test(found, value);
  };
