// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

/**
 * Why a query gave no value. `unknown-key` is the dialect's NotFound: a field access that met an object without the
 * key. `unavailable` is ours: the answer would need something that the World cannot know.
 */
export class QueryFailure {
  readonly kind: "unknown-key" | "failed" | "unavailable";
  readonly message: string;
  constructor(kind: QueryFailure["kind"], message: string) {
    this.kind = kind;
    this.message = message;
  }
}

/** What functions of the language may ask beside their arguments: the time and random numbers of the World. */
export type QueryRuntime = {
  readonly nowMs: number;
  /** A number in [0, 1). */
  readonly random: () => number;
};

/** A JMESPath expression in Kyverno's dialect, planned once and evaluated often. */
export type Query = {
  readonly source: string;
  /** The reference's `SyntaxError: ...` text; undefined for a well-formed expression. */
  readonly syntaxError: string | undefined;
  /** Never throws; a malformed expression gives its failure on every evaluation. */
  readonly evaluate: (root: Json, runtime: QueryRuntime) => Json | QueryFailure;
};

/**
 * What a caught error means: values nested so deep that walking them overflows the stack are a failure of the query,
 * since resources can bring any depth; everything else is a mistake of ours and thrown again.
 */
export function tooDeep(error: unknown): QueryFailure {
  if (error instanceof RangeError)
    return new QueryFailure("failed", "a value is nested too deeply");
  throw error;
}
