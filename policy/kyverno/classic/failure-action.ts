// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { compileWildcards } from "#policy/kubernetes/wildcard";
import { compileSelector, namespaceLabels, texts } from "#policy/kyverno/classic/resource-filter";
import type { EnforcementAction } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** What a violation of a rule leads to, by the namespace of the resource. */
export type FailureAction = {
  readonly of: (review: Review, world: World) => EnforcementAction;
  /** The action before overrides; it decides whether violations that exist already are let be. */
  readonly stated: EnforcementAction;
};

type Override = {
  readonly action: EnforcementAction;
  readonly applies: (review: Review, world: World) => boolean;
};

/**
 * Plans the enforcement action of a rule: its own overrides, its own action, the overrides of the policy, the action of
 * the policy, Audit. A policy that takes no part in admission only reports.
 */
export function compileFailureAction(spec: Json | undefined, rule: JsonObject): FailureAction {
  const validate = field(rule, "validate");
  const own = parseAction(field(validate, "failureAction")) ?? imagesAction(rule);
  const general = parseAction(field(spec, "validationFailureAction"));
  const before = compileOverrides(field(validate, "failureActionOverrides"));
  const after =
    own === undefined ? compileOverrides(field(spec, "validationFailureActionOverrides")) : [];
  const stated = own ?? general ?? "Audit";
  if (field(spec, "admission") === false) return { of: () => "Audit", stated };
  const overrides = [...before, ...after];
  if (overrides.length === 0) return { of: () => stated, stated };
  return {
    stated,
    of: (review, world) =>
      overrides.find((override) => override.applies(review, world))?.action ?? stated,
  };
}

/** The first action that an entry of `verifyImages` states. */
function imagesAction(rule: JsonObject): EnforcementAction | undefined {
  const entries = field(rule, "verifyImages");
  const actions = isArray(entries)
    ? entries.map((entry) => parseAction(field(entry, "failureAction")))
    : [];
  return actions.find((action) => action !== undefined);
}

function parseAction(value: Json | undefined): EnforcementAction | undefined {
  if (typeof value !== "string") return undefined;
  const text = value.toLowerCase();
  if (text === "enforce") return "Enforce";
  return text === "audit" ? "Audit" : undefined;
}

function compileOverrides(value: Json | undefined): readonly Override[] {
  const entries = isArray(value) ? value : [];
  return entries.flatMap((entry) => {
    const action = parseAction(textAt(entry, ["action"]));
    return action === undefined ? [] : [{ action, applies: compileScope(entry) }];
  });
}

function compileScope(entry: Json): Override["applies"] {
  const namespaces = field(entry, "namespaces");
  const selector = field(entry, "namespaceSelector");
  const selects = isObject(selector) ? compileSelector(selector) : undefined;
  const names = isArray(namespaces) ? compileWildcards(texts(namespaces)) : undefined;
  return (review, world) => {
    // A Namespace is in no namespace here, unlike in a match block.
    const namespace = review.kind.kind === "Namespace" ? "" : review.namespace;
    if (names !== undefined && !names(namespace)) return false;
    if (selects === undefined) return names !== undefined;
    return selects(namespaceLabels(namespace, world));
  };
}
