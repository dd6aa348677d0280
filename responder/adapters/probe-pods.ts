// SPDX-License-Identifier: Apache-2.0
import { textAt } from "#policy/json";
import { type JsonObject } from "#policy/json";
import type { Cluster, ObjectName, Reply } from "#responder/cluster";
import { failure, nameOf as nameOfObject, types, uidOf } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import {
  type Attempt,
  type Destination,
  probePort,
  type ProbeRequest,
  type ProbeRunner,
  type Progress,
  type Prober,
} from "#responder/verification/probe";
import {
  type PodPart,
  probeLabel,
  probePod,
  type PodState,
  podState,
  type ProbeSettings,
  strangeness,
} from "#responder/verification/probe-pod";

/** How long a pod may take to run; a node that must fetch the image first needs most of it. */
const startMsMax = 60_000;
/** How long one that runs may take to end; its own deadline is longer. */
const endMsMax = 110_000;
const lookMs = 1_000;
/** Until an experiment's turn comes. */
const turnMs = 5_000;
/** Stand-ins listen so long after their own tries: the client may start late. */
const standInMs = 30_000;
const listenerMs = 90_000;
/** What is older than this belongs to nobody any more. */
const leftoverMs = 300_000;

export type ProbePodsOptions = ProbeSettings & {
  readonly cluster: Cluster;
  /** Namespaces in which stand-ins may be made. */
  readonly standInNamespaces: readonly string[];
  /** Experiments at once: a burst of isolations must not fill the nodes with probes. */
  readonly concurrency: number;
  readonly now: () => number;
};

type Part = "listener" | Prober;

/**
 * Probes by short-lived pods, whose statuses are the only memory: any replica goes on where another stopped. First a
 * listener, then the two stand-ins, which try it, then a client, which tries them, the target and its twin.
 */
export function makeProbePods(options: ProbePodsOptions): ProbeRunner {
  const { cluster, namespace } = options;
  const nameOf = (request: Pick<ProbeRequest, "id" | "standIns">, part: Part): ObjectName => ({
    namespace: isStandIn(part) ? (request.standIns?.namespace ?? "") : namespace,
    name: `parapet-probe-${idOf(request)}-${part}`,
  });
  const look = async (request: ProbeRequest, part: Part, args: readonly string[]) =>
    lookAt(options, part, probePod(options, partOf(request, part, nameOf, args)));
  const turns = makeTurns(options.concurrency, options.now);
  return {
    mayStandIn: (one) => options.standInNamespaces.includes(one),
    step: async (request) => {
      if (!turns.take(request.id)) {
        return { ok: true, value: { kind: "running", againMs: turnMs, waitsFor: "its turn" } };
      }
      const { standIns } = request;
      let sources: readonly string[] = [];
      const reached: Destination[] = [];
      const ended: Attempt[] = [];
      if (standIns !== undefined) {
        const listener = await look(request, "listener", listenArgs(listenerMs));
        if (listener.kind !== "running") return stop("listener", listener);
        sources = [listener.address];
        const tries = listenArgs(standInMs, [
          { to: "listener", address: listener.address, port: probePort },
        ]);
        // Both start before either is waited for.
        const pair = [
          { part: "isolated", pod: await look(request, "isolated", tries) },
          { part: "control", pod: await look(request, "control", tries) },
        ] as const;
        for (const { part, pod } of pair) {
          if (pod.kind === "ended") {
            if (!pod.listening) return impossible(`the ${part} stand-in could not listen`);
            ended.push(...pod.attempts(part));
          } else if (pod.kind !== "running") return stop(part, pod);
          reached.push({ to: part, address: pod.address, port: probePort });
        }
      }
      const all = [...reached, ...request.destinations];
      const client = await look(request, "client", tryArgs(all));
      if (client.kind !== "ended") return stop("client", client);
      const isComplete = standIns === undefined || ended.length >= 2;
      if (!isComplete) return running("the stand-ins");
      const known = new Set(all.map((one) => `${one.to} ${one.address}`));
      const tried = client
        .attempts("client")
        .filter((one) => one.to === "twin" || known.has(`${one.to} ${one.address}`));
      const attempts = [...tried, ...ended];
      return {
        ok: true,
        value: { kind: "done", attempts, sources: [...sources, client.address] },
      };
    },
    end: async (request) => {
      turns.give(request.id);
      const parts: readonly Part[] =
        request.standIns === undefined ? ["client"] : ["client", "isolated", "control", "listener"];
      for (const part of parts) {
        const live = await cluster.get(types.pod, nameOf(request, part));
        if (live.ok) await removeNow(cluster, live.value, nameOf(request, part));
      }
    },
    sweep: () => sweep(options),
  };
}

/** So many at once; one that nobody ended, as when its isolation was taken back, keeps its place no longer than its pods live. */
function makeTurns(max: number, now: () => number) {
  const since = new Map<string, number>();
  return {
    take: (id: string): boolean => {
      for (const [one, atMs] of since) {
        if (Math.abs(now() - atMs) > leftoverMs) since.delete(one);
      }
      if (since.has(id)) return true;
      if (since.size >= max) return false;
      since.set(id, now());
      return true;
    },
    give: (id: string): void => {
      since.delete(id);
    },
  };
}

/** A name has 63 characters. */
const idOf = (request: Pick<ProbeRequest, "id">): string => sha256(request.id).slice(0, 12);

const isStandIn = (part: Part): boolean => part === "isolated" || part === "control";

function partOf(
  request: ProbeRequest,
  part: Part,
  nameOf: (request: ProbeRequest, part: Part) => ObjectName,
  args: readonly string[],
): PodPart {
  const { standIns } = request;
  const base = { ...nameOf(request, part), id: idOf(request), part, args };
  if (standIns === undefined || !isStandIn(part)) return base;
  return {
    ...base,
    labels: { ...standIns.labels, ...(part === "isolated" ? standIns.isolation : {}) },
    standIn: { node: standIns.node, owner: request.remediation },
  };
}

const tryArgs = (destinations: readonly Destination[]): readonly string[] =>
  destinations.map(({ to, address, port }) => `--try=${to}@${address}:${port}`);

const listenArgs = (forMs: number, tries: readonly Destination[] = []): readonly string[] => [
  `--listen=${probePort}`,
  `--for=${forMs}`,
  ...tryArgs(tries),
];

type Looked =
  | Extract<PodState, { kind: "starting" | "running" | "broken" }>
  /** Another pod than was asked for: somebody's program, or admission that changes pods. */
  | { readonly kind: "strange"; readonly why: string }
  | {
      readonly kind: "ended";
      readonly address: string;
      readonly listening: boolean;
      readonly attempts: (from: Prober) => readonly Attempt[];
    }
  | { readonly kind: "failed"; readonly failure: Extract<Reply<unknown>, { ok: false }> };

async function lookAt(options: ProbePodsOptions, part: Part, wanted: JsonObject): Promise<Looked> {
  const name = nameOfObject(wanted);
  const live = await options.cluster.get(types.pod, name);
  if (!live.ok && live.code !== "NotFound") return { kind: "failed", failure: live };
  if (!live.ok) {
    const made = await options.cluster.create(types.pod, wanted);
    if (made.ok || made.code === "AlreadyExists") return { kind: "starting", why: "created" };
    return { kind: "failed", failure: made };
  }
  if (textAt(live.value, ["metadata", "deletionTimestamp"]) !== "") {
    return { kind: "starting", why: "one of before is on its way out" };
  }
  // Whom the client tries is worked out anew each time, and another twin is as good: what it tried is in its report.
  const strange = strangeness(live.value, wanted, part !== "client");
  if (strange !== "") {
    return { kind: "strange", why: `is not the pod that was asked for: ${strange}` };
  }
  const state = podState(live.value);
  const ageMs = options.now() - Date.parse(textAt(live.value, ["metadata", "creationTimestamp"]));
  if (state.kind === "starting" && ageMs > startMsMax) {
    return { kind: "broken", why: `did not run within ${startMsMax / 1_000} s: ${state.why}` };
  }
  if (state.kind === "running" && ageMs > endMsMax) {
    return { kind: "broken", why: "does not end" };
  }
  if (state.kind !== "ended") return state;
  return {
    kind: "ended",
    address: textAt(live.value, ["status", "podIP"]),
    listening: state.report.listening,
    attempts: (from) =>
      state.report.tries.flatMap(({ role, ...rest }) => {
        const to = roles.find((one) => one === role);
        return to === undefined ? [] : [{ from, to, ...rest }];
      }),
  };
}

const roles = ["target", "twin", "isolated", "control", "listener"] as const;

function stop(part: Part, pod: Looked): Reply<Progress> {
  if (pod.kind === "failed") {
    const { code, message } = pod.failure;
    // An answer, not a setback. Forbidden is a quota that is used up as well as a missing right.
    if (code === "Forbidden" || code === "Invalid" || code === "NotFound") {
      const reason = `the ${part} pod cannot be made: ${code}: ${message}`;
      return impossible(reason, code === "Forbidden");
    }
    return failure(code, message);
  }
  if (pod.kind === "strange") return impossible(`the ${part} pod: ${pod.why}`, false);
  if (pod.kind === "broken") return impossible(`the ${part} pod: ${pod.why}`);
  if (pod.kind === "ended") return impossible(`the ${part} pod ended too early`);
  return running(`the ${part} pod`);
}

/** What is not known to last may pass. */
const impossible = (reason: string, passing = true): Reply<Progress> => ({
  ok: true,
  value: { kind: "impossible", reason, passing },
});

const running = (waitsFor: string): Reply<Progress> => ({
  ok: true,
  value: { kind: "running", againMs: lookMs, waitsFor },
});

const removeNow = (cluster: Cluster, pod: JsonObject, name: ObjectName) =>
  cluster.remove(types.pod, name, uidOf(pod), { graceSeconds: 0 });

async function sweep(options: ProbePodsOptions): Promise<number> {
  let removed = 0;
  for (const namespace of new Set([options.namespace, ...options.standInNamespaces])) {
    const query = { namespace, labelSelector: probeLabel };
    const listed = await options.cluster.list(types.pod, query);
    for (const pod of listed.ok ? listed.value.items : []) {
      const bornMs = Date.parse(textAt(pod, ["metadata", "creationTimestamp"]));
      if (options.now() - bornMs < leftoverMs) continue;
      const name = { namespace, name: textAt(pod, ["metadata", "name"]) };
      const reply = await removeNow(options.cluster, pod, name);
      if (reply.ok) removed += 1;
    }
  }
  return removed;
}
