// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Drift } from "#responder/drift/drift";
import { clientOf } from "#responder/drift/clients";
import { fightOver } from "#responder/drift/fight";
import type { Path } from "#responder/edit";
import type { Plan, Target } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = Date.UTC(2026, 10, 22, 12, 0, 0);
const target: Target = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  namespace: "shop",
  name: "web",
  uid: "uid-web",
};
const type = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  resource: "deployments",
  namespaced: true,
};
const replicas: Path = ["spec", "replicas"];
const image: Path = ["spec", "template", "spec", "containers", { name: "web" }, "image"];

const drift = (path: Path): Drift => ({
  edit: { path, from: 3, to: 2 },
  verdict: "gap",
  manager: "keda-operator",
});

/** A rollback of one path, done so many minutes ago; undefined: not done. */
function rollback(path: Path, minutesAgo: number | undefined, uid = target.uid): Remediation {
  const { namespace, name } = target;
  const edits = [{ path, from: 3, to: 2 }];
  const plan: Plan = {
    digest: "sha256:x",
    actions: [
      { action: "rollback", changes: [{ kind: "edit", type, namespace, name, uid, edits }] },
    ],
    residualAllows: [],
    notes: [],
  };
  const example = exampleRemediation({ name: `r-${minutesAgo}`, state: "Verified" });
  const appliedAtMs = minutesAgo === undefined ? undefined : nowMs - minutesAgo * 60_000;
  return {
    ...example,
    target: { ...target, uid },
    cause: { ...example.cause, source: "Drift" },
    plan,
    status: { ...example.status, appliedAtMs },
  };
}

const rows: readonly {
  readonly reason: string;
  readonly done: readonly Remediation[];
  readonly paths: readonly Path[];
  readonly want: boolean;
}[] = [
  { reason: "It was never put right.", done: [], paths: [replicas], want: false },
  {
    reason: "Twice is bad luck.",
    done: [rollback(replicas, 2), rollback(replicas, 8)],
    paths: [replicas],
    want: false,
  },
  {
    reason: "Three times somebody else writes it by itself.",
    done: [rollback(replicas, 2), rollback(replicas, 8), rollback(replicas, 14)],
    paths: [replicas],
    want: true,
  },
  {
    reason: "Among others that differ as well.",
    done: [rollback(replicas, 2), rollback(replicas, 8), rollback(replicas, 14)],
    paths: [image, replicas],
    want: true,
  },
  {
    reason: "Long ago.",
    done: [rollback(replicas, 2), rollback(replicas, 8), rollback(replicas, 16)],
    paths: [replicas],
    want: false,
  },
  {
    reason: "Another path each time.",
    done: [rollback(image, 2), rollback(replicas, 8), rollback(replicas, 14)],
    paths: [replicas],
    want: false,
  },
  {
    reason: "Proposed, and never done.",
    done: [rollback(replicas, 2), rollback(replicas, undefined), rollback(replicas, undefined)],
    paths: [replicas],
    want: false,
  },
  {
    reason: "Another object that had the name before.",
    done: [rollback(replicas, 2), rollback(replicas, 8, "before"), rollback(replicas, 9, "before")],
    paths: [replicas],
    want: false,
  },
];

describe("a path that is put right again and again", () => {
  it.each(rows)("is a fight: $want. $reason", ({ done, paths, want }) => {
    const found = fightOver(done, target, paths.map(drift), nowMs);
    expect(found?.mode).toBe(want ? "Propose" : undefined);
    if (want) expect(found?.reason).toContain("spec.replicas was put right 3 times");
  });
});

describe("the kind of a client", () => {
  const clients = [
    { name: "gitops", users: ["system:serviceaccount:argocd:*"] },
    { name: "agent", users: ["system:serviceaccount:agents:*", "*@agents.example.org"] },
    { name: "person", users: ["*@example.org", "*@agents.example.org"] },
  ];
  it.each([
    { user: "system:serviceaccount:argocd:argocd-application-controller", want: "gitops" },
    { user: "fixer@agents.example.org", want: "agent" },
    { user: "jane@example.org", want: "person" },
    { user: "system:admin", want: "other" },
    { user: "", want: "unknown" },
  ])("$user is $want", ({ user, want }) => {
    expect(clientOf(clients, user)).toBe(want);
  });
});
