// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { type Cluster, keyOf, nameOf, type Reply, types, uidOf } from "#responder/cluster";
import type { ControlPlane } from "#test/cluster/control-plane";
import {
  makeNodeNetwork,
  type NodeNetwork,
  podNetwork,
  podNetwork6,
  type PodNetwork,
} from "#test/support/network-namespaces";
import { type Child, eventually, freePort } from "#test/support/processes";
import { repository } from "#test/support/shared";

/**
 * What becomes of packets of open connections: `tracked` lets them pass unseen, as Calico, kube-router and Antrea do;
 * `each` has every packet in the opening direction judged, as Cilium and OVN-Kubernetes do.
 */
export type Enforcement = "tracked" | "each" | "none";

/** A node for the pods of a test: their programs run in networks of their own, and a real policy engine judges their packets. */
export type PacketNode = {
  /** Creates a pod that listens, and waits until it runs; gives the live object. */
  readonly addPod: (
    namespace: string,
    name: string,
    labels: JsonObject,
    port?: number,
    more?: JsonObject,
  ) => Promise<JsonObject>;
  /** Tries one TCP connection from a pod's network. */
  readonly tries: (from: JsonObject, address: string, port: number) => string;
  /** Keeps a connection open and uses it; `alive` tells whether an answer came within the last `withinMs`. */
  readonly hold: (from: JsonObject, address: string, port: number) => Promise<Held>;
  readonly stop: () => Promise<void>;
};

export type Held = {
  readonly aliveWithin: (ms: number) => boolean;
  readonly end: () => Promise<void>;
};

const nodeName = "node-1";
export const probeProgram = ["node", "responder/verification/probe-main.ts"] as const;

/** Starts node, kubelet's stand-in and policy engine (`program`) on a real control plane. */
export async function startPacketNode(
  plane: ControlPlane,
  cluster: Cluster,
  program: string,
  enforcement: Enforcement,
): Promise<PacketNode> {
  const network = makeNodeNetwork();
  const directory = mkdtempSync(join(tmpdir(), "parapet-node-"));
  const kubelet = startKubelet(plane, cluster, network, directory);
  const children: Child[] = [];
  let relay: (() => void) | undefined;
  try {
    if (enforcement !== "none") {
      judgePackets(network, enforcement);
      const way = await relayTo(plane, network, directory);
      relay = way.close;
      children.push(way.child, startEngine(network, program, way.kubeconfig, directory));
      await eventually("the policy engine judges", () =>
        readFileSync(join(directory, "engine.log"), "utf8").includes("Policy engine is ready"),
      );
    }
  } catch (error) {
    await kubelet.stop();
    network.remove();
    throw error;
  }
  return {
    addPod: async (namespace, name, labels, port = 8080, more = {}) => {
      const pod = await addPod(cluster, { namespace, name, labels, port, more });
      // From within, so that no policy has a say.
      await eventually(
        `${name} listens`,
        () => tryOnce(kubelet.networkOf(pod), "127.0.0.1", port) === "connected",
      );
      return pod;
    },
    tries: (from, address, port) => tryOnce(kubelet.networkOf(from), address, port),
    hold: (from, address, port) => hold(kubelet.networkOf(from), directory, address, port),
    stop: async () => {
      await kubelet.stop();
      for (const child of children) await child.stop();
      relay?.();
      network.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** What the engine's own nftables rules do, with iptables: not every kernel has nft's queue. */
function judgePackets(network: NodeNetwork, enforcement: Enforcement): void {
  for (const [command, pods] of [
    ["iptables", podNetwork],
    ["ip6tables", podNetwork6],
  ] as const) {
    const rule = (...args: readonly string[]): string =>
      network.run(command, "-t", "mangle", "-A", "POSTROUTING", ...args);
    const between = ["-s", pods, "-d", pods, "-m", "conntrack"];
    if (enforcement === "tracked") {
      rule("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT");
      rule(...between, "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", "100");
    } else {
      rule(...between, "--ctdir", "ORIGINAL", "-p", "tcp", "-j", "NFQUEUE", "--queue-num", "100");
    }
  }
}

const startEngine = (
  network: NodeNetwork,
  program: string,
  kubeconfig: string,
  directory: string,
): Child =>
  network.start(
    "kube-network-policies",
    program,
    [
      `--kubeconfig=${kubeconfig}`,
      `--hostname-override=${nodeName}`,
      "--disable-nri",
      "--strict-mode=false",
      "--fail-open=false",
      "--nfqueue-id=100",
      "--metrics-bind-address=127.0.0.1:9080",
    ],
    { logFile: join(directory, "engine.log") },
  );

/** The API server's loopback address, made reachable in the node's network by a Unix socket, which knows no networks. */
async function relayTo(plane: ControlPlane, network: NodeNetwork, directory: string) {
  const socket = join(directory, "api.sock");
  const target = new URL(plane.url);
  const server = createServer((from) => {
    const to = connect(Number(target.port), target.hostname);
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      one.on("error", () => other.destroy());
      one.pipe(other);
    }
  });
  await new Promise<void>((resolve) => {
    server.listen(socket, resolve);
  });
  const port = await freePort();
  const program = `const n=require("net");n.createServer(f=>{const t=n.connect(${JSON.stringify(socket)});f.on("error",()=>t.destroy());t.on("error",()=>f.destroy());f.pipe(t);t.pipe(f)}).listen(${port},"127.0.0.1")`;
  const child = network.start("relay", process.execPath, ["-e", program], {
    logFile: join(directory, "relay.log"),
  });
  const kubeconfig = join(directory, "kubeconfig");
  writeFileSync(
    kubeconfig,
    readFileSync(plane.kubeconfig, "utf8").replaceAll(plane.url, `https://127.0.0.1:${port}`),
  );
  return { kubeconfig, child, close: () => server.close() };
}

async function addPod(
  cluster: Cluster,
  pod: {
    readonly namespace: string;
    readonly name: string;
    readonly labels: JsonObject;
    readonly port: number;
    readonly more: JsonObject;
  },
): Promise<JsonObject> {
  const { namespace, name, labels, port, more } = pod;
  good(
    await cluster.create(types.pod, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace, labels, ...more },
      spec: {
        nodeName,
        containers: [
          {
            name: "app",
            image: "registry.example/app:1",
            command: [...probeProgram],
            args: [`--listen=${port}`, "--for=600000"],
            ports: [{ name: "app", containerPort: port }],
          },
        ],
      },
    }),
  );
  return eventually(`pod ${name} runs`, async () => {
    const live = good(await cluster.get(types.pod, { namespace, name }));
    return textAt(live, ["status", "phase"]) === "Running" ? live : undefined;
  });
}

/** One TCP connection, tried for so long that a lost SYN is sent again. */
function tryOnce(network: PodNetwork, address: string, port: number): string {
  const program = `const s=require("net").connect(${port},${JSON.stringify(address)});const e=w=>{console.log(w);process.exit()};s.on("connect",()=>e("connected"));s.on("error",x=>e(x.code));setTimeout(()=>e("timeout"),2500)`;
  return network.run(process.execPath, "-e", program).trim();
}

async function hold(
  network: PodNetwork,
  directory: string,
  address: string,
  port: number,
): Promise<Held> {
  const file = join(directory, `held-${Math.random()}`);
  const program = `const s=require("net").connect(${port},${JSON.stringify(address)});s.on("data",()=>require("fs").writeFileSync(${JSON.stringify(file)},String(Date.now())));s.on("error",()=>0);setInterval(()=>s.write("."),100)`;
  const child = network.start("hold", process.execPath, ["-e", program], {
    logFile: join(directory, "hold.log"),
  });
  const heard = (): number => {
    try {
      return Number(readFileSync(file, "utf8"));
    } catch {
      return 0;
    }
  };
  await eventually("a held connection is answered", () => heard() > 0);
  return {
    aliveWithin: (ms) => Date.now() - heard() < ms,
    end: () => child.stop(),
  };
}

type RunningPod = { readonly uid: string; readonly network: PodNetwork; child?: Child };

/**
 * As much of a kubelet as network tests need: it binds pods to its node, gives them a network, runs their program there as
 * their manifest says, and tells the API server of their address, their start and what they wrote at their end.
 */
function startKubelet(
  plane: ControlPlane,
  cluster: Cluster,
  network: NodeNetwork,
  directory: string,
) {
  const running = new Map<string, RunningPod>();
  let on = true;
  const round = async (): Promise<void> => {
    const listed = await cluster.list(types.pod, {});
    if (!listed.ok) return;
    const seen = new Set(listed.value.items.map(uidOf));
    for (const [uid, pod] of running) {
      if (seen.has(uid)) continue;
      await pod.child?.stop();
      pod.network.remove();
      running.delete(uid);
    }
    for (const pod of listed.value.items) await step(pod);
  };
  const step = async (pod: JsonObject): Promise<void> => {
    const known = running.get(uidOf(pod));
    if (textAt(pod, ["metadata", "deletionTimestamp"]) !== "") {
      await known?.child?.stop();
      await cluster.remove(types.pod, nameOf(pod), uidOf(pod), { graceSeconds: 0 });
      return;
    }
    if (known === undefined) {
      if (textAt(pod, ["spec", "nodeName"]) === "") await bind(plane, pod);
      const made = network.addPod(keyOf(nameOf(pod)));
      const fresh: RunningPod = { uid: uidOf(pod), network: made };
      running.set(uidOf(pod), fresh);
      fresh.child = runProgram(pod, made, directory);
      await tellStarted(cluster, pod, made);
      return;
    }
    if (known.child === undefined || known.child.exitCode() === null) return;
    const phase = textAt(pod, ["status", "phase"]);
    if (phase === "Running") await tellEnded(cluster, pod, known.child.exitCode() ?? 0, directory);
  };
  const loop = (async () => {
    while (on) {
      await round();
      await sleep(100);
    }
  })();
  return {
    networkOf: (pod: JsonObject): PodNetwork => {
      const found = running.get(uidOf(pod));
      if (found === undefined) throw new Error(`${keyOf(nameOf(pod))} does not run`);
      return found.network;
    },
    stop: async () => {
      on = false;
      await loop;
      for (const pod of running.values()) await pod.child?.stop();
    },
  };
}

/** What a scheduler does. */
const bind = (plane: ControlPlane, pod: JsonObject) => {
  const { namespace, name } = nameOf(pod);
  return plane.api.send("POST", `/api/v1/namespaces/${namespace}/pods/${name}/binding`, {
    apiVersion: "v1",
    kind: "Binding",
    metadata: { name },
    target: { apiVersion: "v1", kind: "Node", name: nodeName },
  });
};

const messageFile = (directory: string, pod: JsonObject): string => join(directory, uidOf(pod));

function runProgram(pod: JsonObject, network: PodNetwork, directory: string): Child {
  const [command = "", ...args] = [
    ...texts(at(pod, ["spec", "containers", 0, "command"])),
    ...texts(at(pod, ["spec", "containers", 0, "args"])),
  ];
  const file = messageFile(directory, pod);
  writeFileSync(file, "");
  return network.start(keyOf(nameOf(pod)), command === "node" ? process.execPath : command, args, {
    cwd: repository,
    logFile: `${file}.log`,
    env: { TERMINATION_MESSAGE_PATH: file },
  });
}

async function tellStarted(cluster: Cluster, pod: JsonObject, network: PodNetwork): Promise<void> {
  const gates = at(pod, ["spec", "readinessGates"]);
  const isReady = !isArray(gates) || gates.length === 0;
  await patchStatus(cluster, pod, {
    phase: "Running",
    hostIP: "192.0.2.1",
    podIP: network.addresses[0],
    podIPs: network.addresses.map((ip) => ({ ip })),
    conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
    containerStatuses: [
      containerStatus(pod, { running: { startedAt: new Date().toISOString() } }, true),
    ],
  });
}

async function tellEnded(
  cluster: Cluster,
  pod: JsonObject,
  exitCode: number,
  directory: string,
): Promise<void> {
  const message = readFileSync(messageFile(directory, pod), "utf8").slice(0, 4_096);
  const terminated = { exitCode, message, reason: exitCode === 0 ? "Completed" : "Error" };
  await patchStatus(cluster, pod, {
    phase: exitCode === 0 ? "Succeeded" : "Failed",
    containerStatuses: [containerStatus(pod, { terminated }, false)],
  });
}

const containerStatus = (pod: JsonObject, state: JsonObject, ready: boolean): JsonObject => ({
  name: textAt(pod, ["spec", "containers", 0, "name"]),
  image: textAt(pod, ["spec", "containers", 0, "image"]),
  imageID: "",
  ready,
  restartCount: 0,
  state,
});

async function patchStatus(cluster: Cluster, pod: JsonObject, more: JsonObject): Promise<void> {
  const live = await cluster.get(types.pod, nameOf(pod));
  if (!live.ok || uidOf(live.value) !== uidOf(pod)) return;
  const before = live.value["status"];
  const status = { ...(isObject(before) ? before : {}), ...more };
  await cluster.replaceStatus(types.pod, { ...live.value, status });
}

const texts = (value: Json | undefined): readonly string[] =>
  isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];

export function good<T>(reply: Reply<T>): T {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
}

/** A node as the API server knows it, for policies that speak of nodes. */
export const nodeObject: JsonObject = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: nodeName },
};
