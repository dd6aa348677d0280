// SPDX-License-Identifier: Apache-2.0
import { textAt } from "#policy/json";
import { type AuditEntry, reasonsOf } from "#responder/record/audit";
import { makeChange, readBack } from "#responder/changes";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, keyOf, nameOf, uidOf, versionOf } from "#responder/cluster";
import { changeText, ownershipLabel, type WriteChange } from "#responder/plan";
import {
  type Finding,
  findingOf,
  type Hint,
  type Isolation,
  isolationIn,
  lastFinding,
  nothingLeftOpen,
} from "#responder/isolation/recheck";
import { moveRemediation, type Read, readRecord } from "#responder/record/move-remediation";
import { cut } from "#responder/record/remediation-record";
import type { EventKind, Remediation } from "#responder/remediation";
import { unverifiableFor } from "#responder/verification/try-again";

export type MendPorts = {
  readonly cluster: Cluster;
  readonly audit: (entry: AuditEntry) => Promise<void>;
  readonly now: () => number;
  /** Whether the global stop is on: then nothing is put back, and what is found is still said. */
  readonly stopped: () => boolean;
  /** Runs while nobody else acts on the target, other replicas included; Busy when somebody does. */
  readonly hold: <T>(remediation: Remediation, work: () => Promise<Reply<T>>) => Promise<Reply<T>>;
  /** Whether one more repair of this remediation is not yet a fight with somebody. */
  readonly mayMend: (key: string) => boolean;
  /** Whether it may be called closed again: one that is opened and closed all the time stays open until it is quiet. */
  readonly mayClose: (key: string) => boolean;
  readonly found: (finding: Finding) => void;
  readonly mended: () => void;
};

/**
 * Writes down what was found of an isolation, puts back what is our own, and says when it is closed again. All of it is read anew
 * while nobody else may act on the target: an isolation that is being taken back, or was, is left alone. Nothing is written
 * where nothing is new, so that two replicas say it once.
 */
export function settleFinding(
  ports: MendPorts,
  isolation: Isolation,
  { reopened, isClosed }: Pick<Hint, "reopened" | "isClosed">,
): Promise<Reply<undefined>> {
  const { remediation } = isolation;
  return ports.hold(remediation, async () => {
    const read = await readRecord(ports.cluster, remediation.name);
    if (!read.ok) return read.code === "NotFound" ? done : read;
    const record = read.value;
    if (typeof record === "string" || isolationIn(record.remediation) === undefined) return done;
    const differences = await differencesOf(ports.cluster, isolation);
    if (!differences.ok) return differences;
    const key = keyOf(remediation.name);
    const mends = differences.value.length > 0 && !ports.stopped() && ports.mayMend(key);
    const said = differences.value.map(({ text }) => text);
    const why = mends || said.length === 0 ? "" : notMended(ports);
    const finding = findingOf(reopened, why === "" ? said : [...said, why]);
    const written = finding === undefined ? ok(record) : await write(ports, record, finding);
    if (!written.ok || finding === undefined) {
      return written.ok ? closeAgain(ports, record, "", isClosed) : written;
    }
    if (!mends) return done;
    const left = await mend(ports, isolation, differences.value);
    if (!left.ok) return left;
    const rest = findingOf(reopened, left.value);
    return rest === undefined
      ? closeAgain(ports, written.value, "what was changed is put back", false)
      : toUndefined(await write(ports, written.value, rest));
  });
}

const ok = <T>(value: T): Reply<T> => ({ ok: true, value });
const done: Reply<undefined> = ok(undefined);
const toUndefined = (reply: Reply<unknown>): Reply<undefined> => (reply.ok ? done : reply);

const notMended = (ports: MendPorts): string =>
  ports.stopped()
    ? "not put back: the global stop is on"
    : "not put back any more: somebody keeps changing it";

type Difference = { readonly change: WriteChange; readonly text: string };

/** Read from the cluster itself: a watch may be behind what was written a moment ago. */
export async function differencesOf(
  cluster: Cluster,
  isolation: Isolation,
): Promise<Reply<readonly Difference[]>> {
  const found: Difference[] = [];
  for (const change of isolation.changes) {
    const back = await readBack(cluster, change, isolation.remediation.name.name);
    if (!back.ok) return back;
    const text = back.value.difference;
    if (text !== undefined) found.push({ change, text });
  }
  return ok(found);
}

/** Puts back what is our own; what is somebody else's by now is named. */
async function mend(
  ports: MendPorts,
  isolation: Isolation,
  differences: readonly Difference[],
): Promise<Reply<readonly string[]>> {
  const owner = isolation.remediation.name.name;
  const left: string[] = [];
  for (const { change, text } of differences) {
    const put = await putBack(ports.cluster, change, owner);
    if (!put.ok && put.code !== "Invalid" && put.code !== "NotFound") return put;
    if (put.ok) {
      ports.mended();
      await audit(ports, isolation.remediation, "put back", `${text}: ${changeText(change)}`);
    } else left.push(`${text} (${put.message})`);
  }
  return ok(left);
}

/** An object of ours that was edited is put back as a whole: its managers' fields are not theirs to keep. */
async function putBack(
  cluster: Cluster,
  change: WriteChange,
  owner: string,
): Promise<Reply<unknown>> {
  if (change.kind === "edit") return makeChange(cluster, change, owner, false);
  const name = nameOf(change.manifest);
  const live = await cluster.get(change.type, name);
  if (!live.ok) {
    return live.code === "NotFound" ? makeChange(cluster, change, owner, false) : live;
  }
  if (textAt(live.value, ["metadata", "labels", ownershipLabel]) !== owner) {
    return failure("Invalid", "it belongs to somebody else by now");
  }
  return cluster.patch(change.type, name, [
    { op: "test", path: "/metadata/uid", value: uidOf(live.value) },
    { op: "test", path: "/metadata/resourceVersion", value: versionOf(live.value) },
    { op: "replace", path: "/spec", value: change.manifest["spec"] ?? {} },
  ]);
}

async function closeAgain(
  ports: MendPorts,
  record: Read,
  message: string,
  isClosed: boolean,
): Promise<Reply<undefined>> {
  if (isClosed && unverifiableFor(record.remediation.status) === "ResidualAllows") {
    const all = "none of the allows that the plan names is there any more";
    return toUndefined(await move(ports, record, "closedAgain", nothingLeftOpen, all));
  }
  if (lastFinding(record.remediation) === undefined) return done;
  if (!ports.mayClose(keyOf(record.remediation.name))) return done;
  const text =
    message === "" ? "nothing is let through any more that was not when it was planned" : message;
  return toUndefined(await move(ports, record, "closedAgain", "ClosedAgain", text));
}

async function write(ports: MendPorts, record: Read, finding: Finding): Promise<Reply<Read>> {
  const message = cut(finding.message, 1_024);
  const last = lastFinding(record.remediation);
  if (last?.reason === finding.reason && last.message === message) return ok(record);
  const moved = await move(ports, record, "reopened", finding.reason, message);
  if (moved.ok) ports.found(finding);
  return moved;
}

const move = (
  ports: MendPorts,
  record: Read,
  kind: EventKind,
  reason: string,
  message: string,
): Promise<Reply<Read>> => moveRemediation(ports, record, { kind, reason, message, by: "parapet" });

const audit = (ports: MendPorts, remediation: Remediation, what: string, message: string) =>
  ports.audit({
    what,
    who: "parapet",
    remediation: keyOf(remediation.name),
    detail: { message, ...reasonsOf(remediation) },
  });
