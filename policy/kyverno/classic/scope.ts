// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import type { Query, QueryFailure } from "#policy/jmespath/query";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";
import type { ContextEntries } from "#policy/kyverno/classic/context";
import type { ImageExtractors } from "#policy/kyverno/classic/images";

/** Which rule a scope is for: the key of a Values file, and where its images are. */
export type RuleIdentity = {
  readonly policy: string;
  readonly rule: string;
  readonly imageExtractors?: ImageExtractors;
};

/**
 * The JSON that variables of a rule see. Scopes do not change: what adds a variable gives a new scope over the same
 * data. Context entries load on the first query that names them and are remembered in the scope that declares them.
 */
export type Scope = {
  readonly world: World;
  /** `request.operation` is DELETE: variables speak of request.oldObject then. */
  readonly isDelete: boolean;
  /** The reference's Context.Query: loads the entries that the query names, then searches. Never throws. */
  readonly query: (query: Query) => Json | QueryFailure;
  /** With more top-level variables, e.g. `target`. They hide entries of the same name. */
  readonly withVariables: (variables: JsonObject) => Scope;
  /** With the variables of one foreach element: element, elementN, elementIndex, elementIndexN. */
  readonly withElement: (element: Json, index: number, nesting: number) => Scope;
  /** With another `request.object` (after a mutation); entries load anew. */
  readonly withObject: (object: JsonObject) => Scope;
  /** With the `context` of a rule or of a foreach. */
  readonly withEntries: (entries: ContextEntries) => Scope;
};

/** The scope of one rule on one review, before its own context entries. Cheap: what a review says is built once. */
export declare function makeScope(review: Review, world: World, identity: RuleIdentity): Scope;
