// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

export type Comparison = "tEQ" | "tNE" | "tLT" | "tLTE" | "tGT" | "tGTE";

/** An expression as the fork's parser sees it. Projections keep their right side, which runs once per element. */
export type Node =
  | { readonly kind: "current" }
  | { readonly kind: "literal"; readonly value: Json }
  | { readonly kind: "field"; readonly name: string }
  | { readonly kind: "index"; readonly index: number }
  | { readonly kind: "slice"; readonly parts: readonly (number | undefined)[] }
  /** `left.right` and `left[0]`: unlike a pipe it passes an unknown key on. */
  | { readonly kind: "chain"; readonly left: Node; readonly right: Node }
  | { readonly kind: "pipe" | "or" | "and"; readonly left: Node; readonly right: Node }
  | { readonly kind: "not"; readonly operand: Node }
  | {
      readonly kind: "comparison";
      readonly operator: Comparison;
      readonly left: Node;
      readonly right: Node;
    }
  | { readonly kind: "flatten"; readonly operand: Node }
  | { readonly kind: "projection" | "valueProjection"; readonly left: Node; readonly right: Node }
  | {
      readonly kind: "filter";
      readonly left: Node;
      readonly condition: Node;
      readonly right: Node;
    }
  | { readonly kind: "list"; readonly items: readonly Node[] }
  | { readonly kind: "hash"; readonly entries: readonly (readonly [string, Node])[] }
  | { readonly kind: "reference"; readonly operand: Node }
  /** `name` is undefined where something that is no name is called. */
  | {
      readonly kind: "call";
      readonly name: string | undefined;
      readonly arguments: readonly Node[];
    };
