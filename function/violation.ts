// SPDX-License-Identifier: Apache-2.0
import { textAt, type JsonObject } from "#policy/json";
import type { PolicyRef, RuleResult } from "#policy/report/result";
import type { Answer, CompiledGuard } from "./policies.ts";
import type { Mask } from "./secrets.ts";

/** One thing that stands against a composed resource, or that is only to be told. */
export type Violation = {
  /** Composed resource name; '' for what concerns the whole composite. */
  readonly resource: string;
  readonly policy: string;
  /** undefined where no usable policy stands behind it. */
  readonly ref: PolicyRef | undefined;
  readonly rule: string;
  /** One sentence without secret values. */
  readonly message: string;
  /** What follows: `Tell` for Audit and Warn, which never block. */
  readonly answer: Answer | "Tell";
  /** It stands against what is sent in the change's place as well: the change does not bring it. */
  readonly stands?: boolean;
};

/** Longest message of one violation in characters: a policy may compute any text. */
const messageLengthMax = 400;

/** Annotation of a policy that says where to ask, e.g. `#platform-help`. */
const contactAnnotation = "parapet.dev/contact";

export const policyName = (ref: PolicyRef): string =>
  [ref.kind, ref.namespace, ref.name].filter((part) => part !== "").join("/");

/** The violations among results: fails and errors; a fail that its policy turned into a warning is told only. */
export function violationsOf(
  results: readonly RuleResult[],
  resource: string,
  object: JsonObject,
  guard: CompiledGuard,
  mask: Mask,
): readonly Violation[] {
  const violations = results.flatMap((result): readonly Violation[] => {
    if (result.result !== "fail" && result.result !== "error" && result.result !== "warn")
      return [];
    const blocks =
      result.result !== "warn" && (result.action === "Enforce" || failedToMutate(result, guard));
    return [
      {
        resource,
        policy: policyName(result.policy),
        ref: result.policy,
        rule: result.rule,
        message: sentenceOf(result, mask(textOf(result, object)), guard),
        answer: blocks ? guard.answerOf(result.policy) : "Tell",
      },
    ];
  });
  // A policy that is bound twice, or to many parameters, says the same for each.
  return [
    ...new Map(violations.map((each) => [`${violationKey(each)}\n${each.answer}`, each])).values(),
  ];
}

/** What a policy was to inject and could not is missing, whatever the policy says about violations: Kyverno blocks then too. */
const failedToMutate = ({ type, result, policy }: RuleResult, guard: CompiledGuard): boolean =>
  type === "Mutation" && result === "error" && !guard.ignoresFailure(policy);

function sentenceOf(result: RuleResult, message: string, guard: CompiledGuard): string {
  const contact = guard.annotationOf(result.policy, contactAnnotation);
  const text = oneLine(message, messageLengthMax);
  if (contact === "") return text;
  return `${text}${/[.!?…)]$/.test(text) ? "" : "."} Ask ${oneLine(contact, 80)}.`;
}

/** What a result says, without anything that a Secret holds. */
export function textOf(result: RuleResult, object: JsonObject): string {
  // A message expression could quote any value of the object, and a Secret has only secret ones.
  if (textAt(object, ["kind"]) === "Secret")
    return "violates the policy (values of Secrets are not shown)";
  if (result.unsupported !== undefined) return `cannot be judged: ${result.unsupported}`;
  if (result.result === "error") {
    const isAboutUser = /userInfo|no such key: (?:groups|username|uid|extra)\b/.test(
      result.message,
    );
    const hint = isAboutUser ? " (a composition is told no user)" : "";
    return `cannot be judged: ${result.message}${hint}`;
  }
  return result.message === "" ? "violates the policy" : result.message;
}

/** Text from a policy on one line, without control characters, cut where it is too long. */
export function oneLine(text: string, lengthMax: number): string {
  const flat = text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim();
  return flat.length <= lengthMax ? flat : `${flat.slice(0, lengthMax - 1)}…`;
}

/** What tells two violations of one resource apart. */
export const violationKey = (violation: Violation): string =>
  [violation.policy, violation.rule, violation.message].join("\n");

export const isBlocking = (violation: Violation): boolean =>
  violation.answer === "Hold" ||
  violation.answer === "Fatal" ||
  violation.answer === "RequireApproval";
