// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

export type LabelSelector = {
  /** Whether it selects everything because it states nothing. */
  readonly empty: boolean;
  readonly matches: (labels: Json | undefined) => boolean;
};

export type ParsedSelector =
  | { readonly ok: true; readonly selector: LabelSelector }
  | { readonly ok: false; readonly path: string; readonly message: string };

type Requirement = (labels: Json | undefined) => boolean;

/** Selects everything: an absent selector in match constraints (the API defaults it to the empty one). */
export const everything: LabelSelector = { empty: true, matches: () => true };

/**
 * Parses a `metav1.LabelSelector`. All requirements must hold; `NotIn` and `DoesNotExist` hold for absent keys
 * (apimachinery/pkg/labels). Labels that are not strings count as absent.
 */
export function parseLabelSelector(value: Json | undefined): ParsedSelector {
  if (value === undefined || value === null) return { ok: true, selector: everything };
  if (!isObject(value)) return wrong("", "must be an object with matchLabels or matchExpressions");
  const requirements: Requirement[] = [];
  const labels = field(value, "matchLabels") ?? {};
  if (!isObject(labels)) return wrong("matchLabels", "must be an object of strings");
  for (const key of Object.keys(labels)) {
    const wanted = field(labels, key);
    if (typeof wanted !== "string") return wrong(`matchLabels.${key}`, "must be a string");
    requirements.push((found) => field(found, key) === wanted);
  }
  const expressions = field(value, "matchExpressions") ?? [];
  if (!isArray(expressions)) return wrong("matchExpressions", "must be a list");
  for (const [index, expression] of expressions.entries()) {
    const parsed = parseExpression(expression);
    if (typeof parsed === "string") return wrong(`matchExpressions[${index}]`, parsed);
    requirements.push(parsed);
  }
  const matches = (found: Json | undefined): boolean => requirements.every((holds) => holds(found));
  return { ok: true, selector: { empty: requirements.length === 0, matches } };
}

/** The labels of an object, undefined when it has none. */
export const labelsOf = (object: JsonObject | null): Json | undefined =>
  object === null ? undefined : at(object, ["metadata", "labels"]);

const wrong = (path: string, message: string): ParsedSelector => ({ ok: false, path, message });

function parseExpression(value: Json): Requirement | string {
  const key = field(value, "key");
  const stated = field(value, "operator");
  const operator = typeof stated === "string" ? stated : "";
  const values = field(value, "values") ?? [];
  if (typeof key !== "string" || key === "") return "key must be a non-empty string";
  if (!isArray(values) || !values.every((entry) => typeof entry === "string")) {
    return "values must be a list of strings";
  }
  const labelOf = (labels: Json | undefined): string | undefined => {
    const label = field(labels, key);
    return typeof label === "string" ? label : undefined;
  };
  const isListed = (labels: Json | undefined): boolean => {
    const label = labelOf(labels);
    return label !== undefined && values.includes(label);
  };
  const listed = operator === "In" || operator === "NotIn";
  if (listed && values.length === 0) return `values must not be empty for ${operator}`;
  if (!listed && values.length > 0) return "values must be empty for Exists and DoesNotExist";
  switch (operator) {
    case "In":
      return isListed;
    case "NotIn":
      return (labels) => !isListed(labels);
    case "Exists":
      return (labels) => labelOf(labels) !== undefined;
    case "DoesNotExist":
      return (labels) => labelOf(labels) === undefined;
    default:
      return "operator must be In, NotIn, Exists or DoesNotExist";
  }
}
