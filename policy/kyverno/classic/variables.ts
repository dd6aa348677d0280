// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json } from "#policy/json";
import { byCodePoint } from "#policy/text/order";
import { QueryFailure, tooDeep } from "#policy/jmespath/query";
import { hasReferences, resolveReferences } from "#policy/kyverno/classic/references";
import type { Scope } from "#policy/kyverno/classic/scope";
import { childPath, mappedKey } from "#policy/kyverno/classic/traverse";
import { compileText, isTemplateText } from "#policy/kyverno/classic/variable-text";

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
  /** The document that `$(references)` look into, `path` being a path of it; the template's own document by default. */
  readonly whole?: Json;
};

/** Plans a document. Never throws: what is wrong with a variable shows when it is substituted, as in the reference. */
export function compileTemplate(document: Json, options: TemplateOptions = {}): Template {
  const { path = "" } = options;
  const resolved = hasReferences(document)
    ? resolveReferences(document, path, options.whole ?? document)
    : document;
  if (resolved instanceof QueryFailure) {
    const answer: Substitution = { ok: false, failure: resolved };
    return { constant: undefined, substitute: () => answer };
  }
  const part = planPart(resolved, path);
  if (part === undefined) {
    const answer: Substitution = { ok: true, value: resolved };
    return { constant: resolved, substitute: () => answer };
  }
  return {
    constant: undefined,
    substitute: (scope) => {
      const value = run(part, scope);
      return value instanceof QueryFailure ? { ok: false, failure: value } : { ok: true, value };
    },
  };
}

/** A part of a document that changes with the scope; undefined for parts that do not. */
type Part = (scope: Scope) => Json | QueryFailure;

function run(part: Part, scope: Scope): Json | QueryFailure {
  try {
    return part(scope);
  } catch (error) {
    return tooDeep(error);
  }
}

function planPart(value: Json, path: string): Part | undefined {
  if (typeof value === "string") {
    return isTemplateText(value) ? compileText(value, path) : undefined;
  }
  if (isArray(value)) return planList(value, path);
  return isObject(value) ? planObject(value, path) : undefined;
}

function planList(list: readonly Json[], path: string): Part | undefined {
  const parts = list.map((item, index) => planPart(item, `${path}/${index}`));
  if (parts.every((part) => part === undefined)) return undefined;
  return (scope) => {
    const items: Json[] = [];
    for (const [index, part] of parts.entries()) {
      const item = part === undefined ? list[index] : part(scope);
      if (item instanceof QueryFailure) return item;
      items.push(item ?? null);
    }
    return items;
  };
}

type Entry = {
  readonly key: string;
  readonly keyPart: Part | undefined;
  readonly value: Json;
  readonly valuePart: Part | undefined;
};

function planObject(object: Json & object, path: string): Part | undefined {
  const entries = Object.entries(object)
    .toSorted(([a], [b]) => byCodePoint(a, b))
    .map(([key, value]: [string, Json]): Entry => ({
      key,
      keyPart: planPart(key, path),
      value,
      valuePart: planPart(value, childPath(path, key)),
    }));
  if (entries.every(({ keyPart, valuePart }) => keyPart === undefined && valuePart === undefined)) {
    return undefined;
  }
  // `__proto__` would not become a property by assignment.
  const plain = entries.every(({ key, keyPart }) => keyPart === undefined && key !== "__proto__");
  return (scope) => (plain ? fillObject(entries, scope) : buildObject(entries, scope));
}

/** The usual case: keys without variables. */
function fillObject(entries: readonly Entry[], scope: Scope): Json | QueryFailure {
  const filled: Record<string, Json> = {};
  for (const { key, value, valuePart } of entries) {
    const substituted = valuePart === undefined ? value : valuePart(scope);
    if (substituted instanceof QueryFailure) return substituted;
    filled[key] = substituted;
  }
  return filled;
}

function buildObject(entries: readonly Entry[], scope: Scope): Json | QueryFailure {
  const built: [string, Json][] = [];
  for (const { key, keyPart, value, valuePart } of entries) {
    const name = keyPart === undefined ? key : mappedKey(keyPart(scope), key);
    if (name instanceof QueryFailure) return name;
    const substituted = valuePart === undefined ? value : valuePart(scope);
    if (substituted instanceof QueryFailure) return substituted;
    built.push([name, substituted]);
  }
  return Object.fromEntries(built);
}
