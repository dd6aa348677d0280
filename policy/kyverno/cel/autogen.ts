// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

/** A policy's spec rewritten for controllers that make pods. */
export type AutogenSpec = { readonly name: AutogenName; readonly spec: JsonObject };

/** `defaults`: controllers with `spec.template`; `cronjobs`: `spec.jobTemplate.spec.template`. */
export type AutogenName = "defaults" | "cronjobs";

type Controller = { readonly group: string; readonly rewrite: AutogenName };

/** The controllers that Kyverno knows (pkg/cel/autogen/data.go); all are served as v1. */
const controllers: Readonly<Record<string, Controller>> = {
  cronjobs: { group: "batch", rewrite: "cronjobs" },
  daemonsets: { group: "apps", rewrite: "defaults" },
  deployments: { group: "apps", rewrite: "defaults" },
  jobs: { group: "batch", rewrite: "defaults" },
  replicasets: { group: "apps", rewrite: "defaults" },
  statefulsets: { group: "apps", rewrite: "defaults" },
};

const templates: Readonly<Record<AutogenName, string>> = {
  defaults: "spec.template",
  cronjobs: "spec.jobTemplate.spec.template",
};

/**
 * The specs that Kyverno derives from a policy on pods alone, for their controllers (pkg/cel/autogen): none unless the
 * only resource rule is v1 pods without names, selectors or exclusions. `rewrite` changes the spec's expressions.
 */
export function autogenSpecs(
  spec: JsonObject,
  rewrite: (spec: JsonObject, name: AutogenName) => JsonObject | undefined,
): readonly AutogenSpec[] {
  const constraints = field(spec, "matchConstraints");
  if (!matchesOnlyPods(constraints)) return [];
  const wanted = at(spec, ["autogen", "podControllers", "controllers"]);
  const names = isArray(wanted) ? wanted : Object.keys(controllers);
  const operations = at(constraints, ["resourceRules", 0, "operations"]) ?? [];
  return (["cronjobs", "defaults"] as const).flatMap((name): readonly AutogenSpec[] => {
    const matching = constraintsFor(name, names, operations);
    if (matching === undefined) return [];
    const rewritten = rewrite({ ...spec, matchConstraints: matching }, name);
    return rewritten === undefined ? [] : [{ name, spec: rewritten }];
  });
}

function matchesOnlyPods(constraints: Json | undefined): boolean {
  if (!isObject(constraints)) return false;
  const selects = (key: string): boolean =>
    ["matchLabels", "matchExpressions"].some((part) => sizeOf(at(constraints, [key, part])) > 0);
  if (selects("namespaceSelector") || selects("objectSelector")) return false;
  const rules = field(constraints, "resourceRules");
  if (sizeOf(field(constraints, "excludeResourceRules")) > 0 || sizeOf(rules) !== 1) return false;
  const rule = at(rules, [0]);
  const only = (key: string, value: string): boolean => {
    const list = field(rule, key);
    return isArray(list) && list.length === 1 && list[0] === value;
  };
  return (
    sizeOf(field(rule, "resourceNames")) === 0 &&
    only("apiGroups", "") &&
    only("apiVersions", "v1") &&
    only("resources", "pods")
  );
}

function sizeOf(value: Json | undefined): number {
  if (isArray(value)) return value.length;
  return isObject(value) ? Object.keys(value).length : 0;
}

function constraintsFor(
  name: AutogenName,
  wanted: readonly Json[],
  operations: Json,
): JsonObject | undefined {
  const chosen = Object.keys(controllers).filter(
    (resource) => controllers[resource]?.rewrite === name && wanted.includes(resource),
  );
  if (chosen.length === 0) return undefined;
  const groups = [...new Set(chosen.map((resource) => controllers[resource]?.group ?? ""))];
  const resourceRules = groups.map((group) => ({
    apiGroups: [group],
    apiVersions: ["v1"],
    resources: chosen.filter((resource) => controllers[resource]?.group === group),
    operations,
  }));
  return { resourceRules };
}

/**
 * Replaces `object.spec` and `object.metadata` in the text of a whole spec, messages included, as Kyverno does for
 * validating policies. `metadata.namespace` stays: a template has none.
 */
export function rewriteText(spec: JsonObject, name: AutogenName): JsonObject | undefined {
  let text = JSON.stringify(spec);
  for (const part of ["spec", "metadata"]) {
    for (const variable of ["object", "oldObject"]) {
      const from = `${variable}.${part}`;
      text = text.replaceAll(
        new RegExp(`${from.replace(".", "\\.")}(?!\\.namespace(?![A-Za-z0-9_]))`, "g"),
        `${variable}.${templates[name]}.${part}`,
      );
    }
  }
  const parsed: unknown = JSON.parse(text);
  return isObject(parsed) ? parsed : undefined;
}

/**
 * Rewrites the match conditions and apply configurations of a mutating policy (pkg/cel/policies/mpol/autogen): paths
 * into the pod become paths into its template, and an `Object{...}` is put inside the template's. JSON patches stay as
 * they are, as in the reference.
 */
export function rewriteMutations(spec: JsonObject, name: AutogenName): JsonObject {
  const conditions = field(spec, "matchConditions");
  const mutations = field(spec, "mutations");
  return {
    ...spec,
    ...(isArray(conditions)
      ? { matchConditions: conditions.map((entry) => rewriteAt(entry, name)) }
      : {}),
    ...(isArray(mutations)
      ? {
          mutations: mutations.map((entry) => {
            const apply = field(entry, "applyConfiguration");
            if (!isObject(entry) || !isObject(apply)) return entry;
            return { ...entry, applyConfiguration: rewriteAt(apply, name) };
          }),
        }
      : {}),
  };
}

function rewriteAt(entry: Json, name: AutogenName): Json {
  const expression = field(entry, "expression");
  if (!isObject(entry) || typeof expression !== "string") return entry;
  return { ...entry, expression: rewriteExpression(expression, name) };
}

function rewriteExpression(expression: string, name: AutogenName): string {
  const template = templates[name];
  let text = expression;
  for (const root of ["object", "Object"]) {
    text = text.replaceAll(`${root}.spec`, `${root}.${template}.spec`);
  }
  for (const part of ["metadata.labels", "metadata.annotations"]) {
    for (const root of ["object", "Object"]) {
      text = text.replaceAll(`${root}.${part}`, `${root}.${template}.${part}`);
    }
  }
  return text.trim().startsWith("Object{") ? wrapObject(text.trim(), name) : text;
}

/** `Object{a}rest` -> `Object{spec: Object.spec{template: Object.spec.template{a}}}rest`. */
function wrapObject(text: string, name: AutogenName): string {
  const content = text.slice("Object{".length);
  const end = closingBrace(content);
  if (end <= 0) return text;
  const steps = templates[name].split(".");
  let opening = "Object{";
  for (const [index, step] of steps.entries()) {
    opening += `${step}: Object.${steps.slice(0, index + 1).join(".")}{`;
  }
  return opening + content.slice(0, end) + "}".repeat(steps.length + 1) + content.slice(end + 1);
}

/** Braces inside strings count too: the reference does not look at strings either. */
function closingBrace(content: string): number {
  let depth = 1;
  for (let index = 0; index < content.length; index += 1) {
    if (content[index] === "{") depth += 1;
    if (content[index] === "}") depth -= 1;
    if (depth === 0) return index;
  }
  return -1;
}
