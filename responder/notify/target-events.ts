// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Cluster } from "#responder/cluster";
import { keyOf, types } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import type { Log } from "#responder/log";
import { changesOf, changeText } from "#responder/plan";
import type { HistoryEntry, Remediation, State } from "#responder/remediation";
import { cut, iso } from "#responder/record/remediation-record";

/** States of which whoever looks at the target with `kubectl describe` should read, and how grave they are. */
const severity: Readonly<Partial<Record<State, "Normal" | "Warning">>> = {
  Proposed: "Warning",
  Applied: "Warning",
  Verified: "Normal",
  Realised: "Normal",
  Unverifiable: "Warning",
  Failed: "Warning",
  Denied: "Normal",
  Expired: "Normal",
  Undone: "Normal",
};

/** Longest message of an Event (k8s.io/api core/v1, validated by the API server). */
const messageMax = 1_024;
/** Events a second, and how many may wait: a burst of alerts must not become a burst of Events. */
const perSecond = 20;
const waitingMax = 1_000;
/** What lies further back has had its Event, or is of no use to anybody who looks at the target now. */
const ageMsMax = 10 * 60_000;
/** Steps that may come between two looks; there are fewer from one state that somebody sees to the next. */
const newestMax = 6;

export type TargetEvents = {
  /** Writes the Events of the newest steps, in its own time. */
  readonly look: (remediation: Remediation) => void;
  readonly stop: () => void;
};

/** Kubernetes Events on the targets: bounded, named by what they tell, so that replicas and restarts write each once. */
export function makeTargetEvents(ports: {
  readonly cluster: Pick<Cluster, "create">;
  readonly now: () => number;
  readonly log: Log;
  readonly dropped: () => void;
}): TargetEvents {
  const waiting = new Map<string, JsonObject>();
  const written = new Set<string>();
  let busy = false;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const next = async (): Promise<void> => {
    const [first] = waiting;
    if (first === undefined) {
      clearInterval(timer);
      timer = undefined;
    }
    if (first === undefined || busy) return;
    busy = true;
    const [name, event] = first;
    waiting.delete(name);
    const made = await ports.cluster.create(types.event, event);
    if (!made.ok && made.code !== "AlreadyExists") {
      ports.log("warn", "an Event could not be written", { event: name, why: made.code });
    }
    busy = false;
  };
  const start = (): void => {
    if (timer !== undefined || stopped || waiting.size === 0) return;
    timer = setInterval(() => void next(), 1_000 / perSecond);
    timer.unref();
  };
  return {
    look: (remediation) => {
      // This runs for every change of every remediation: what is known is left before anything is made of it.
      for (const entry of remediation.status.history.slice(-newestMax)) {
        if (severity[entry.to] === undefined || ports.now() - entry.atMs > ageMsMax) continue;
        const key = `${remediation.uid} ${entry.to} ${entry.atMs}`;
        if (written.has(key)) continue;
        if (waiting.size >= waitingMax) return ports.dropped();
        if (written.size > waitingMax * 10) written.clear();
        written.add(key);
        const event = eventOf(remediation, entry);
        if (event !== undefined) waiting.set(event.name, event.manifest);
      }
      start();
    },
    stop: () => {
      stopped = true;
      clearInterval(timer);
    },
  };
}

/** The Event of one step; undefined for a step of no interest, or where there is no target to see it on. */
export function eventOf(
  remediation: Remediation,
  entry: HistoryEntry,
): { readonly name: string; readonly manifest: JsonObject } | undefined {
  const { target, name } = remediation;
  // More time is nothing to see on the target; another reason why it does not hold is.
  const isSame = entry.from === entry.to && !isFinding(entry);
  const type = isSame ? undefined : severity[entry.to];
  if (type === undefined || target.kind === "") return undefined;
  // Of a target without a namespace it lies in `default`, as the API demands.
  const namespace = target.namespace === "" ? "default" : target.namespace;
  const mark = sha256(`${remediation.uid} ${entry.to} ${entry.atMs}`).slice(0, 10);
  const eventName = `${name.name.slice(0, 200)}.${mark}`;
  const at = iso(entry.atMs).replace(/\.\d+Z$/, "Z");
  return {
    name: eventName,
    manifest: {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: eventName, namespace },
      involvedObject: { ...target },
      reason: `Parapet${entry.to}`,
      message: cut(messageOf(remediation, entry), messageMax),
      type,
      source: { component: "parapet-responder" },
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    },
  };
}

const isFinding = ({ to, reason }: HistoryEntry): boolean =>
  to === "Unverifiable" && reason !== "Renewed";

function messageOf({ name, plan, cause, policy }: Remediation, entry: HistoryEntry): string {
  const about = `Remediation ${keyOf(name)}`;
  if (entry.to === "Proposed") {
    const what = plan === undefined ? "nothing" : changesOf(plan).map(changeText).join(", ");
    return `policy ${policy} proposes for "${cut(cause.rule, 200)}": ${cut(what, 400)}; parapet approve ${name.name} -n ${name.namespace} (${about})`;
  }
  const by = entry.by === "parapet" ? "" : ` by ${cut(entry.by, 200)}`;
  return `${entry.reason}${by}: ${cut(entry.message, 600)} (${about}, policy ${policy})`;
}
