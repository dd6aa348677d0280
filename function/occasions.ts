// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt, type Json } from "#policy/json";

/** When policies are asked: about a change, as at admission, or about what exists, as in a background scan. */
export type Occasion = "admission" | "background";

/**
 * The policies that speak on an occasion. Kyverno leaves out at admission what its author turned off there (`admission`,
 * `evaluation.admission`) and what changes other, existing objects (mutate targets; pkg/engine/mutation.go, v1.19), and in the
 * background what is turned off there (`background`, `evaluation.background`).
 */
export function onOccasion(documents: readonly Json[], occasion: Occasion): readonly Json[] {
  return documents.flatMap((document): readonly Json[] => {
    if (isTurnedOff(document, occasion)) return [];
    return occasion === "admission" ? withoutTargets(document) : [document];
  });
}

function isTurnedOff(document: Json, occasion: Occasion): boolean {
  return (
    at(document, ["spec", "evaluation", occasion, "enabled"]) === false ||
    (isClassic(document) && at(document, ["spec", occasion]) === false)
  );
}

const isClassic = (document: Json): boolean =>
  textAt(document, ["apiVersion"]).startsWith("kyverno.io/") &&
  ["ClusterPolicy", "Policy"].includes(textAt(document, ["kind"]));

function withoutTargets(document: Json): readonly Json[] {
  if (at(document, ["spec", "evaluation", "mutateExisting", "enabled"]) === true) return [];
  const spec = field(document, "spec");
  const rules = field(spec, "rules");
  if (!isClassic(document) || !isObject(document) || !isObject(spec) || !isArray(rules)) {
    return [document];
  }
  const kept = rules.filter((rule) => at(rule, ["mutate", "targets"]) === undefined);
  if (kept.length === rules.length) return [document];
  return kept.length === 0 ? [] : [{ ...document, spec: { ...spec, rules: kept } }];
}
