// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { type Cluster, nameOf, type Reply, types, uidOf } from "#responder/cluster";
import type { NetworkFacts } from "#responder/verification/networks";
import { probePort } from "#responder/verification/probe";
import {
  probeLabel,
  probePartLabel,
  probePod,
  type PodState,
  podState,
  type ProbeSettings,
  type Report,
} from "#responder/verification/probe-pod";

/** What two pods and a deny policy told. */
export type SelfTest =
  | {
      readonly kind: "answered";
      readonly enforces: boolean;
      readonly established: "end" | "live on";
      /** Within so long open connections had ended, where they do. */
      readonly settleMs: number;
      readonly text: string;
    }
  | { readonly kind: "unknown"; readonly reason: string };

export type SelfTestOptions = ProbeSettings & {
  readonly cluster: Cluster;
  /** Names the pods, so that two replicas do not meet. */
  readonly id: string;
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<void>;
  /** True: the answer is not waited for any more; what was made is still removed. */
  readonly stopped: () => boolean;
  /** How long a connection is held; longer than the slowest settle time of the table. */
  readonly holdMs: number;
};

/** A connection lives so long before the policy comes: it must be seen working first. */
const beforeMs = 3_000;
const lookMs = 500;
const startMsMax = 90_000;
/** Quiet for so long at the end counts as cut. */
const quietMs = 4_000;

const directions = ["Ingress", "Egress"] as const;
type Direction = (typeof directions)[number];

/**
 * Holds a connection between two pods and opens new ones beside it, then denies them by a NetworkPolicy, once where the
 * connection arrives and once where it leaves. Whatever comes of it, its pods and policies are removed.
 */
export async function runSelfTest(options: SelfTestOptions): Promise<SelfTest> {
  const reports: { readonly direction: Direction; readonly held: Held }[] = [];
  for (const direction of directions) {
    if (options.stopped()) return { kind: "unknown", reason: "stopped" };
    const held = await experiment(options, direction);
    await clear(options);
    if (!held.ok) return { kind: "unknown", reason: `${direction}: ${held.reason}` };
    reports.push({ direction, held: held.held });
  }
  return conclude(reports);
}

type Held = NonNullable<Report["held"]>;
type Outcome =
  | { readonly ok: true; readonly held: Held }
  | { readonly ok: false; readonly reason: string };

/** What the two experiments say together. */
export function conclude(
  reports: readonly { readonly direction: Direction; readonly held: Held }[],
): SelfTest {
  const early = reports.find(({ held }) => Math.min(held.echoedMs, held.newMs) < beforeMs / 2);
  if (early !== undefined) {
    const reason = `${early.direction}: connections end without a policy, so nothing can be told`;
    return { kind: "unknown", reason };
  }
  const ignored = reports.filter(({ held }) => held.forMs - held.newMs < quietMs);
  const alive = reports.filter(({ held }) => held.forMs - held.echoedMs < quietMs);
  const settleMs = Math.max(0, ...reports.map(({ held }) => held.echoedMs));
  const names = (some: typeof reports): string => some.map((one) => one.direction).join(" and ");
  if (ignored.length > 0) {
    const text = `a start-up self-test denied ${names(ignored)} by a NetworkPolicy, and new connections passed all the same`;
    return { kind: "answered", enforces: false, established: "live on", settleMs, text };
  }
  const ends = `within ${Math.ceil(settleMs / 1_000)} s`;
  const text =
    alive.length > 0
      ? `a start-up self-test saw new connections cut and open ones live on (${names(alive)})`
      : `a start-up self-test saw new connections cut, and open ones ${ends}`;
  const established = alive.length > 0 ? "live on" : "end";
  return { kind: "answered", enforces: true, established, settleMs, text };
}

/** What is known of the network with what was measured on it, which counts more than any table. */
export function measured(network: NetworkFacts, test: SelfTest | undefined): NetworkFacts {
  if (test?.kind !== "answered") return network;
  return {
    ...network,
    enforces: test.enforces ? "yes" : "no",
    established: test.established,
    settleMs:
      test.established === "end" ? Math.max(network.settleMs, test.settleMs) : network.settleMs,
    note: test.text,
    source: "measured on this cluster",
  };
}

async function experiment(options: SelfTestOptions, direction: Direction): Promise<Outcome> {
  const left = await clear(options);
  if (!left.ok) return no(`cannot clear: ${left.code}: ${left.message}`);
  const { holdMs } = options;
  const listenFor = `--for=${Math.min(600_000, holdMs + startMsMax)}`;
  const listener = await start(options, "listener", [`--listen=${probePort}`, listenFor]);
  if (listener.kind !== "running") return no(`listener: ${whyOf(listener)}`);
  const client = await start(options, "holder", [
    `--hold=listener@${listener.address}:${probePort}`,
    `--hold-for=${holdMs}`,
  ]);
  if (client.kind !== "running") return no(`client: ${whyOf(client)}`);
  await options.wait(beforeMs);
  const made = await options.cluster.create(types.networkPolicy, denyPolicy(options, direction));
  if (!made.ok) return no(`policy: ${made.code}: ${made.message}`);
  const end = await poll(
    options,
    "holder",
    holdMs + startMsMax,
    (state) => state.kind !== "running",
  );
  if (end.kind !== "ended") return no(`client: ${whyOf(end)}`);
  // A listener that ended by itself looks like a policy that cuts everything.
  const still = await options.cluster.get(types.pod, nameFor(options, "listener"));
  if (!still.ok || podState(still.value).kind !== "running") return no("the listener ended early");
  return end.report.held === undefined
    ? no("two pods cannot talk to each other without a policy")
    : { ok: true, held: end.report.held };
}

const no = (reason: string): Outcome => ({ ok: false, reason });

const whyOf = (state: PodState): string =>
  state.kind === "starting" || state.kind === "broken" ? state.why : state.kind;

type Part = "listener" | "holder";

const nameFor = (options: SelfTestOptions, part: string) => ({
  namespace: options.namespace,
  name: `parapet-selftest-${options.id}-${part}`,
});

async function start(
  options: SelfTestOptions,
  part: Part,
  args: readonly string[],
): Promise<PodState> {
  const name = nameFor(options, part);
  const secondsMax = Math.ceil((options.holdMs + 2 * startMsMax) / 1_000);
  const pod = probePod(options, { ...name, id: options.id, part, args, secondsMax });
  const made = await options.cluster.create(types.pod, pod);
  if (!made.ok) return { kind: "broken", why: `${made.code}: ${made.message}` };
  return poll(options, part, startMsMax, (state) => state.kind !== "starting");
}

async function poll(
  options: SelfTestOptions,
  part: Part,
  withinMs: number,
  until: (state: PodState) => boolean,
): Promise<PodState> {
  const endMs = options.now() + withinMs;
  let last: PodState = { kind: "starting", why: "not seen yet" };
  while (options.now() < endMs && !options.stopped()) {
    const live = await options.cluster.get(types.pod, nameFor(options, part));
    if (!live.ok && live.code === "NotFound") return { kind: "broken", why: "somebody deleted it" };
    if (live.ok) last = podState(live.value);
    if (live.ok && until(last)) return last;
    await options.wait(lookMs);
  }
  return { kind: "broken", why: `not in time: ${whyOf(last)}` };
}

function denyPolicy(options: SelfTestOptions, direction: Direction): JsonObject {
  const part: Part = direction === "Ingress" ? "listener" : "holder";
  return {
    apiVersion: types.networkPolicy.apiVersion,
    kind: types.networkPolicy.kind,
    metadata: {
      ...nameFor(options, "deny"),
      labels: { "app.kubernetes.io/managed-by": "parapet-responder", [probeLabel]: options.id },
    },
    spec: {
      podSelector: { matchLabels: { [probeLabel]: options.id, [probePartLabel]: part } },
      policyTypes: [direction],
    },
  };
}

/** Removes what this replica's tests made, now or before a crash, and waits until it is gone. */
async function clear(options: SelfTestOptions): Promise<Reply<undefined>> {
  const things = [
    { type: types.networkPolicy, name: nameFor(options, "deny") },
    { type: types.pod, name: nameFor(options, "holder") },
    { type: types.pod, name: nameFor(options, "listener") },
  ];
  for (const { type, name } of things) {
    for (let tries = 0; tries < 60; tries++) {
      const live = await options.cluster.get(type, name);
      if (!live.ok && live.code === "NotFound") break;
      if (!live.ok) return live;
      await options.cluster.remove(type, nameOf(live.value), uidOf(live.value), {
        graceSeconds: 0,
      });
      await options.wait(lookMs / 5);
    }
  }
  return { ok: true, value: undefined };
}
