// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import type { QueryFailure } from "#policy/jmespath/query";
import type { Scope } from "#policy/kyverno/classic/scope";

/** A document with `{{ variables }}` and `$(references)`, planned: only strings that hold variables cost anything later. */
export type Template = {
  /** The document when it holds no variables (references resolved): substituting gives this very value. */
  readonly constant: Json | undefined;
  readonly substitute: (scope: Scope) => Substitution;
};

export type Substitution =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly failure: QueryFailure };

export type TemplateOptions = {
  /**
   * Path of the document inside what the reference substitutes at once, e.g. `/mutate/patchStrategicMerge` when the
   * whole rule is: it is part of error texts and of what `{{@}}` means. '' by default.
   */
  readonly path?: string;
  /** The document that `$(/absolute/references)` look into; the template's own document by default. */
  readonly whole?: Json;
};

/** Plans a document. Never throws: what is wrong with a variable shows when it is substituted, as in the reference. */
export declare function compileTemplate(document: Json, options?: TemplateOptions): Template;

/** Whether a text holds a `{{ variable }}` that is not escaped. */
export declare function hasVariables(text: string): boolean;
