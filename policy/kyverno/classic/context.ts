// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import type { Query, QueryFailure } from "#policy/jmespath/query";
import { compileApiCall } from "#policy/kyverno/classic/context-api-call";
import {
  compileConfigMap,
  compileGlobalReference,
  compileImageRegistry,
} from "#policy/kyverno/classic/context-lookups";
import { compileVariable } from "#policy/kyverno/classic/context-variable";
import { hasVariables } from "#policy/kyverno/classic/variable-text";
import type { Scope } from "#policy/kyverno/classic/scope";

/** The `context` list of a rule or foreach, planned: one loader per entry, in order. */
export type ContextEntries = { readonly entries: readonly ContextEntry[] };

export type ContextKind =
  | "variable"
  | "configMap"
  | "apiCall"
  | "imageRegistry"
  | "globalReference";

export type ContextEntry = {
  readonly name: string;
  readonly kind: ContextKind;
  /** Whether a query mentions the entry, so that it has to be loaded first. */
  readonly isNamedIn: (query: Query) => boolean;
  /** The value, from the entries before this one and the World. Never throws. */
  readonly load: EntryLoader;
};

export type EntryLoader = (scope: Scope) => Json | QueryFailure;

/** Most entries of one list. */
export const entriesMax = 200;

/** Plans one kind of entry; gets the name and the entry's part of that kind. */
type CompileEntry = (name: string, document: JsonObject) => EntryLoader;

const kinds: Readonly<Record<ContextKind, CompileEntry>> = {
  configMap: compileConfigMap,
  apiCall: compileApiCall,
  globalReference: compileGlobalReference,
  imageRegistry: compileImageRegistry,
  variable: compileVariable,
};

const kindNames: readonly ContextKind[] = [
  "configMap",
  "apiCall",
  "globalReference",
  "imageRegistry",
  "variable",
];

/** Plans a `context` list. `problems` are paths and messages of entries that no loader can be made of. */
export function compileContextEntries(document: Json | undefined): {
  readonly context: ContextEntries;
  readonly problems: readonly { readonly path: string; readonly message: string }[];
} {
  const problems: { path: string; message: string }[] = [];
  const entries: ContextEntry[] = [];
  if (document !== undefined && document !== null && !isArray(document)) {
    problems.push({ path: "context", message: "must be a list" });
  }
  const list = isArray(document) ? document : [];
  if (list.length > entriesMax) {
    problems.push({ path: "context", message: `must not have more than ${entriesMax} entries` });
  }
  for (const [index, item] of list.slice(0, entriesMax).entries()) {
    const name = textAt(item, ["name"]);
    const kind = kindNames.find((candidate) => isObject(field(item, candidate)));
    const part = kind === undefined ? undefined : field(item, kind);
    if (kind === undefined || name === "" || !isObject(part)) {
      problems.push({ path: `context[${index}]`, message: describe(name) });
      continue;
    }
    const jmesPath = textAt(part, ["jmesPath"]).trim();
    const fault = jmesPath === "" || hasVariables(jmesPath) ? undefined : compileQuery(jmesPath);
    if (fault?.syntaxError !== undefined) {
      problems.push({ path: `context[${index}].${kind}.jmesPath`, message: fault.syntaxError });
    }
    entries.push(makeEntry(name, kind, kinds[kind](name, part)));
  }
  return { context: { entries }, problems };
}

const describe = (name: string): string =>
  name === ""
    ? "a context entry needs a name"
    : `missing ConfigMap|APICall|ImageRegistry|Variable in context entry ${name}`;

function makeEntry(name: string, kind: ContextKind, load: EntryLoader): ContextEntry {
  // Not after a dot: `x` loads for `x.y`, not for `y.x` (pkg/engine/context/deferred.go).
  const escaped = name.replaceAll(/[$()*+.?[\\\]^{|}]/g, "\\$&");
  const mention = new RegExp(`(?:^|[^.0-9A-Za-z])${escaped}\\b`);
  const known = new WeakMap<Query, boolean>();
  return {
    name,
    kind,
    isNamedIn: (query) => {
      const remembered = known.get(query);
      if (remembered !== undefined) return remembered;
      const named = mention.test(query.source);
      known.set(query, named);
      return named;
    },
    load,
  };
}
