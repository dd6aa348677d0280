// SPDX-License-Identifier: Apache-2.0
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { makeParamFinder, readsParamList } from "#policy/admission/params";
import type { ParamFinder } from "#policy/admission/params";
import type { Problem } from "#policy/problem";
import type { EnforcementAction } from "#policy/report/result";

/** A binding of an admission policy, or the one implied where there is none. */
export type Binding = {
  /** '' for the implied one. */
  readonly name: string;
  readonly match: MatchConstraints["match"];
  /** The strictest of its validationActions; Enforce for mutations. */
  readonly action: EnforcementAction;
  readonly params: ParamFinder;
};

const everywhere: MatchConstraints["match"] = () => "match";

/**
 * The bindings of a policy: those given for it, or an implied one that denies, unless the options require one.
 * Problems are named with the binding's own document.
 */
export function bindingsOf(
  policy: JsonObject,
  context: CompileContext,
  problems: Problem[],
): readonly Binding[] {
  const kind = `${textAt(policy, ["kind"])}Binding`;
  const given = context.bindings.get(`${kind}/${textAt(policy, ["metadata", "name"])}`) ?? [];
  const spec = field(policy, "spec");
  if (given.length > 0) {
    return given.flatMap((binding) => parseBinding(binding, spec, context, problems));
  }
  if (context.options.bindings === "required") return [];
  const params = makeParamFinder(undefined, undefined, []);
  return [{ name: "", match: everywhere, action: "Enforce", params }];
}

function parseBinding(
  binding: JsonObject,
  policySpec: Json | undefined,
  context: CompileContext,
  problems: Problem[],
): readonly Binding[] {
  const document = documentName(binding);
  const before = problems.length;
  const spec = field(binding, "spec");
  const resources = parseMatchConstraints(field(spec, "matchResources"), "spec.matchResources");
  if (!resources.ok) {
    problems.push(...resources.problems.map((problem) => ({ document, ...problem })));
    return [];
  }
  const action = actionOf(field(spec, "validationActions"));
  if (action === undefined) {
    const message = "must be a list of Deny, Warn, Audit without Deny and Warn together";
    problems.push({ document, path: "spec.validationActions", message });
  }
  const paramRef = field(spec, "paramRef");
  const wrong = checkParamRef(paramRef);
  if (wrong !== undefined) problems.push({ document, path: "spec.paramRef", message: wrong });
  if (action === undefined || problems.length > before) return [];
  const params = makeParamFinder(
    field(policySpec, "paramKind"),
    paramRef,
    context.options.params ?? [],
    readsParamList(policySpec),
  );
  return [
    {
      name: textAt(binding, ["metadata", "name"]),
      match: resources.constraints.match,
      action,
      params,
    },
  ];
}

/** The strictest action; bindings of mutations have none and act. */
export function actionOf(actions: Json | undefined): EnforcementAction | undefined {
  if (actions === undefined || actions === null) return "Enforce";
  if (
    !isArray(actions) ||
    !actions.every((action) => typeof action === "string" && knownActions.includes(action))
  ) {
    return undefined;
  }
  if (actions.includes("Deny")) return actions.includes("Warn") ? undefined : "Enforce";
  if (actions.includes("Warn")) return "Warn";
  return actions.includes("Audit") ? "Audit" : "Enforce";
}

const knownActions = ["Deny", "Warn", "Audit"];

function checkParamRef(paramRef: Json | undefined): string | undefined {
  if (paramRef === undefined || paramRef === null) return undefined;
  if (!isObject(paramRef)) return "must be an object";
  const named = textAt(paramRef, ["name"]) !== "";
  const selected = isObject(field(paramRef, "selector"));
  if (named === selected) return "must have either a name or a selector";
  return undefined;
}
