// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { type Child, start } from "#test/support/processes";

/** A node's network of its own, with pods' networks hanging off it; nothing of the machine's own network is touched. */
export type NodeNetwork = {
  /** Makes a pod's network; addresses are given out in order. */
  readonly addPod: (name: string) => PodNetwork;
  /** Runs a program to its end in the node's network. */
  readonly run: (command: string, ...args: readonly string[]) => string;
  /** Starts a program in the node's network. */
  readonly start: Start;
  readonly remove: () => void;
};

export type PodNetwork = {
  /** IPv4 first. */
  readonly addresses: readonly [string, string];
  readonly run: (command: string, ...args: readonly string[]) => string;
  readonly start: Start;
  readonly remove: () => void;
};

type Start = (
  name: string,
  command: string,
  args: readonly string[],
  options: Parameters<typeof start>[3],
) => Child;

export const podNetwork = "10.244.0.0/24";
export const podNetwork6 = "fd00:10:244::/64";

/** Why there are no network namespaces here; undefined when there are. */
export function noNetworkNamespaces(): string | undefined {
  const name = `parapet-try-${process.pid}`;
  const steps = [
    ["ip", "netns", "add", name],
    ["ip", "-n", name, "link", "add", "v0", "type", "veth", "peer", "name", "v1"],
    [
      "ip",
      "netns",
      "exec",
      name,
      "iptables",
      "-t",
      "mangle",
      "-A",
      "POSTROUTING",
      "-m",
      "conntrack",
    ].concat(["--ctdir", "ORIGINAL", "-j", "NFQUEUE", "--queue-num", "100"]),
  ];
  let why: string | undefined;
  for (const [command = "", ...args] of steps) {
    const run = spawnSync(command, args, { encoding: "utf8" });
    if (run.status === 0) continue;
    why = `${command} ${args.join(" ")}: ${run.error?.message ?? run.stderr.trim()}`;
    break;
  }
  spawnSync("ip", ["netns", "del", name]);
  return why;
}

let nodes = 0;

/**
 * A node that routes between its pods, as most network plugins do: each pod has an address alone on its end of a veth
 * pair, and the node for gateway. Packets between pods pass the node's FORWARD and POSTROUTING hooks.
 */
export function makeNodeNetwork(): NodeNetwork {
  nodes += 1;
  const node = `parapet-${process.pid}-${nodes}`;
  ip("netns", "add", node);
  const inNode = makeRun(node);
  ip("-n", node, "link", "set", "lo", "up");
  inNode("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
  // Duplicate address detection takes a second per link and proves nothing here.
  inNode("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0");
  let pods = 0;
  const names = new Set<string>();
  return {
    run: inNode,
    start: makeStart(node),
    addPod: () => {
      pods += 1;
      const pod = `${node}-pod${pods}`;
      names.add(pod);
      const addresses = [
        `10.244.0.${pods + 9}`,
        `fd00:10:244::${(pods + 9).toString(16)}`,
      ] as const;
      connect(node, pod, `pod${pods}`, addresses);
      return {
        addresses,
        run: makeRun(pod),
        start: makeStart(pod),
        remove: () => {
          if (names.delete(pod)) spawnSync("ip", ["netns", "del", pod]);
        },
      };
    },
    remove: () => {
      for (const name of names) spawnSync("ip", ["netns", "del", name]);
      names.clear();
      spawnSync("ip", ["netns", "del", node]);
    },
  };
}

function connect(
  node: string,
  pod: string,
  link: string,
  [address, address6]: readonly [string, string],
): void {
  ip("netns", "add", pod);
  makeRun(pod)("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0");
  ip("-n", node, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod);
  ip("-n", pod, "link", "set", "lo", "up");
  ip("-n", pod, "addr", "add", `${address}/32`, "dev", "eth0");
  ip("-n", pod, "addr", "add", `${address6}/128`, "dev", "eth0", "nodad");
  ip("-n", pod, "link", "set", "eth0", "up");
  ip("-n", pod, "route", "add", "default", "via", "169.254.1.1", "dev", "eth0", "onlink");
  ip("-n", node, "addr", "add", "169.254.1.1/32", "dev", link);
  ip("-n", node, "link", "set", link, "up");
  ip("-n", node, "addr", "add", "fe80::1/64", "dev", link, "nodad");
  ip("-n", pod, "route", "add", "default", "via", "fe80::1", "dev", "eth0", "onlink");
  ip("-n", node, "route", "add", `${address}/32`, "dev", link);
  ip("-n", node, "route", "add", `${address6}/128`, "dev", link);
}

const ip = (...args: readonly string[]): string =>
  execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

const makeRun =
  (namespace: string) =>
  (command: string, ...args: readonly string[]): string =>
    execFileSync("ip", ["netns", "exec", namespace, command, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });

// nsenter becomes the program, so that stopping it stops the program and not a parent of it.
const makeStart =
  (namespace: string): Start =>
  (name, command, args, options) =>
    start(name, "nsenter", [`--net=/run/netns/${namespace}`, command, ...args], options);
