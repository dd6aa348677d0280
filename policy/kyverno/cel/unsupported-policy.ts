// SPDX-License-Identifier: Apache-2.0
import { at, isArray } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy } from "#policy/policy-set";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { Source } from "#policy/report/result";

/**
 * A policy that is understood but never evaluated: every resource that it might speak about gets an `error` result that
 * says why, so that it blocks under Enforce and is never taken for a pass.
 */
export function compileUnsupportedPolicy(
  document: JsonObject,
  source: Source,
  reason: string,
): KindCompilation {
  const meta = policyMeta(document, source);
  const result = makeResult(meta, {
    rule: "",
    type: source === "KyvernoImageValidatingPolicy" ? "ImageVerify" : "Validation",
    result: "error",
    message: `unsupported: ${reason}`,
    action: "Enforce",
    unsupported: reason,
  });
  const policy: CompiledPolicy = {
    ref: meta.ref,
    annotations: meta.annotations,
    index: pluralsNamed(at(document, ["spec", "matchConstraints", "resourceRules"])),
    validate: () => [result],
  };
  return {
    policies: [policy],
    problems: [],
    unsupported: [{ policy: meta.ref, rule: "", reason }],
  };
}

/** The plurals that resource rules name, in lower case; 'any' where one cannot tell. */
export function pluralsNamed(rules: Json | undefined): readonly string[] | "any" {
  if (!isArray(rules) || rules.length === 0) return "any";
  const names = new Set<string>();
  for (const rule of rules) {
    const resources = at(rule, ["resources"]);
    if (!isArray(resources)) return "any";
    for (const resource of resources) {
      if (typeof resource !== "string") return "any";
      const plural = resource.split("/", 1)[0] ?? "";
      if (plural === "" || plural.includes("*")) return "any";
      names.add(plural.toLowerCase());
    }
  }
  return [...names];
}
