// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

/** The `context` list of a rule or foreach, planned: one loader per entry, in order. */
export type ContextEntries = {
  readonly entries: readonly ContextEntry[];
};

export type ContextEntry = {
  readonly name: string;
  readonly kind: "variable" | "configMap" | "apiCall" | "imageRegistry" | "globalReference";
};

/** Plans a `context` list. `problems` are paths and messages of entries that no loader can be made of. */
export declare function compileContextEntries(document: Json | undefined): {
  readonly context: ContextEntries;
  readonly problems: readonly { readonly path: string; readonly message: string }[];
};
