// SPDX-License-Identifier: Apache-2.0
import type { CelValue } from "./values.ts";

/** Where a node stands in the source, in UTF-16 units from its start, so that `source.slice(start, end)` is its text. */
export type Span = {
  /** The position that messages name: of a call its `(`, of a binary operation its operator, as in cel-go. */
  readonly position: number;
  readonly start: number;
  readonly end: number;
};

type Node<Kind extends string> = { readonly kind: Kind; readonly id: number; readonly span: Span };

export type Literal = Node<"literal"> & { readonly value: CelValue };
export type Ident = Node<"ident"> & { readonly name: string };
/** `a.b`, `a.?b` has its own call; with `test` it is `has(a.b)`. */
export type Select = Node<"select"> & {
  readonly operand: Expression;
  readonly field: string;
  readonly test: boolean;
};
/** Operators are calls too, by cel-go's names: `_+_`, `_[_]`, `_?_:_`, `_?._`, `_[?_]`, `!_`, `-_`, `@in`. */
export type Call = Node<"call"> & {
  readonly target: Expression | undefined;
  readonly name: string;
  readonly args: readonly Expression[];
};
export type ListLiteral = Node<"list"> & {
  readonly elements: readonly { readonly value: Expression; readonly optional: boolean }[];
};
export type MapLiteral = Node<"map"> & {
  readonly entries: readonly {
    readonly key: Expression;
    readonly value: Expression;
    readonly optional: boolean;
    readonly span: Span;
  }[];
};
export type StructLiteral = Node<"struct"> & {
  readonly typeName: string;
  readonly fields: readonly {
    readonly name: string;
    readonly value: Expression;
    readonly optional: boolean;
    readonly span: Span;
  }[];
};
/**
 * A fold over a list or map, which the macros expand to. `accuVar` starts as `accuInit`; while `condition` is not false,
 * `step` gives its next value; `result` is the value of the whole.
 */
export type Comprehension = Node<"comprehension"> & {
  readonly range: Expression;
  readonly iterVar: string;
  /** The second variable of two-variable macros; undefined for one. */
  readonly iterVar2: string | undefined;
  readonly accuVar: string;
  readonly accuInit: Expression;
  readonly condition: Expression;
  readonly step: Expression;
  readonly result: Expression;
  /** What the fold is known to compute, so that it can be run as a plain loop. */
  readonly shape: ComprehensionShape | undefined;
};

export type ComprehensionShape =
  | { readonly kind: "all" | "exists" | "existsOne"; readonly predicate: Expression }
  | {
      readonly kind: "map";
      readonly filter: Expression | undefined;
      readonly transform: Expression;
    }
  /** A map with the keys of the range (or its indices) and new values. */
  | {
      readonly kind: "transformMap";
      readonly filter: Expression | undefined;
      readonly transform: Expression;
    }
  /** A map of all entries of the maps that `transform` gives. */
  | {
      readonly kind: "transformMapEntry";
      readonly filter: Expression | undefined;
      readonly transform: Expression;
    }
  /** A variable for the result: `accuVar` stands for `accuInit`, computed when it is first read. */
  | { readonly kind: "bind" };

export type Expression =
  | Literal
  | Ident
  | Select
  | Call
  | ListLiteral
  | MapLiteral
  | StructLiteral
  | Comprehension;

/** The name of the hidden accumulator variable of the standard macros, as in cel-go. */
export const accumulatorName = "@result";

/** Nodes under this one, in the order of the source. */
export function children(node: Expression): readonly Expression[] {
  switch (node.kind) {
    case "literal":
    case "ident":
      return [];
    case "select":
      return [node.operand];
    case "call":
      return node.target === undefined ? node.args : [node.target, ...node.args];
    case "list":
      return node.elements.map((element) => element.value);
    case "map":
      return node.entries.flatMap((entry) => [entry.key, entry.value]);
    case "struct":
      return node.fields.map((entry) => entry.value);
    case "comprehension":
      return [node.range, node.accuInit, node.condition, node.step, node.result];
    default:
      return node satisfies never;
  }
}
