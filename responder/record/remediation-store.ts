// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import type { AuditEntry } from "#responder/record/audit";
import type { Beginnings } from "#responder/beginnings";
import type { Cluster, ObjectName, Reply } from "#responder/cluster";
import { failure, keyOf, nameOf, types } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import type { Locks } from "#responder/locks";
import type { Remediation } from "#responder/remediation";
import { isFinal } from "#responder/remediation";
import {
  findingLabel,
  readRemediation,
  remediationJson,
} from "#responder/record/remediation-record";

export type RecordPorts = {
  readonly cluster: Cluster;
  /** What is known of a finding from the watch; it may be behind. */
  readonly knownOf: (finding: string) => readonly Remediation[];
  readonly remediationsIn: (namespace: string) => readonly Remediation[];
  readonly locks: Locks;
  /** Undefined where nothing acts. */
  readonly beginnings?: Beginnings;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  /** Makes a remediation due in the work queue, without waiting for the watch. */
  readonly wake: (key: string) => void;
  readonly now: () => number;
};

export type Open =
  | { readonly kind: "open"; readonly name: ObjectName }
  /** None is open, and none was closed within the cool-down; a new one would have this name. */
  | { readonly kind: "none"; readonly freeName: string };

/** The remediation that a finding belongs to: an open one, or one closed within the cool-down. */
export async function findOpen(
  ports: RecordPorts,
  namespace: string,
  finding: string,
  options: { readonly cooldownMs: number; readonly prefix: string },
): Promise<Reply<Open>> {
  const { cooldownMs } = options;
  const known = pick(ports.knownOf(finding), ports.now(), cooldownMs);
  if (known !== undefined) return { ok: true, value: { kind: "open", name: known.name } };
  const listed = await ports.cluster.list(types.remediation, {
    namespace,
    labelSelector: `${findingLabel}=${finding}`,
  });
  if (!listed.ok) return listed;
  const all = listed.value.items.map(readRemediation).filter((one) => typeof one !== "string");
  const open = pick(all, ports.now(), cooldownMs);
  if (open !== undefined) return { ok: true, value: { kind: "open", name: open.name } };
  const freeName = freeNameFor(finding, listed.value.items, options.prefix);
  return { ok: true, value: { kind: "none", freeName } };
}

/** The name of a finding's next remediation; undefined while `answers` says that one of those before is still the answer. */
export async function nextName(
  ports: Pick<RecordPorts, "cluster">,
  namespace: string,
  finding: string,
  options: { readonly prefix: string; readonly answers: (remediation: Remediation) => boolean },
): Promise<Reply<string | undefined>> {
  const listed = await ports.cluster.list(types.remediation, {
    namespace,
    labelSelector: `${findingLabel}=${finding}`,
  });
  if (!listed.ok) return listed;
  const all = listed.value.items.map(readRemediation).filter((one) => typeof one !== "string");
  if (all.some(options.answers)) return { ok: true, value: undefined };
  return { ok: true, value: freeNameFor(finding, listed.value.items, options.prefix) };
}

/** Deterministic: two workers that come this far at once meet at one name, and one of them loses. */
const nameFor = (finding: string, number: number, prefix: string): string =>
  `${slug(prefix)}-${sha256(`${finding} ${number}`).slice(0, 10)}`;

/** The first name from their number on that none of them has: those before may be deleted, and their number then is one of theirs. */
function freeNameFor(finding: string, others: readonly JsonObject[], prefix: string): string {
  const taken = new Set(others.map((one) => nameOf(one).name));
  let number = others.length;
  while (taken.has(nameFor(finding, number, prefix))) number += 1;
  return nameFor(finding, number, prefix);
}

/** Readable part of a name: what a DNS label may hold, at most 48 characters. */
function slug(text: string): string {
  const plain = text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  return plain.slice(0, 48).replaceAll(/^-+|-+$/g, "") || "remediation";
}

function pick(
  remediations: readonly Remediation[],
  nowMs: number,
  cooldownMs: number,
): Remediation | undefined {
  const open = remediations.find((one) => !isFinal(one.status.state));
  if (open !== undefined) return open;
  return remediations.find((one) => {
    const closedMs = one.status.history.at(-1)?.atMs ?? one.seenAtMs;
    // Closed ahead of now by more than that: the clock was set back, and the pause must not last until it has caught up.
    return Math.abs(nowMs - closedMs) < cooldownMs;
  });
}

/** `isNew` false: another worker, or this one before a crash, has written it already. */
export type Opened = { readonly name: ObjectName; readonly isNew: boolean };

/** Writes the record of a new remediation; its first status follows from its spec, so a crash after this loses nothing. */
export async function openRemediation(
  ports: Pick<RecordPorts, "cluster" | "audit" | "wake">,
  draft: Omit<Remediation, "uid" | "resourceVersion" | "status"> & {
    readonly finding: string;
    readonly notes: string;
  },
): Promise<Reply<Opened>> {
  const plan =
    draft.plan === undefined
      ? undefined
      : { ...draft.plan, notes: [...draft.plan.notes, draft.notes].filter((one) => one !== "") };
  const message =
    draft.plan === undefined ? `${draft.cause.message} (${draft.notes})` : draft.cause.message;
  const record = { ...draft, plan, cause: { ...draft.cause, message } };
  const created = await ports.cluster.create(
    types.remediation,
    remediationJson(record, draft.finding),
  );
  if (!created.ok && created.code !== "AlreadyExists") return created;
  const name = created.ok ? nameOf(created.value) : draft.name;
  if (created.ok) {
    await ports.audit({
      what: "opened",
      who: "parapet",
      remediation: keyOf(name),
      detail: {
        policy: draft.policy,
        rule: draft.cause.rule,
        fingerprint: draft.cause.fingerprint,
        target: `${draft.target.kind} ${draft.target.namespace}/${draft.target.name} ${draft.target.uid}`,
        digest: draft.plan?.digest ?? "",
        mode: draft.mode,
        notes: draft.notes,
      },
    });
    ports.wake(keyOf(name));
    return { ok: true, value: { name, isNew: true } };
  }
  const there = await ports.cluster.get(types.remediation, draft.name);
  if (!there.ok) return there;
  const isSame = textAt(there.value, ["metadata", "labels", findingLabel]) === draft.finding;
  return isSame
    ? { ok: true, value: { name, isNew: false } }
    : failure("Conflict", "the name is another finding's");
}
