// SPDX-License-Identifier: Apache-2.0
import { actionOf } from "#policy/admission/bindings";
import { at, field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy } from "#policy/policy-set";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { EnforcementAction, Source } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/**
 * A policy that is understood but never evaluated: every resource that it matches gets an `error` result that says
 * why, so that it blocks under Enforce and is never taken for a pass. `action` is the policy's own unless given.
 */
export function compileUnsupportedPolicy(
  document: JsonObject,
  source: Source,
  reason: string,
  action: EnforcementAction = actionOf(at(document, ["spec", "validationActions"])) ?? "Enforce",
): KindCompilation {
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

/** By match constraints, or by the kinds of a classic match block; in doubt everything matches. */
function matcherOf(document: JsonObject): Matcher {
  const spec = field(document, "spec");
  const stated = field(spec, "matchConstraints");
  const constraints = parseMatchConstraints(stated, "spec.matchConstraints");
  if (isObject(stated) && constraints.ok) {
    const { plurals, match } = constraints.constraints;
    return { index: plurals, match: (review, world) => match(review, world) !== "no match" };
  }
  const kinds = kindsIn(field(spec, "match"), 0);
  const sure = kinds.length > 0 && !kinds.some((kind) => kind.includes("*"));
  return { index: sure ? kinds : "any", match: () => true };
}

/** The kinds of `resources.kinds` lists in a match block, in lower case and without group, version and subresource. */
function kindsIn(value: Json | undefined, depth: number): readonly string[] {
  if (depth > 5) return [];
  if (isArray(value)) return value.flatMap((item) => kindsIn(item, depth + 1));
  if (!isObject(value)) return [];
  return Object.keys(value).flatMap((key) => {
    const below = value[key];
    if (key !== "kinds" || !isArray(below)) return kindsIn(below, depth + 1);
    return below.map((kind) => (typeof kind === "string" ? kindOf(kind) : "*"));
  });
}

const kindOf = (text: string): string =>
  (text.split("/").find((part) => /^[A-Z*]/.test(part)) ?? "*").split(".", 1)[0]?.toLowerCase() ??
  "*";
