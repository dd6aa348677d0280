// SPDX-License-Identifier: Apache-2.0
import { isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

/** Deepest nesting that a policy document may have; Kubernetes' own decoder stops at 10,000, no real policy nears 100. */
export const documentDepthMax = 200;
/** Most values (objects, lists, scalars) in one policy document; etcd's 1.5 MiB bound makes real ones far smaller. */
export const documentValuesMax = 500_000;

export type ParsedDocument =
  | { readonly ok: true; readonly document: JsonObject }
  | { readonly ok: false; readonly path: string; readonly message: string };

/**
 * Takes a document from outside as JSON with an apiVersion and a kind. Says where something is not JSON (a date, a
 * function, a cycle), and refuses what is too deep or too large to walk.
 */
export function parseDocument(document: unknown): ParsedDocument {
  const parsed = parseJson(document);
  if (!parsed.ok) return parsed;
  const { value } = parsed;
  if (!isObject(value)) {
    return { ok: false, path: "", message: `a document is an object, got ${describe(value)}` };
  }
  for (const key of ["apiVersion", "kind"]) {
    if (textAt(value, [key]) === "") {
      return {
        ok: false,
        path: key,
        message: `must be a non-empty string, got ${describe(value[key])}`,
      };
    }
  }
  return { ok: true, document: value };
}

export type ParsedJson =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly path: string; readonly message: string };

/** Takes any value as JSON, with the same limits as a document. */
export function parseJson(value: unknown): ParsedJson {
  const wrong = findNonJson(value, "", 0, { left: documentValuesMax });
  return wrong === undefined && isJson(value)
    ? { ok: true, value }
    : { ok: false, path: "", message: "must be JSON", ...wrong };
}

/** For a value in which nothing was found that is not JSON. */
const isJson = (value: unknown): value is Json => value !== undefined;

/** How a value is called in messages, never its content. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return `a ${typeof value}`;
}

/** `ValidatingPolicy/require-labels`, with the namespace before the name where there is one. */
export function documentName(document: JsonObject): string {
  const kind = textAt(document, ["kind"]);
  const namespace = textAt(document, ["metadata", "namespace"]);
  const name = textAt(document, ["metadata", "name"]);
  return [kind, namespace, name].filter((part) => part !== "").join("/");
}

function findNonJson(
  value: unknown,
  path: string,
  depth: number,
  budget: { left: number },
): { path: string; message: string } | undefined {
  budget.left -= 1;
  if (budget.left < 0) {
    return { path, message: `the document has more than ${documentValuesMax} values` };
  }
  if (depth > documentDepthMax) {
    return { path, message: `the document is nested deeper than ${documentDepthMax}` };
  }
  if (value === null || typeof value === "string" || typeof value === "boolean") return undefined;
  if (typeof value === "number") {
    return Number.isFinite(value) ? undefined : { path, message: "must be a finite number" };
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const wrong = findNonJson(item, `${path}[${index}]`, depth + 1, budget);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }
  if (!isPlainObject(value)) return { path, message: `must be JSON, got ${describeClass(value)}` };
  for (const key of Object.keys(value)) {
    const below = path === "" ? key : `${path}.${key}`;
    const wrong = findNonJson(value[key], below, depth + 1, budget);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function isPlainObject(value: unknown): value is Record<string, Json> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function describeClass(value: unknown): string {
  if (value instanceof Date) return "a date (quote it in YAML)";
  return typeof value === "object" ? "an object of a class" : describe(value);
}
