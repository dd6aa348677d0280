// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { keyOf } from "../input/resources.ts";

/** The expected document for an actual one, by apiVersion, kind, namespace and name. */
export function findExpected(
  actual: JsonObject,
  expected: readonly JsonObject[],
): JsonObject | undefined {
  const wanted = JSON.stringify(keyOf(actual));
  return expected.find((one) => JSON.stringify(keyOf(one)) === wanted);
}

/** One place where two documents differ; undefined for a value that one side lacks. */
export type ValueDifference = {
  readonly path: string;
  readonly expected: Json | undefined;
  readonly actual: Json | undefined;
};

/**
 * Where two documents differ, as Kyverno's tests compare them: empty maps, empty lists and nulls count for nothing, and
 * neither do the labels that Kyverno puts on what it generates.
 */
export function compareResources(
  actual: JsonObject,
  expected: JsonObject,
): readonly ValueDifference[] {
  const differences: ValueDifference[] = [];
  findDifferences(
    tidy(withGenerateLabels(actual)),
    tidy(withGenerateLabels(expected)),
    "",
    differences,
  );
  return differences;
}

const managedBy = "app.kubernetes.io/managed-by";

function withGenerateLabels(object: JsonObject): JsonObject {
  const metadata = field(object, "metadata");
  const labels = field(metadata, "labels");
  const own = Object.entries(isObject(labels) ? labels : {}).filter(
    ([key]) => !key.startsWith("generate.kyverno.io/"),
  );
  const fixed = { [managedBy]: "kyverno", ...Object.fromEntries(own) };
  return { ...object, metadata: { ...(isObject(metadata) ? metadata : {}), labels: fixed } };
}

/** Without nulls and what is empty after that; undefined when nothing is left. */
function tidy(value: Json): Json | undefined {
  if (value === null) return undefined;
  if (isArray(value)) {
    const items = value.map(tidy).filter((item) => item !== undefined);
    return items.length === 0 ? undefined : items;
  }
  if (!isObject(value)) return value;
  const entries = Object.keys(value).flatMap((key): readonly [string, Json][] => {
    const below = tidy(value[key] ?? null);
    return below === undefined ? [] : [[key, below]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** Appends every leaf difference of two JSON values to `differences`, in the order of sorted keys. */
export function findDifferences(
  actual: Json | undefined,
  expected: Json | undefined,
  path: string,
  differences: ValueDifference[],
): void {
  if (isObject(actual) && isObject(expected)) {
    const keys = [...new Set([...Object.keys(actual), ...Object.keys(expected)])].sort();
    for (const key of keys) {
      findDifferences(
        field(actual, key),
        field(expected, key),
        `${path}${pathStep(key, path)}`,
        differences,
      );
    }
    return;
  }
  if (isArray(actual) && isArray(expected)) {
    for (let index = 0; index < Math.max(actual.length, expected.length); index += 1) {
      findDifferences(actual[index], expected[index], `${path}[${index}]`, differences);
    }
    return;
  }
  if (actual !== expected) differences.push({ path, expected, actual });
}

function pathStep(key: string, path: string): string {
  if (!/^[\w-]+$/.test(key)) return `[${JSON.stringify(key)}]`;
  return path === "" ? key : `.${key}`;
}

const shown = (value: Json | undefined): string =>
  value === undefined ? "nothing" : JSON.stringify(value);

/** `spec.replicas: expected 3, found 2`. */
export const formatDifference = (difference: ValueDifference): string =>
  `${difference.path}: expected ${shown(difference.expected)}, found ${shown(difference.actual)}`;
