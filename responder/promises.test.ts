// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json } from "#policy/json";
import { isArray, isObject } from "#policy/json";
import type { Approval } from "#responder/approval";
import { viewApprovals } from "#responder/approval";
import { decide } from "#responder/decide";
import { approversOf, type Change, type Plan, planDigest, type Target } from "#responder/plan";
import { planJson, planSchema, toPlan } from "#responder/record/plan-record";
import type { Remediation } from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";

// What is promised to those who approve, from their Approvals to the decision to begin: which yes counts for which plan.

const nowMs = 1_000_000;
const target: Target = {
  apiVersion: "v1",
  kind: "Pod",
  namespace: "prod",
  name: "web-1",
  uid: "uid-1",
};
const typeOf = (apiVersion: string, kind: string, namespaced: boolean) => ({
  apiVersion,
  kind,
  resource: `${kind.toLowerCase()}s`,
  namespaced,
});
const edit = (kind: string, name: string, namespaced: boolean): Change => ({
  kind: "edit",
  type: typeOf("v1", kind, namespaced),
  namespace: namespaced ? "prod" : "",
  name,
  uid: `uid-${name}`,
  edits: [{ path: ["metadata", "labels", "a"], from: "b", to: "c" }],
});
const ofPod = edit("Pod", "1", true);
const planOf = (...changes: readonly Change[]): Plan => {
  const actions = [{ action: "isolate", changes }];
  return { digest: planDigest(target, actions), actions, residualAllows: [], notes: [] };
};

const podPlan = planOf(ofPod);
const nodePlan = planOf(ofPod, edit("Node", "node-7", false));
const namespacePlan = planOf(edit("Namespace", "prod", false));

const yes = (by: string, of: Plan = podPlan, more: Partial<Approval> = {}): Approval => ({
  namespace: "prod",
  name: `a-${by}`,
  remediation: "x",
  planDigest: of.digest,
  decision: "Approve",
  approvedBy: by,
  reason: "seen",
  createdAtMs: nowMs,
  expiresAtMs: nowMs + 1,
  renewUntilMs: undefined,
  ...more,
});

type Row = {
  readonly reason: string;
  readonly plan?: Plan;
  readonly actor?: string;
  readonly approvals: readonly Approval[];
  readonly want: "begins" | "waits" | "ends";
};

const rows: readonly Row[] = [
  { reason: "Nothing begins without a person.", approvals: [], want: "waits" },
  { reason: "One person is enough for one pod.", approvals: [yes("jane")], want: "begins" },
  {
    reason: "A yes for the plan as it was before is none for this one.",
    approvals: [yes("jane", planOf(edit("Pod", "2", true)))],
    want: "waits",
  },
  {
    reason: "A yes has an end.",
    approvals: [yes("jane", podPlan, { expiresAtMs: nowMs })],
    want: "waits",
  },
  {
    reason: "Who caused it does not decide on it.",
    actor: "jane",
    approvals: [yes("jane")],
    want: "waits",
  },
  {
    reason: "Others do.",
    actor: "jane",
    approvals: [yes("jane"), yes("ann")],
    want: "begins",
  },
  {
    reason: "A node needs two.",
    plan: nodePlan,
    approvals: [yes("jane", nodePlan)],
    want: "waits",
  },
  {
    reason: "Two different ones.",
    plan: nodePlan,
    approvals: [yes("jane", nodePlan), yes("jane", nodePlan, { name: "b" })],
    want: "waits",
  },
  {
    reason: "None of them the cause.",
    plan: nodePlan,
    actor: "ann",
    approvals: [yes("jane", nodePlan), yes("ann", nodePlan)],
    want: "waits",
  },
  {
    reason: "Then it begins.",
    plan: nodePlan,
    approvals: [yes("jane", nodePlan), yes("ann", nodePlan)],
    want: "begins",
  },
  {
    reason: "A namespace needs two as well.",
    plan: namespacePlan,
    approvals: [yes("jane", namespacePlan)],
    want: "waits",
  },
  {
    reason: "One of two ran out before the other came.",
    plan: nodePlan,
    approvals: [yes("jane", nodePlan, { expiresAtMs: nowMs }), yes("ann", nodePlan)],
    want: "waits",
  },
  {
    reason: "One no is a no, also by the cause.",
    actor: "ann",
    approvals: [yes("jane"), yes("ann", podPlan, { decision: "Deny" })],
    want: "ends",
  },
  {
    reason: "A yes to a record of the same name that was deleted long ago is none to this one.",
    approvals: [yes("jane", podPlan, { createdAtMs: nowMs - 600_000 })],
    want: "waits",
  },
  {
    reason: "A clock that was set back a little keeps nobody from deciding.",
    approvals: [yes("jane", podPlan, { createdAtMs: nowMs - 200_000 })],
    want: "begins",
  },
  {
    reason: "More time for what is not in force is no yes.",
    approvals: [yes("jane", podPlan, { renewUntilMs: nowMs + 9 })],
    want: "waits",
  },
];

/** From Proposed as far as the decisions lead. */
function outcome({ plan = podPlan, actor = "", approvals }: Row): string {
  const example = exampleRemediation({ name: "x", state: "Proposed" });
  const status = { ...example.status, expiresAtMs: nowMs + 500 };
  let remediation: Remediation = { ...example, target, plan, status };
  const approval = viewApprovals(approvals, {
    namespace: "prod",
    remediation: "x",
    planDigest: plan.digest,
    nowMs,
    actedOn: undefined,
    recordedAtMs: nowMs,
    approvers: approversOf(plan),
    actor,
  });
  for (let step = 0; step < 5; step++) {
    const decision = decide(remediation, {
      nowMs,
      stopped: false,
      approval,
      renewal: undefined,
      isPlanWhole: planDigest(target, plan.actions) === plan.digest,
      target: "present",
      settleMs: 0,
      mayProbe: false,
    });
    if (decision.do === "act") return "begins";
    if (decision.do === "nothing") return "waits";
    if (decision.do !== "move") return decision.do;
    const next = { approved: "Approved", begun: "Applying" } as const;
    const { kind } = decision.event;
    if (kind !== "approved" && kind !== "begun") return "ends";
    remediation = { ...remediation, status: { ...status, state: next[kind] } };
  }
  return "never";
}

describe("an approval", () => {
  it.each(rows)("$want: $reason", (row) => {
    expect(outcome(row)).toBe(row.want);
  });

  it("is for one plan to the last leaf of it, as it is stored, and for one target", () => {
    const stored = planJson(nodePlan)["actions"];
    const changed = variations(stored ?? null);
    expect(changed.length).toBeGreaterThan(20);
    const unseen = changed.filter((actions) => {
      const parsed = planSchema.safeParse({ digest: nodePlan.digest, actions });
      const other = parsed.success ? toPlan(parsed.data) : "unreadable";
      // What can no longer be read is never done either.
      return typeof other !== "string" && planDigest(target, other.actions) === nodePlan.digest;
    });
    expect(unseen).toEqual([]);
    for (const member of ["apiVersion", "kind", "namespace", "name", "uid"] as const) {
      const elsewhere = { ...target, [member]: "other" };
      expect(planDigest(elsewhere, nodePlan.actions)).not.toBe(nodePlan.digest);
    }
  });
});

/** The value with each of its leaves changed, one at a time. */
function variations(value: Json): readonly Json[] {
  if (isArray(value)) {
    return value.flatMap((item, i) => variations(item).map((one) => value.toSpliced(i, 1, one)));
  }
  if (isObject(value)) {
    return Object.entries(value).flatMap(([key, item]) =>
      variations(item).map((one) => ({ ...value, [key]: one })),
    );
  }
  return typeof value === "boolean" ? [!value] : [`${JSON.stringify(value)}?`];
}
