// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Approval } from "#responder/approval";
import { approvalJson, readApproval } from "#responder/record/approval-record";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import type { AuditEntry } from "#responder/record/audit";
import { makeLocks } from "#responder/locks";
import { nameOf, type ResourceType, types, uidOf } from "#responder/cluster";
import type { Remediation, State, Status } from "#responder/remediation";
import { states } from "#responder/remediation";
import { readRemediation, remediationJson, statusJson } from "#responder/record/remediation-record";
import { type RecordPorts, findOpen } from "#responder/record/remediation-store";
import { closedBefore, tidy } from "#responder/record/retention";
import { exampleRemediation } from "#test/support/example-remediation";
import { good } from "#test/support/cluster-contract";

const dayMs = 86_400_000;
const startMs = Date.parse("2026-11-22T10:00:00Z");
const retentionMs = 30 * dayMs;

function record(
  name: string,
  state: State,
  ageDays: number,
  more: Partial<Status> = {},
): Remediation {
  const example = exampleRemediation({ name, state });
  const atMs = startMs - ageDays * dayMs;
  const history = [{ atMs, from: "" as const, to: state, reason: "R", message: "", by: "jane" }];
  const alerts = { ...example.status.alerts, lastSeenMs: atMs };
  return { ...example, status: { ...example.status, history, alerts, ...more } };
}

const rows = [
  ...states.map((state) => ({
    reason: "Only what is over is old.",
    of: record("x", state, 400),
    want: ["Denied", "Expired", "Undone", "TargetGone"].includes(state),
  })),
  {
    reason: "A rollback that was verified is done for good.",
    of: record("x", "Verified", 31, { appliedAtMs: 1, expiresAtMs: undefined }),
    want: true,
  },
  {
    reason: "One that is being taken back is not.",
    of: record("x", "Verified", 31, {
      appliedAtMs: 1,
      expiresAtMs: undefined,
      undo: { atMs: 1, by: "joe", reason: "Denied" },
    }),
    want: false,
  },
  { reason: "Closed lately.", of: record("x", "Undone", 29), want: false },
  { reason: "Closed long ago.", of: record("x", "Undone", 31), want: true },
  {
    reason: "Its alert still comes: the record is what says that somebody said no.",
    of: record("x", "Denied", 31, {
      alerts: { count: 9, firstSeenMs: 1, lastSeenMs: startMs - dayMs, recent: [] },
    }),
    want: false,
  },
];

async function scene(remediations: readonly Remediation[], orphans: readonly Approval[] = []) {
  const cluster = makeMemoryCluster(() => startMs).client();
  const stored: Remediation[] = [];
  const approvals: Approval[] = [...orphans];
  for (const one of remediations) {
    const made = good(await cluster.create(types.remediation, remediationJson(one, "f")));
    const told = good(
      await cluster.replaceStatus(types.remediation, { ...made, status: statusJson(one.status) }),
    );
    const read = readRemediation(told);
    if (typeof read === "string") throw new Error(read);
    stored.push(read);
    const approval = approvalJson({
      remediation: one,
      name: `${one.name.name}-yes`,
      decision: "Approve",
      approvedBy: "jane",
      reason: "",
      expiresAtMs: undefined,
    });
    const kept = readApproval(good(await cluster.create(types.approval, approval)));
    if (kept !== undefined) approvals.push(kept);
  }
  const audited: AuditEntry[] = [];
  const names = async (type: ResourceType) =>
    good(await cluster.list(type, {})).items.map((one) => nameOf(one).name);
  return {
    cluster,
    audited,
    stored,
    names,
    ports: {
      cluster,
      remediations: { all: () => stored },
      approvals: { all: () => approvals },
      audit: (entry: AuditEntry) => {
        audited.push(entry);
        return Promise.resolve();
      },
      log: () => undefined,
      now: () => startMs,
      isBehind: () => false,
    },
  };
}

describe("closed records", () => {
  it.each(rows)("$of.status.state: $reason", ({ of, want }) => {
    expect(closedBefore([of], startMs - retentionMs)).toHaveLength(want ? 1 : 0);
  });

  it("are deleted with their Approvals, and the audit log says so; open ones stay", async () => {
    const { ports, names, audited } = await scene([
      record("old", "Undone", 31),
      record("young", "Undone", 1),
      record("open", "Realised", 400),
    ]);
    expect(await tidy(ports, retentionMs)).toBe(1);
    expect(await names(types.remediation)).toEqual(["open", "young"]);
    expect(await names(types.approval)).toEqual(["open-yes", "young-yes"]);
    expect(audited.map((one) => one.what)).toEqual([
      "deleted Approval after its retention",
      "deleted Remediation after its retention",
    ]);
    // By another replica meanwhile: as good.
    expect(await tidy(ports, retentionMs)).toBe(1);
  });

  it("go few at a time, the oldest first", async () => {
    const many = Array.from({ length: 25 }, (_, i) => record(`r${i}`, "Undone", 31 + i));
    const { ports, names } = await scene(many);
    expect(await tidy(ports, retentionMs)).toBe(20);
    expect((await names(types.remediation)).sort()).toEqual(["r0", "r1", "r2", "r3", "r4"]);
  });

  it("leave no Approval of a record that somebody deleted", async () => {
    const { cluster, ports, names } = await scene([]);
    const approval = approvalJson({
      remediation: record("gone", "Undone", 31),
      name: "gone-yes",
      decision: "Approve",
      approvedBy: "jane",
      reason: "",
      expiresAtMs: undefined,
    });
    const made = readApproval(good(await cluster.create(types.approval, approval)));
    const all = (createdAtMs: number) => ({
      ...ports,
      approvals: { all: () => (made === undefined ? [] : [{ ...made, createdAtMs }]) },
    });
    await tidy(all(startMs), retentionMs);
    expect(await names(types.approval)).toEqual(["gone-yes"]);
    await tidy(all(startMs - 31 * dayMs), retentionMs);
    expect(await names(types.approval)).toEqual([]);
  });

  it("that are gone free no name that another one of the finding has", async () => {
    const { cluster } = await scene([]);
    const ports: RecordPorts = {
      cluster,
      knownOf: () => [],
      remediationsIn: () => [],
      locks: makeLocks(),
      audit: () => Promise.resolve(),
      wake: () => undefined,
      now: () => startMs,
    };
    const next = async (): Promise<string> => {
      const found = good(await findOpen(ports, "prod", "f", { cooldownMs: 0, prefix: "web" }));
      return found.kind === "none" ? found.freeName : "";
    };
    const open = async (name: string): Promise<void> => {
      const one = record(name, "Undone", 31);
      const made = good(
        await cluster.create(
          types.remediation,
          remediationJson({ ...one, name: { namespace: "prod", name } }, "f"),
        ),
      );
      good(
        await cluster.replaceStatus(types.remediation, { ...made, status: statusJson(one.status) }),
      );
    };
    const first = await next();
    await open(first);
    const second = await next();
    await open(second);
    const old = good(await cluster.get(types.remediation, { namespace: "prod", name: first }));
    good(await cluster.remove(types.remediation, { namespace: "prod", name: first }, uidOf(old)));
    expect(await next()).not.toBe(second);
  });
});
