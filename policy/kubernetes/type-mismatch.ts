// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { schemaOf } from "#policy/kubernetes/schemas";
import type { Schema } from "#policy/kubernetes/schemas";
import type { GroupVersionKind } from "#policy/review";

/** Says where a value is not of the type that it is compared with; undefined when it is. */
type Checker = (value: Json, path: string) => string | undefined;

/**
 * Where a value could not be decoded into the Go type of a kind: lists for objects, texts for numbers and the like.
 * Unknown fields are no mismatch, and null never is, as in Go. Undefined when all of it could be.
 */
export function findTypeMismatch(kind: GroupVersionKind, value: Json): string | undefined {
  const key = `${kind.group}/${kind.version}/${kind.kind}`;
  const known = checkers.get(key);
  if (known !== undefined) return known(value, "");
  const made = makeChecker(schemaOf(kind));
  if (checkers.size < checkersMax) checkers.set(key, made);
  return made(value, "");
}

/** Kinds are asked for by our own code, not by input: a handful. */
const checkersMax = 100;
const checkers = new Map<string, Checker>();
/** Types refer to each other in circles (JSONSchemaProps), so a checker is there before it is whole. */
const made = new WeakMap<Schema, Checker>();

function makeChecker(schema: Schema): Checker {
  const known = made.get(schema);
  if (known !== undefined) return known;
  const checker = checkerOf(schema);
  made.set(schema, checker);
  return checker;
}

function checkerOf(schema: Schema): Checker {
  switch (schema.is) {
    case "anything":
      return () => undefined;
    case "scalar":
      return scalarChecker(schema.type);
    case "list":
      return listChecker(schema.element);
    case "object":
      return objectChecker(schema);
    default:
      return schema satisfies never;
  }
}

function scalarChecker(type: "string" | "number" | "boolean" | "any"): Checker {
  return (value, path) => {
    if (value === null) return undefined;
    const wrong = type === "any" ? typeof value === "object" : typeof value !== type;
    return wrong ? mismatch(value, path, type === "any" ? "scalar" : type) : undefined;
  };
}

function listChecker(element: () => Schema): Checker {
  let checker: Checker | undefined;
  return (value, path) => {
    if (value === null) return undefined;
    if (!isArray(value)) return mismatch(value, path, "list");
    checker ??= makeChecker(element());
    for (const [index, item] of value.entries()) {
      const found = checker(item, `${path}[${index}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function objectChecker(schema: Schema & { readonly is: "object" }): Checker {
  const fields = new Map<string, Checker | undefined>();
  const checkerFor = (name: string): Checker | undefined => {
    if (fields.has(name)) return fields.get(name);
    const found = schema.field(name);
    const others = found ?? schema.others?.();
    const checker = others === undefined ? undefined : makeChecker(others);
    if (found !== undefined) fields.set(name, checker);
    return checker;
  };
  return (value, path) => {
    if (value === null) return undefined;
    if (!isObject(value)) return mismatch(value, path, "object");
    for (const name of Object.keys(value)) {
      const item = value[name];
      if (item === undefined || item === null) continue;
      const found = checkerFor(name)?.(item, path === "" ? name : `${path}.${name}`);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function mismatch(value: Json, path: string, wanted: string): string {
  const got = isArray(value) ? "list" : isObject(value) ? "object" : typeof value;
  return `${path} must be of type ${wanted}, got ${got}`;
}
