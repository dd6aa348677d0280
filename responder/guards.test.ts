// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { isObject, type JsonObject } from "#policy/json";
import { type Approval, viewApprovals } from "#responder/approval";
import { allow } from "#responder/budget";
import { types } from "#responder/cluster";
import { decide, type Facts } from "#responder/decide";
import { exhaustedBudget, otherReady } from "#responder/guard";
import type { Change, Plan } from "#responder/plan";
import type { Remediation, State } from "#responder/remediation";
import { modeIn, parseResponsePolicy } from "#responder/response-policy";
import { exampleRemediation } from "#test/support/example-remediation";
import { repository } from "#test/support/shared";

const nowMs = 1_000_000;
const target = { namespace: "prod", name: "web-7f9c", uid: "3b1c-55" };
const plan = (...changes: readonly Change[]): Plan => ({
  digest: `sha256:${"a".repeat(64)}`,
  actions: [{ action: "x", changes }],
  residualAllows: [],
  notes: [],
});
const evict = plan({ kind: "remove", how: "evict", ...target });
const cordon = plan({
  kind: "edit",
  type: types.node,
  namespace: "",
  name: "node-1",
  uid: "n-1",
  edits: [{ path: ["spec", "unschedulable"], to: true }],
});
const both: Plan = { ...evict, actions: [...cordon.actions, ...evict.actions] };

function remediation(
  state: State,
  of: Plan,
  more: Partial<Remediation["status"]> = {},
): Remediation {
  const example = exampleRemediation({ name: "x", state });
  return {
    ...example,
    plan: of,
    status: {
      ...example.status,
      undo: undefined,
      expiresAtMs: nowMs + 500,
      appliedAtMs: state === "Applying" ? undefined : 1,
      ...more,
    },
  };
}

const facts: Facts = {
  nowMs,
  stopped: false,
  approval: { kind: "approved", name: "a", by: "jane", reason: "" },
  target: "present",
  settleMs: 0,
  mayProbe: false,
  renewal: undefined,
  isPlanWhole: true,
};
const denied = { kind: "denied", by: "joe", reason: "no" } as const;

describe("the next step where the target may end by the plan", () => {
  it.each([
    {
      reason: "Gone by our own act before it was recorded.",
      of: evict,
      state: "Applying",
      facts: { target: "gone" },
      want: "act",
    },
    {
      reason: "A node is cordoned whatever became of the pod.",
      of: cordon,
      state: "Applying",
      facts: { target: "gone" },
      want: "act",
    },
    {
      reason: "That it is gone is looked at once.",
      of: evict,
      state: "Applied",
      facts: { target: "gone" },
      want: "check",
    },
    {
      reason: "Then it is closed, and the isolation of nobody with it.",
      of: evict,
      state: "Verified",
      facts: { target: "gone" },
      want: "undo TargetGone",
    },
    {
      reason: "What was verified to be gone is gone, though the facts are a second old.",
      of: evict,
      state: "Verified",
      want: "undo TargetGone",
    },
    {
      reason: "What is for good is closed too.",
      of: evict,
      state: "Verified",
      facts: { target: "gone" },
      more: { expiresAtMs: undefined },
      want: "undo TargetGone",
    },
    {
      reason: "The cordon lasts for its time, though the pod is gone.",
      of: both,
      state: "Verified",
      facts: { target: "gone" },
      want: "nothing in force",
    },
    {
      reason: "And then ends.",
      of: both,
      state: "Verified",
      facts: { target: "gone", nowMs: nowMs + 600 },
      want: "undo Expired",
    },
    {
      reason: "A Deny ends a cordon without its pod.",
      of: cordon,
      state: "Verified",
      facts: { target: "gone", approval: denied },
      want: "undo Denied",
    },
    {
      reason: "An eviction that waits for a budget is tried again.",
      of: evict,
      state: "Applying",
      more: { attempts: 3 },
      want: "act",
    },
    {
      reason: "A Deny ends the waiting.",
      of: evict,
      state: "Applying",
      more: { attempts: 3 },
      facts: { approval: denied },
      want: "undo Denied",
    },
    {
      reason: "So does the time to decide.",
      of: evict,
      state: "Applying",
      more: { attempts: 3 },
      facts: { nowMs: nowMs + 600 },
      want: "undo NotPossibleInTime",
    },
    {
      reason: "The global stop holds it.",
      of: evict,
      state: "Applying",
      more: { attempts: 3 },
      facts: { stopped: true },
      want: "nothing the global stop is on",
    },
  ] as const)("$want: $reason", (row) => {
    const more = "more" in row ? row.more : {};
    const given: Facts = { ...facts, ...("facts" in row ? row.facts : {}) };
    const decision = decide(remediation(row.state, row.of, more), given);
    const reason = "reason" in decision ? ` ${decision.reason}` : "";
    expect(`${decision.do}${reason}`).toBe(row.want);
  });
});

describe("two approvers", () => {
  const approval = (name: string, by: string, more: Partial<Approval> = {}): Approval => ({
    namespace: "prod",
    name,
    remediation: "x",
    planDigest: "d",
    decision: "Approve",
    approvedBy: by,
    reason: "ok",
    createdAtMs: 1,
    expiresAtMs: undefined,
    renewUntilMs: undefined,
    ...more,
  });
  const question = {
    namespace: "prod",
    remediation: "x",
    planDigest: "d",
    nowMs,
    actedOn: undefined,
    actor: "",
    approvers: 2,
  };
  it.each([
    { reason: "One is not enough.", approvals: [approval("a", "jane")], want: "none" },
    {
      reason: "Nor is the same person twice.",
      approvals: [approval("a", "jane"), approval("b", "jane")],
      want: "none",
    },
    {
      reason: "Two are.",
      approvals: [approval("a", "jane"), approval("b", "joe")],
      want: "approved",
    },
    {
      reason: "Not one whose approval ran out.",
      approvals: [approval("a", "jane"), approval("b", "joe", { expiresAtMs: 5 })],
      want: "none",
    },
    {
      reason: "Not one who is the cause.",
      approvals: [approval("a", "jane"), approval("b", "eve")],
      actor: "eve",
      want: "none",
    },
    {
      reason: "A Deny wins.",
      approvals: [
        approval("a", "jane"),
        approval("b", "joe"),
        approval("c", "ann", { decision: "Deny" }),
      ],
      want: "denied",
    },
  ])("$want: $reason", ({ approvals, want, ...more }) => {
    expect(viewApprovals(approvals, { ...question, ...more }).kind).toBe(want);
  });
  it("deleting one of the two that were acted on revokes", () => {
    const view = viewApprovals([approval("a", "jane")], { ...question, actedOn: "a,b" });
    expect(view).toEqual({ kind: "none", withdrawn: true });
    const whole = viewApprovals([approval("a", "jane"), approval("b", "joe", { expiresAtMs: 5 })], {
      ...question,
      actedOn: "a,b",
    });
    expect(whole).toEqual({ kind: "none", withdrawn: false });
  });
});

describe("how far a response goes by itself", () => {
  const ended = (appliedAtMs: number): Remediation => ({
    ...remediation("TargetGone", evict, { appliedAtMs }),
    workload: "ReplicaSet/web",
    policy: "p",
  });
  const base = {
    mode: "Automatic",
    policy: "p",
    namespace: "prod",
    workload: "ReplicaSet/web",
    limits: { perWorkload: 1, perNamespace: 5, cooldown: 1_000 },
    others: [],
    isStale: false,
    isProtected: false,
    stopped: false,
    nowMs,
  } as const;
  const inForce = { ...remediation("Verified", cordon), policy: "p", workload: "" };
  const forGood = (appliedAtMs: number): Remediation => ({
    ...inForce,
    workload: base.workload,
    status: { ...inForce.status, appliedAtMs, expiresAtMs: undefined },
  });
  it.each([
    {
      reason: "A label protects.",
      more: { isProtected: true, protectedBy: "the pod is labelled" },
      want: "Observe",
    },
    { reason: "Two approvers cannot be left out.", more: { approvers: 2 }, want: "Propose" },
    { reason: "Too few would be ready.", more: { tooFewReady: "1 of 2" }, want: "Propose" },
    {
      reason: "A pod of the workload was deleted a moment ago.",
      more: { others: [ended(nowMs - 500)] },
      want: "Propose",
    },
    {
      reason: "Longer ago than the cool-down.",
      more: { others: [ended(nowMs - 1_500)] },
      want: "Automatic",
    },
    {
      reason: "What was put right for good a moment ago counts.",
      more: { others: [forGood(nowMs - 500)] },
      want: "Propose",
    },
    {
      reason: "It does not count for ever: nothing closes it before its retention is over.",
      more: { others: [forGood(nowMs - 1_500)] },
      want: "Automatic",
    },
    {
      reason: "The cluster's limit counts other namespaces.",
      more: { limits: { ...base.limits, perCluster: 1 }, everywhere: [inForce] },
      want: "Propose",
    },
    {
      reason: "The cluster has room.",
      more: { limits: { ...base.limits, perCluster: 2 }, everywhere: [inForce] },
      want: "Automatic",
    },
  ] as const)("$want: $reason", ({ more, want }) => {
    expect(allow({ ...base, ...more }).mode).toBe(want);
  });
});

const policy = (spec: JsonObject) =>
  parseResponsePolicy({
    metadata: { name: "p" },
    spec: { match: { falco: {} }, do: [{ isolate: {} }], ...spec },
  });

describe("a policy", () => {
  it("has a mode for each namespace, the first entry that names it", () => {
    const parsed = policy({
      mode: "Propose",
      modes: [
        { namespaces: ["prod-db"], mode: "Observe" },
        { namespaces: ["prod-*", "shop"], mode: "Automatic" },
      ],
    });
    if (!parsed.ok) throw new Error("invalid");
    const modes = ["prod-db", "prod-web", "shop", "test"].map((one) =>
      modeIn(parsed.policy, one, "Any rule"),
    );
    expect(modes).toEqual(["Observe", "Automatic", "Automatic", "Propose"]);
  });

  it.each([
    { reason: "Rule and namespace.", namespace: "dev-1", rule: "Shell", want: "Automatic" },
    { reason: "Not that namespace.", namespace: "prod", rule: "Shell", want: "Propose" },
    { reason: "A rule everywhere.", namespace: "prod", rule: "Noisy", want: "Observe" },
    { reason: "The first entry counts.", namespace: "dev-1", rule: "Noisy", want: "Observe" },
    {
      reason: "Rules are whole names.",
      namespace: "dev-1",
      rule: "Shell spawned",
      want: "Propose",
    },
  ] as const)("has a mode by rule and namespace: $reason", ({ namespace, rule, want }) => {
    const parsed = policy({
      modes: [
        { rules: ["Noisy"], mode: "Observe" },
        { namespaces: ["dev-*"], rules: ["Shell"], mode: "Automatic" },
      ],
    });
    expect(parsed.ok && modeIn(parsed.policy, namespace, rule)).toBe(want);
  });

  it("that names neither namespaces nor rules for a mode is refused", () => {
    expect(policy({ modes: [{ mode: "Automatic" }] }).ok).toBe(false);
  });

  it.each([
    {
      reason: "What ends the pod leaves nothing to label.",
      spec: { do: [{ delete: {} }, { "quarantine-label": {} }] },
    },
    { reason: "It ends once.", spec: { do: [{ evict: {} }, { delete: {} }] } },
    { reason: "The same twice is a mistake.", spec: { do: [{ isolate: {} }, { isolate: {} }] } },
    { reason: "An alert has no trusted state to go back to.", spec: { do: [{ rollback: {} }] } },
    { reason: "A drift has no pod to evict.", spec: { match: { drift: {} }, do: [{ evict: {} }] } },
    { reason: "Unknown limits are refused.", spec: { limits: { minimumReady: 1 } } },
  ])("is refused: $reason", ({ spec }) => {
    expect(policy(spec).ok).toBe(false);
  });

  it("is valid as the installation's README has it", () => {
    const text = readFileSync(join(repository, "package/install/README.md"), "utf8");
    const [, example = ""] = /```yaml\n(apiVersion: parapet[^`]+)```/.exec(text) ?? [];
    const object: unknown = parse(example);
    if (!isObject(object)) throw new Error("no example");
    const parsed = parseResponsePolicy(object);
    expect(parsed.ok ? [] : parsed.problems).toEqual([]);
  });

  it("may tell several, and keep evidence after the end in name: it comes first in fact", () => {
    expect(
      policy({
        do: [
          { notify: { to: "a" } },
          { delete: {} },
          { notify: { to: "b" } },
          { "capture-evidence": {} },
        ],
      }).ok,
    ).toBe(true);
  });
});

describe("what a guard counts", () => {
  const pod = (
    uid: string,
    owner: string,
    isReady: boolean,
    more: JsonObject = {},
  ): JsonObject => ({
    metadata: {
      uid,
      labels: { app: "web" },
      ownerReferences: [{ uid: owner, controller: true }],
      ...more,
    },
    status: { conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] },
  });
  it("is ready pods of the same controller, without the target and without those that end", () => {
    const self = pod("1", "o", true);
    const pods = [
      self,
      pod("2", "o", true),
      pod("3", "o", false),
      pod("4", "other", true),
      pod("5", "o", true, { deletionTimestamp: "2026-11-22T00:00:00Z" }),
    ];
    expect(otherReady(pods, self)).toBe(1);
    const labels = { "isolate.parapet.dev/0123456789": "6" };
    const isolated = pod("6", "o", true, { labels });
    expect(otherReady([self, isolated], self)).toBe(0);
    expect(otherReady(pods, { metadata: { uid: "9" } })).toBe(0);
  });
  it.each([
    {
      reason: "Used up.",
      budget: {
        spec: { selector: { matchLabels: { app: "web" } } },
        status: { disruptionsAllowed: 0 },
      },
      want: "b",
    },
    {
      reason: "Room.",
      budget: {
        spec: { selector: { matchLabels: { app: "web" } } },
        status: { disruptionsAllowed: 1 },
      },
      want: undefined,
    },
    {
      reason: "Not yet counted by its controller: nothing is known, so nothing is allowed.",
      budget: { spec: { selector: {} } },
      want: "b",
    },
    {
      reason: "Of other pods.",
      budget: {
        spec: { selector: { matchLabels: { app: "db" } } },
        status: { disruptionsAllowed: 0 },
      },
      want: undefined,
    },
    {
      reason: "Unreadable.",
      budget: { spec: { selector: { matchLabels: 3 } }, status: { disruptionsAllowed: 1 } },
      want: undefined,
    },
  ])("is a budget: $reason", ({ budget, want }) => {
    expect(exhaustedBudget([{ metadata: { name: "b" }, ...budget }], pod("1", "o", true))).toBe(
      want,
    );
  });
});
