// SPDX-License-Identifier: Apache-2.0
import { actionOf } from "#policy/admission/bindings";
import { at, isObject } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { parseMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy } from "#policy/policy-set";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { Source } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/**
 * A policy that is understood but never evaluated: every resource that it matches gets an `error` result that says
 * why, so that it blocks under Enforce and is never taken for a pass.
 */
export function compileUnsupportedPolicy(
  document: JsonObject,
  source: Source,
  reason: string,
): KindCompilation {
  const action = actionOf(at(document, ["spec", "validationActions"])) ?? "Enforce";
  const meta = policyMeta(document, source);
  const result = makeResult(meta, {
    rule: "",
    type: source === "KyvernoImageValidatingPolicy" ? "ImageVerify" : "Validation",
    result: "error",
    message: `unsupported: ${reason}`,
    action,
    unsupported: reason,
  });
  const matched = matcherOf(document);
  const policy: CompiledPolicy = {
    ref: meta.ref,
    annotations: meta.annotations,
    index: matched.index,
    validate: (review, world) => (matched.match(review, world) ? [result] : []),
  };
  return {
    policies: [policy],
    problems: [],
    unsupported: [{ policy: meta.ref, rule: "", reason }],
  };
}

type Matcher = {
  readonly index: CompiledPolicy["index"];
  readonly match: (review: Review, world: World) => boolean;
};

/** By match constraints; without any, everything matches. */
function matcherOf(document: JsonObject): Matcher {
  const stated = at(document, ["spec", "matchConstraints"]);
  const parsed = parseMatchConstraints(stated, "spec.matchConstraints");
  if (!isObject(stated) || !parsed.ok) return { index: "any", match: () => true };
  const { plurals, match } = parsed.constraints;
  return { index: plurals, match: (review, world) => match(review, world) !== "no match" };
}
