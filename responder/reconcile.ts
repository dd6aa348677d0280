// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Approval } from "#responder/approval";
import { type AuditEntry, reasonsOf } from "#responder/record/audit";
import type { Cluster, Failure, Reply } from "#responder/cluster";
import { fromKey, keyOf, retryable, types } from "#responder/cluster";
import { decide, type Facts } from "#responder/decide";
import type { EffectPorts } from "#responder/effects";
import { gather, readTarget } from "#responder/facts";
import { act, undo, type Worked } from "#responder/perform";
import {
  advance,
  countAlerts,
  type Remediation,
  type RemediationEvent,
  type Status,
} from "#responder/remediation";
import {
  evidenceJson,
  hasNoStatus,
  readRemediation,
  statusJson,
} from "#responder/record/remediation-record";
import { check, type VerificationPorts } from "#responder/verification/check";
import type { Again } from "#responder/work-queue";

/** Alerts of a remediation that were counted but are not yet in its status. */
export type Counts = {
  readonly take: (
    key: string,
  ) => readonly { readonly fingerprint: string; readonly atMs: number }[];
  /** Tells whether what was taken is written, so that those who wait know. */
  readonly settle: (key: string, written: boolean) => void;
};

export type ReconcilePorts = {
  readonly cluster: Cluster;
  /** The newest versions known without asking: what a watch brought or this process wrote. */
  readonly known: Known;
  /** A pod as it was within the last two seconds, for whatever is not about to act. */
  readonly getPod: (key: string) => Promise<Reply<JsonObject>>;
  /** The same as it is now; those who ask at once share an answer. */
  readonly getPodNow: (key: string) => Promise<Reply<JsonObject>>;
  /** A namespace as it is now; those who ask at once share an answer. */
  readonly getNamespaceNow: (name: string) => Promise<Reply<JsonObject>>;
  /** All Approvals of a namespace, as known from a watch. */
  readonly approvals: (namespace: string) => readonly Approval[];
  /** All that are known: what several of them want is taken back by the last. Undefined: none but the one at hand. */
  readonly remediations?: () => readonly Remediation[];
  readonly counts: Counts;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  /** For what is done beside writing values. */
  readonly effects: EffectPorts;
  /** How the effect of what was applied is told; undefined: by reading back and time alone. */
  readonly verification?: VerificationPorts;
  /** Plans what people approved anew, just before it is begun; undefined: it is begun as it was approved. */
  readonly replan?: (remediation: Remediation) => Promise<Reply<Worked>>;
  /** Asks people to end a pod whose open connections outlive its isolation, where its policy says so; gives what it did, for people. */
  readonly followUp?: (remediation: Remediation) => Promise<Reply<string>>;
  /** Whether the global stop is on. */
  readonly stopped: () => boolean;
  /** Looks for the global stop anew. */
  readonly lookForStop: () => Promise<void>;
  readonly now: () => number;
  readonly protectedNamespaces: readonly string[];
  /** Targets that this process acts on now. */
  readonly busy: Set<string>;
  readonly settings: {
    /** Where the leases are. */
    readonly namespace: string;
    readonly identity: string;
    /** Undefined: as the network implementation needs it. */
    readonly settleMs: number | undefined;
  };
  readonly onApplied: (remediation: Remediation, nowMs: number) => void;
};

/** Newest known objects by key. A stale one does no harm: writing its status is refused, and then it is read anew. */
export type Known = {
  readonly get: (key: string) => JsonObject | undefined;
  readonly wrote: (key: string, object: JsonObject) => void;
  readonly forget: (key: string) => void;
};

/** Steps of one run; a remediation has fewer states. */
const stepsMax = 12;
/** Tries of one act, beyond those that the API server's absence costs, before a remediation counts as failed. */
const attemptsMax = 8;
/** Wait for somebody else who acts on the same target. */
const busyMs = 200;
const retryMsMin = 250;
const retryMsMax = 30_000;

/**
 * Brings one remediation forward as far as it goes now. All of it is read anew, so a run may come at any time, twice, or after a crash;
 * every step is in the status before the next begins. Throws only on bugs.
 */
export const makeReconcile =
  (ports: ReconcilePorts) =>
  async (key: string): Promise<Again> => {
    const known = ports.known.get(key);
    const live: Reply<JsonObject> =
      known === undefined
        ? await ports.cluster.get(types.remediation, fromKey(key))
        : { ok: true, value: known };
    if (!live.ok) {
      ports.counts.settle(key, live.code === "NotFound");
      return live.code === "NotFound" ? undefined : { inMs: retryMsMin };
    }
    const read = readRemediation(live.value);
    if (typeof read === "string") throw new Error(`${key} cannot be read: ${read}`);
    const session = makeSession(ports, live.value, read);
    const target = await readTarget(ports, read);
    const again = await run(ports, session, target);
    return (await session.writeCounts()) ? again : startAgain;
  };

type Session = {
  readonly current: () => Remediation;
  /** Writes a status; false when the object changed meanwhile, then all starts anew. */
  readonly write: (status: Status) => Promise<boolean>;
  readonly move: (event: RemediationEvent, more?: Partial<Status>) => Promise<boolean>;
  readonly writeCounts: () => Promise<boolean>;
};

function makeSession(ports: ReconcilePorts, object: JsonObject, first: Remediation): Session {
  let live = object;
  let remediation = first;
  const key = keyOf(first.name);
  const write = async (status: Status): Promise<boolean> => {
    const more = ports.counts.take(key);
    const counted =
      more.length === 0 ? status : { ...status, alerts: countAlerts(status.alerts, more) };
    const reply = await ports.cluster.replaceStatus(types.remediation, {
      ...live,
      status: statusJson(counted),
    });
    ports.counts.settle(key, reply.ok);
    if (!reply.ok) {
      ports.known.forget(key);
      return false;
    }
    ports.known.wrote(key, reply.value);
    live = reply.value;
    remediation = { ...remediation, status: counted };
    return true;
  };
  return {
    current: () => remediation,
    write,
    writeCounts: async () => {
      const more = ports.counts.take(key);
      // A record that nothing moves, as one without a plan, shows its state to readers all the same.
      if (more.length === 0 && !hasNoStatus(live)) return true;
      const { status } = remediation;
      return write({ ...status, alerts: countAlerts(status.alerts, more) });
    },
    move: async (event, more = {}) => {
      const from = remediation.status.state;
      const moved = advance(remediation.status, event, ports.now());
      if (!moved.ok) throw new Error(`${key}: ${moved.reason}`);
      // Told before it is so: a record of something that was then not written is found by its missing successor.
      await ports.audit({
        what: `${from} -> ${moved.status.state}`,
        who: event.by,
        remediation: key,
        detail: {
          reason: event.reason,
          message: event.message,
          ...reasonsOf(remediation),
          ...(more.evidence === undefined ? {} : { evidence: evidenceJson(more.evidence) }),
        },
      });
      return write({ ...moved.status, ...more });
    },
  };
}

const startAgain: Again = { inMs: 5 };

async function run(
  ports: ReconcilePorts,
  session: Session,
  target: Facts["target"],
): Promise<Again> {
  for (let step = 0; step < stepsMax; step++) {
    const remediation = session.current();
    const facts = await gather(ports, remediation, target);
    const decision = decide(remediation, facts);
    switch (decision.do) {
      case "nothing":
        return wake(ports, decision.wakeAtMs, facts);
      case "move": {
        if (decision.event.kind === "begun") {
          await ports.lookForStop();
          if (ports.stopped()) return startAgain;
        }
        const approval: Partial<Status> =
          decision.event.kind === "approved" && facts.approval.kind === "approved"
            ? { approval: { name: facts.approval.name, by: facts.approval.by } }
            : {};
        const isWritten = await session.move(decision.event, { ...decision.status, ...approval });
        // From here on it is about to act: all facts are read anew.
        if (!isWritten || decision.event.kind === "approved") return startAgain;
        break;
      }
      case "replan": {
        const { replan } = ports;
        await ports.lookForStop();
        if (ports.stopped() || replan === undefined) return startAgain;
        const again = await perform(ports, session, (_, one) => replan(one));
        if (again !== undefined) return again;
        break;
      }
      case "act": {
        const again = await perform(ports, session, act);
        if (again !== undefined) return again;
        break;
      }
      case "check": {
        const again = await perform(ports, session, check);
        if (again !== undefined) return again;
        break;
      }
      case "undo": {
        if (remediation.status.undo === undefined) {
          const { by, reason } = decision;
          const intent = { ...remediation.status, undo: { atMs: ports.now(), by, reason } };
          if (!(await session.write(intent))) return startAgain;
        }
        const again = await perform(ports, session, undo);
        if (again !== undefined) return again;
        break;
      }
      default:
        return decision satisfies never;
    }
  }
  return startAgain;
}

function wake(ports: ReconcilePorts, atMs: number | undefined, facts: Facts): Again {
  if (facts.target === "unknown") return { inMs: retryMsMin * 4 };
  return atMs === undefined ? undefined : { inMs: Math.max(1, atMs - ports.now()) };
}

type Perform = (ports: ReconcilePorts, remediation: Remediation) => Promise<Reply<Worked>>;

/** Runs one of act, check and undo, and writes what came of it. */
async function perform(ports: ReconcilePorts, session: Session, work: Perform): Promise<Again> {
  const remediation = session.current();
  const reply = await work(ports, remediation);
  if (!reply.ok) return setback(ports, session, reply);
  const { event, status, againMs } = reply.value;
  if (event === undefined && Object.keys(status).length > 0) {
    const key = keyOf(remediation.name);
    const evidence = evidenceJson(status.evidence ?? []);
    const detail = { ...reasonsOf(remediation), evidence };
    await ports.audit({ what: "tried again", who: "parapet", remediation: key, detail });
    if (!(await session.write({ ...session.current().status, ...status }))) return startAgain;
  }
  if (event === undefined) return { inMs: againMs ?? 60_000 };
  if (!(await session.move(event, status))) return startAgain;
  if (event.kind === "applied") ports.onApplied(session.current(), ports.now());
  return undefined;
}

/** A step that did not succeed: later again, or failed for good, after which what was half done is taken back. */
async function setback(ports: ReconcilePorts, session: Session, reply: Failure): Promise<Again> {
  const { status } = session.current();
  if (reply.code === "Busy") return { inMs: busyMs };
  if (reply.code === "NotFound" && (await readTarget(ports, session.current())) === "gone") {
    const undoing = { atMs: ports.now(), by: "parapet", reason: "TargetGone" };
    await session.write({ ...status, undo: undoing });
    return startAgain;
  }
  const attempts = status.attempts + 1;
  const lastError = `${reply.code}: ${reply.message}`;
  const isFinal =
    !retryable[reply.code] || (attempts >= attemptsMax && reply.code !== "Unavailable");
  // Only an act can fail for good: a look that fails must not end what is in force, and an undo is tried until it is done.
  if (isFinal && status.state === "Applying") {
    const { code, message } = reply;
    const event = { kind: "failed", reason: code, message, by: "parapet" } as const;
    // Written first: whoever cannot write it has an old view, and must not take back what another made.
    if (!(await session.move(event))) return startAgain;
    await undo(ports, session.current());
    return undefined;
  }
  const backoffMs = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(attempts - 1, 20));
  // While the API server is away the status cannot be written either; the wait counts in memory then.
  await session.write({ ...status, attempts, lastError });
  return { inMs: backoffMs };
}
