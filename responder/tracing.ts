// SPDX-License-Identifier: Apache-2.0
import type { StoredAlert } from "#responder/intake/alert-queue";
import type { Cluster } from "#responder/cluster";
import { types } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import type { HistoryEntry, Remediation, State } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";

/**
 * All that a span may say. Names of rules, policies and objects are what the records show too; texts of alerts, credentials and
 * people's names are never here.
 */
export const spanAttributes = [
  "parapet.alert.priority",
  "parapet.sender",
  "parapet.kept",
  "parapet.outcome",
  "parapet.policy",
  "parapet.remediation",
  "parapet.mode",
  "parapet.state",
  "parapet.reason",
  "parapet.actions",
  "parapet.plan.digest",
] as const;
export type SpanAttribute = (typeof spanAttributes)[number];

/** Something that took time, told when it is over. */
export type Span = {
  /** Hex, as W3C trace context has them: 32, 16 and 16 digits. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: "server" | "producer" | "consumer" | "internal";
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Partial<Record<SpanAttribute, string>>>;
  readonly failed: boolean;
  /** Moments in it. */
  readonly events: readonly { readonly name: string; readonly atMs: number }[];
};

export type Trace = (span: Span) => void;

/**
 * The trace of an alert and its root span follow from its fingerprint: every replica goes on with the same trace, also after a
 * restart and days later, and nothing has to be carried. A `traceparent` that a sender gives is not read: neither Falco nor
 * falcosidekick has one, and whoever sends must not choose what our spans are filed under.
 */
export function rootOf(fingerprint: string): { readonly traceId: string; readonly spanId: string } {
  const hex = /^[0-9a-f]{64}$/.test(fingerprint) ? fingerprint : sha256(fingerprint);
  return { traceId: hex.slice(0, 32), spanId: hex.slice(32, 48) };
}

/** What the stages of an alert's way tell. */
export type Observer = {
  /** Alerts became durable, or the spool handed them on. */
  readonly kept: (
    alerts: readonly StoredAlert[],
    where: "queue" | "spool" | "drained",
    startMs: number,
  ) => void;
  readonly planned: (stored: StoredAlert, policy: string, startMs: number) => void;
  /** The alert got its outcomes; undefined: it goes back to the queue. */
  readonly decided: (
    stored: StoredAlert,
    startMs: number,
    responses:
      | readonly {
          readonly policy: string;
          readonly outcome: string;
          readonly remediation: string;
        }[]
      | undefined,
  ) => void;
};

export function makeObserver(trace: Trace, now: () => number): Observer {
  const below = (stored: StoredAlert, span: Below): void => {
    const { traceId, spanId: parentId } = rootOf(stored.fingerprint);
    trace({ ...blank, traceId, parentId, ...span, spanId: idOf(traceId, span) });
  };
  return {
    kept: (alerts, where, startMs) => {
      const endMs = now();
      const attributes = { "parapet.kept": where };
      for (const stored of alerts) {
        const root = rootOf(stored.fingerprint);
        if (where === "drained") {
          below(stored, { name: "drain", kind: "producer", startMs, endMs, attributes });
          continue;
        }
        const accepted = { ...attributes, ...alertAttributes(stored) };
        const from = Math.min(stored.receivedAtMs, startMs);
        trace({
          ...blank,
          ...root,
          name: "accept",
          kind: "server",
          startMs: from,
          endMs,
          attributes: accepted,
        });
        below(stored, { name: "durable write", kind: "producer", startMs, endMs, attributes });
      }
    },
    planned: (stored, policy, startMs) => {
      const attributes = { "parapet.policy": policy };
      below(stored, { name: "plan", kind: "internal", startMs, endMs: now(), attributes });
    },
    decided: (stored, startMs, responses) => {
      const attributes = alertAttributes(stored);
      const waited = { startMs: stored.receivedAtMs, endMs: startMs, attributes };
      below(stored, { name: "queue wait", kind: "consumer", ...waited });
      const all = (member: "policy" | "outcome" | "remediation"): string =>
        [...new Set((responses ?? []).map((one) => one[member]))]
          .filter((one) => one !== "")
          .join(",");
      below(stored, {
        name: "decide",
        kind: "internal",
        startMs,
        endMs: now(),
        failed: responses === undefined,
        attributes: {
          ...attributes,
          "parapet.policy": all("policy"),
          "parapet.outcome": responses?.length === 0 ? "noPolicy" : all("outcome"),
          "parapet.remediation": all("remediation"),
        },
      });
    },
  };
}

type Below = Pick<Span, "name" | "kind" | "startMs" | "endMs" | "attributes"> & {
  readonly failed?: boolean;
  readonly events?: Span["events"];
};

const blank = { parentId: undefined, failed: false, events: [] } as const;

/** The same stage of the same alert has the same id, whoever tells of it; another try of it has another. */
const idOf = (traceId: string, span: Pick<Span, "name" | "startMs">): string =>
  sha256(`${traceId} ${span.name} ${span.startMs}`).slice(0, 16);

const alertAttributes = (stored: StoredAlert): Span["attributes"] => ({
  "parapet.alert.priority": stored.priority,
  "parapet.sender": stored.sender,
});

/** Remediations of which the last step is remembered, so that each step is told once. */
const rememberedMax = 20_000;

/**
 * The same cluster, whose writes of remediations are told as spans: what a step was and how long it took stands in the history that
 * is written with it, so that a wait for an approval is whole even when it was longer than any process lived.
 */
export function traceRemediations(cluster: Cluster, trace: Trace): Cluster {
  const told = new Map<string, string>();
  return {
    ...cluster,
    replaceStatus: async (type, object) => {
      const reply = await cluster.replaceStatus(type, object);
      if (!reply.ok || type.kind !== types.remediation.kind) return reply;
      const remediation = readRemediation(reply.value);
      if (typeof remediation === "string") return reply;
      const last = remediation.status.history.at(-1);
      const mark = last === undefined ? "" : `${last.to} ${last.atMs}`;
      if (last === undefined || told.get(remediation.uid) === mark) return reply;
      if (told.size >= rememberedMax) told.clear();
      told.set(remediation.uid, mark);
      const span = spanOf(remediation, last);
      if (span !== undefined) trace(span);
      return reply;
    },
  };
}

/** What a step was, by the state it ended; a step that is not here took no time of its own. */
const stages: Readonly<Partial<Record<State, string>>> = {
  Proposed: "approval wait",
  Approved: "act",
  Applying: "act",
  Applied: "verify",
};

/** The span of a remediation's last step; undefined for one that is not timed. */
export function spanOf(remediation: Remediation, last: HistoryEntry): Span | undefined {
  const { status, cause, plan } = remediation;
  const ended = last.to === "Undone" || last.to === "TargetGone";
  const name = ended ? "undo" : last.from === "" ? undefined : stages[last.from];
  // From approved to applying is the beginning of the act, which is told when it is over.
  if (name === undefined || last.to === "Applying" || last.from === last.to) return undefined;
  const before = status.history.at(-2);
  const startMs = ended ? (status.undo?.atMs ?? last.atMs) : (before?.atMs ?? last.atMs);
  const { traceId, spanId: parentId } = rootOf(cause.fingerprint);
  const events = name === "approval wait" ? [{ name: last.to.toLowerCase(), atMs: last.atMs }] : [];
  return {
    traceId,
    parentId,
    spanId: idOf(`${traceId} ${remediation.uid}`, { name, startMs }),
    name,
    kind: "internal",
    startMs: Math.min(startMs, last.atMs),
    endMs: last.atMs,
    failed: last.to === "Failed",
    events,
    attributes: {
      "parapet.policy": remediation.policy,
      "parapet.remediation": `${remediation.name.namespace}/${remediation.name.name}`,
      "parapet.mode": remediation.mode,
      "parapet.state": last.to,
      "parapet.reason": last.reason,
      "parapet.actions": plan?.actions.map((one) => one.action).join(",") ?? "",
      "parapet.plan.digest": plan?.digest ?? "",
    },
  };
}
