// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { World } from "#policy/world";
import type { ApprovalState } from "./approvals.ts";
import type { Composed } from "./composed.ts";
import type { Composite } from "./composite.ts";
import { hold } from "./hold.ts";
import { judge } from "./judge.ts";
import type { ResourceOutcome, Tally } from "./meter.ts";
import type { CompiledGuard } from "./policies.ts";
import type { Mask } from "./secrets.ts";
import { isBlocking, violationKey, violationsOf, type Violation } from "./violation.ts";

/** What happens to one composed resource, and why. */
export type Verdict = {
  readonly resource: Composed;
  readonly step:
    /** It goes on as it was injected. */
    | { readonly kind: "send" }
    /** It does not exist and must not come to exist yet. */
    | { readonly kind: "wait" }
    /** It exists; `object` has the last applied values at `paths`. */
    | { readonly kind: "hold"; readonly object: JsonObject; readonly paths: readonly string[] }
    /** It exists, breaks a policy and did not change: nothing is held. */
    | { readonly kind: "known"; readonly object: JsonObject }
    | { readonly kind: "stop"; readonly reason: string };
  readonly violations: readonly Violation[];
  /** Set when the change waits for people, or was let through or refused by them. */
  readonly approval: PendingApproval | undefined;
};

export type PendingApproval = { readonly digest: string; readonly state: ApprovalState };

export type Judging = {
  readonly composite: Composite;
  readonly guard: CompiledGuard;
  readonly world: World;
  /** Takes out of messages what Secrets hold. */
  readonly mask: Mask;
  /** Stands against every resource: policies that cannot be used. */
  readonly unjudged: readonly Violation[];
  /** Asks people about the change that these violations object to. */
  readonly approve: (resource: Composed, violations: readonly Violation[]) => PendingApproval;
};

/** The verdict on a resource that nothing stands against. */
export const passed = (resource: Composed): Verdict => ({
  resource,
  step: { kind: "send" },
  violations: [],
  approval: undefined,
});

/** Judges one resource after injection. */
export function verdictOn(resource: Composed, judging: Judging): Verdict {
  const all = violationsAgainst(resource, resource.injected, judging);
  const approvable = all.filter((violation) => violation.answer === "RequireApproval");
  const approval = approvable.length === 0 ? undefined : judging.approve(resource, approvable);
  const violations =
    approval?.state.kind === "approved"
      ? all.filter((violation) => violation.answer !== "RequireApproval")
      : all;
  const blocking = violations.filter(isBlocking);
  const verdict = { resource, violations, approval };
  if (blocking.length === 0) return { ...verdict, step: { kind: "send" } };
  const fatal = blocking.find((violation) => violation.answer === "Fatal");
  if (fatal !== undefined) return { ...verdict, step: { kind: "stop", reason: "" } };
  if (resource.live === undefined) return { ...verdict, step: { kind: "wait" } };
  const step = holdExisting(resource, resource.live, judging);
  if (step.kind !== "hold") return { ...verdict, step };
  return { ...verdict, step, violations: markStanding(resource, step.object, violations, judging) };
}

/**
 * Somebody else may have brought a violation that the held change has nothing to do with: nobody should take it for its cause.
 * Where all of them stand, what is held is a value that somebody else wrote before the composition asked for it.
 */
function markStanding(
  resource: Composed,
  sent: JsonObject,
  violations: readonly Violation[],
  judging: Judging,
): readonly Violation[] {
  const left = new Set(violationsAgainst(resource, sent, judging).map(violationKey));
  const stands = (each: Violation) => left.has(violationKey(each));
  if (violations.filter(isBlocking).every(stands)) return violations;
  return violations.map((each) => (stands(each) ? { ...each, stands: true } : each));
}

function holdExisting(resource: Composed, live: JsonObject, judging: Judging): Verdict["step"] {
  const held = hold({
    wanted: resource.injected,
    live,
    last: resource.last,
    fieldManager: judging.composite.fieldManager,
    unjudged: judging.unjudged.length > 0,
    judge: (candidate) =>
      new Set(violationsAgainst(resource, candidate, judging).filter(isBlocking).map(violationKey)),
  });
  switch (held.kind) {
    case "unchanged":
      return { kind: "known", object: held.object };
    case "held":
      return { kind: "hold", object: held.object, paths: held.paths };
    case "impossible":
      return { kind: "stop", reason: held.reason };
    default:
      return held satisfies never;
  }
}

function violationsAgainst(
  resource: Composed,
  candidate: JsonObject,
  { composite, guard, world, mask, unjudged }: Judging,
): readonly Violation[] {
  const results = judge(resource, candidate, composite.fieldManager, world);
  const mutated = resource.results.filter((result) => result.result === "error");
  return [
    ...violationsOf([...mutated, ...results], resource.name, candidate, guard, mask),
    ...unjudged.map((violation) => ({ ...violation, resource: resource.name })),
  ];
}

/** Whether an approval may come any moment. A violation that exists already waits for nobody, a denied change for no hurry. */
export const waitsForPeople = ({ approval, step }: Verdict): boolean =>
  approval?.state.kind === "waiting" && step.kind !== "known";

const outcomes = {
  send: "sent",
  wait: "waiting",
  hold: "held",
  known: "known",
  stop: "stopped",
} satisfies Record<Verdict["step"]["kind"], ResourceOutcome>;

/** The figures of one call's verdicts, for the metrics. */
export const tallyOf = (verdicts: readonly Verdict[]): Tally => ({
  outcomes: verdicts.map(({ step }) => outcomes[step.kind]),
  violations: verdicts.flatMap(({ violations }) =>
    violations.map(({ answer, policy }) => ({
      action: answer === "Tell" ? "Audit" : "Enforce",
      answer,
      policy,
    })),
  ),
  injected: verdicts.filter(({ resource }) => resource.injected !== resource.rendered).length,
  companions: verdicts.filter(({ resource }) => resource.subject !== "").length,
});
