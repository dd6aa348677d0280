// SPDX-License-Identifier: Apache-2.0
import { makeBudget } from "#policy/cel/budget";
import { compileExpression } from "#policy/cel/compile";
import { makeEnvironment } from "#policy/cel/environment";
import { kubernetesLibraries } from "#policy/cel/libraries/kubernetes";
import { goDouble } from "#policy/cel/text";
import { timestampText } from "#policy/cel/time";
import { dynType, formatType, typeName } from "#policy/cel/types";
import {
  CelError,
  CelMap,
  CelObject,
  Double,
  doubleOf,
  Duration,
  isInt,
  isList,
  isPlainMap,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type CelValue,
} from "#policy/cel/values";
import type { Json } from "#policy/json";

/** What an expression gives, in the form in which the answers of kube-apiserver's environment were recorded. */
export type Outcome =
  | { readonly issues: readonly string[] }
  | { readonly error: string }
  | { readonly type: string; readonly value: Json };

const environment = makeEnvironment({
  variables: { d: dynType },
  libraries: kubernetesLibraries,
  options: { homogeneousAggregates: true },
});

/** Compiles and evaluates an expression over the variable `d` as a validating admission policy would. */
export function outcomeOf(expression: string, data: Json): Outcome {
  const compiled = compileExpression(expression, environment);
  if (!compiled.ok) {
    return {
      issues: compiled.issues.map(({ line, column, message }) => `${line}:${column}: ${message}`),
    };
  }
  const value = compiled.program.evaluate({ d: data }, makeBudget());
  if (value instanceof CelError) return { error: value.message };
  return { type: formatType(compiled.program.type), value: show(value) };
}

/** A value with its type, so that an int is not taken for a double. */
function show(value: CelValue): Json {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (isInt(value)) return { int: String(value) };
  const double = value instanceof Double ? value.value : doubleOf(value);
  if (double !== undefined) return { double: goDouble(double) };
  if (isList(value)) return value.map(show);
  if (value instanceof Uint) return { uint: String(value.value) };
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString("hex") };
  if (value instanceof Duration) return { duration: String(value.nanos) };
  if (value instanceof Timestamp) return { timestamp: timestampText(value.nanos) };
  if (value instanceof TypeValue) return { type: value.name };
  if (value instanceof Optional) {
    return value.value === undefined ? { none: true } : { some: show(value.value) };
  }
  if (value instanceof CelObject) return { opaque: typeName(value.type) };
  const entries: readonly (readonly [CelValue, CelValue])[] =
    value instanceof CelMap ? [...value.entries()] : isPlainMap(value) ? Object.entries(value) : [];
  const shown = entries.map(([key, item]) => [show(key), show(item)]);
  return { map: shown.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) };
}
