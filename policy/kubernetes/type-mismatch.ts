// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { schemaOf } from "#policy/kubernetes/schemas";
import type { Schema } from "#policy/kubernetes/schemas";
import type { GroupVersionKind } from "#policy/review";

/** Says where below a path a value is not of the type that it is compared with; undefined when it is. */
type Checker = (value: Json) => Mismatch | undefined;

/** Steps from the mismatch up to where the check began. */
type Mismatch = { readonly path: (string | number)[]; readonly message: string };

/**
 * Where a value could not be decoded into the Go type of a kind: lists for objects, texts for numbers and the like.
 * Unknown fields are no mismatch, and null never is, as in Go. Undefined when all of it could be.
 */
export function findTypeMismatch(kind: GroupVersionKind, value: Json): string | undefined {
  const key = `${kind.group}/${kind.version}/${kind.kind}`;
  const known = checkers.get(key);
  const checker = known ?? makeChecker(schemaOf(kind));
  if (known === undefined && checkers.size < checkersMax) checkers.set(key, checker);
  const found = checker(value);
  return found === undefined ? undefined : `${formatPath(found.path)} ${found.message}`;
}

function formatPath(steps: readonly (string | number)[]): string {
  return steps
    .toReversed()
    .map((step, index) =>
      typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`,
    )
    .join("");
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
  return (value) => {
    if (value === null) return undefined;
    const wrong = type === "any" ? typeof value === "object" : typeof value !== type;
    return wrong ? mismatch(value, type === "any" ? "scalar" : type) : undefined;
  };
}

function listChecker(element: () => Schema): Checker {
  let checker: Checker | undefined;
  return (value) => {
    if (value === null) return undefined;
    if (!isArray(value)) return mismatch(value, "list");
    checker ??= makeChecker(element());
    for (const [index, item] of value.entries()) {
      const found = checker(item);
      if (found === undefined) continue;
      found.path.push(index);
      return found;
    }
    return undefined;
  };
}

function objectChecker(schema: Schema & { readonly is: "object" }): Checker {
  const fields = new Map<string, Checker>();
  let others: Checker | undefined;
  const checkerFor = (name: string): Checker | undefined => {
    const known = fields.get(name);
    if (known !== undefined) return known;
    const found = schema.field(name);
    if (found === undefined) {
      others ??= schema.others === undefined ? undefined : makeChecker(schema.others());
      return others;
    }
    const checker = makeChecker(found);
    fields.set(name, checker);
    return checker;
  };
  return (value) => {
    if (value === null) return undefined;
    if (!isObject(value)) return mismatch(value, "object");
    for (const name of Object.keys(value)) {
      const item = value[name];
      if (item === undefined || item === null) continue;
      const found = checkerFor(name)?.(item);
      if (found === undefined) continue;
      found.path.push(name);
      return found;
    }
    return undefined;
  };
}

function mismatch(value: Json, wanted: string): Mismatch {
  const got = isArray(value) ? "list" : isObject(value) ? "object" : typeof value;
  return { path: [], message: `must be of type ${wanted}, got ${got}` };
}
