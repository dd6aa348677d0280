// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import type { Json, JsonObject } from "#policy/json";
import { parseIp } from "#policy/kubernetes/ip";
import type { NamedPort, Packet, PodView, Protocol } from "#responder/reachability/traffic";

// Generated worlds of network policies, and the program that judges them beside us.

export type Pod = PodView & { readonly address: string };
export type Node = {
  readonly name: string;
  readonly labels: JsonObject;
  readonly addresses: readonly string[];
};
export type Case = {
  readonly policies: readonly JsonObject[];
  readonly clusterPolicies?: readonly JsonObject[];
  readonly adminPolicies?: readonly JsonObject[];
  readonly baselineAdminPolicies?: readonly JsonObject[];
  readonly nodes?: readonly Node[];
  readonly source: { readonly address: string; readonly pod: Pod | null };
  readonly destination: { readonly address: string; readonly pod: Pod | null };
  readonly port: number;
  readonly protocol: Protocol;
};

/** mulberry32: small, and the same numbers everywhere. */
export function makeRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const namespaces = ["a", "b"];
const keys = ["app", "tier"];
const values = ["x", "y", "z"];
const protocols: readonly Protocol[] = ["TCP", "UDP", "SCTP"];
const portNumbers = [53, 80, 443, 8080, 8090];
const blocks = [
  "10.0.0.0/8",
  "10.1.0.0/16",
  "10.1.2.0/24",
  "0.0.0.0/0",
  "192.0.2.0/24",
  "2001:db8::/32",
  "::/0",
];
const outside = ["192.0.2.7", "198.51.100.9", "2001:db8::7"];

export const nodes: readonly Node[] = [
  { name: "node-1", labels: { pool: "x" }, addresses: ["192.0.2.7"] },
  { name: "node-2", labels: { pool: "y" }, addresses: ["2001:db8::7"] },
];

export function makeGenerator(random: () => number) {
  const chance = (share: number) => random() < share;
  const pick = <T>(list: readonly T[]): T => {
    const item = list[Math.floor(random() * list.length)];
    if (item === undefined) throw new Error("empty list");
    return item;
  };
  const some = <T>(max: number, make: () => T): T[] =>
    Array.from({ length: Math.floor(random() * (max + 1)) }, make);
  const labels = () =>
    Object.fromEntries(keys.filter(() => chance(0.6)).map((key) => [key, pick(values)]));

  const expression = (): JsonObject => {
    const operator = pick(["In", "NotIn", "Exists", "DoesNotExist"]);
    const needsValues = operator === "In" || operator === "NotIn";
    return {
      key: pick(keys),
      operator,
      ...(needsValues ? { values: [pick(values), pick(values)] } : {}),
    };
  };
  const selector = (): JsonObject => {
    if (chance(0.25)) return {};
    return {
      ...(chance(0.7) ? { matchLabels: labels() } : {}),
      ...(chance(0.3) ? { matchExpressions: [expression()] } : {}),
    };
  };
  const peer = (): JsonObject => {
    if (chance(0.3)) {
      const cidr = pick(blocks);
      const inside = cidr.includes(":") ? "2001:db8::/48" : "10.1.2.0/25";
      const except = chance(0.4) && !["192.0.2.0/24"].includes(cidr) ? { except: [inside] } : {};
      return { ipBlock: { cidr, ...except } };
    }
    const both = random();
    return {
      ...(both < 0.7 ? { podSelector: selector() } : {}),
      ...(both > 0.4 ? { namespaceSelector: selector() } : {}),
    };
  };
  const port = (): JsonObject => {
    const protocol = pick(protocols);
    if (chance(0.15)) return { protocol };
    if (chance(0.25)) return { protocol, port: pick(["http", "dns"]) };
    const first = pick(portNumbers);
    return { protocol, port: first, ...(chance(0.3) ? { endPort: first + 20 } : {}) };
  };
  // The API server drops empty lists, and so must we: the oracle tells nil and empty apart.
  const list = (key: string, items: readonly Json[]): JsonObject =>
    items.length === 0 ? {} : { [key]: items };
  const rule = (side: string): JsonObject => ({
    ...list(side, some(2, peer)),
    ...list("ports", some(2, port)),
  });
  const policy = (index: number): JsonObject => {
    const types = pick([["Ingress"], ["Egress"], ["Ingress", "Egress"]]);
    return {
      metadata: { name: `policy-${index}`, namespace: pick(namespaces) },
      spec: {
        podSelector: selector(),
        policyTypes: types,
        ...(types.includes("Ingress")
          ? list(
              "ingress",
              some(2, () => rule("from")),
            )
          : {}),
        ...(types.includes("Egress")
          ? list(
              "egress",
              some(2, () => rule("to")),
            )
          : {}),
      },
    };
  };
  const pod = (namespaceLabels: Readonly<Record<string, JsonObject>>, index: number): Pod => {
    const namespace = pick(namespaces);
    const ports: NamedPort[] = [
      { name: "http", port: pick([80, 8080]), protocol: "TCP" },
      { name: "dns", port: 53, protocol: pick(["TCP", "UDP"] as const) },
    ];
    const address = chance(0.8)
      ? `10.${pick([0, 1])}.${pick([1, 2])}.${index + 1}`
      : `2001:db8::${index + 1}`;
    return {
      namespace,
      namespaceLabels: namespaceLabels[namespace] ?? {},
      labels: labels(),
      ports,
      address,
    };
  };
  const world = () => {
    const namespaceLabels = Object.fromEntries(namespaces.map((name) => [name, labels()]));
    const pods = Array.from({ length: 4 }, (_, index) => pod(namespaceLabels, index));
    return { pods, policies: some(5, () => 0).map((_, index) => policy(index)) };
  };
  const end = (pods: readonly Pod[]) => {
    const chosen = chance(0.2) ? undefined : pick(pods);
    return { address: chosen?.address ?? pick(outside), pod: chosen ?? null };
  };
  const packet = (pods: readonly Pod[]): Omit<Case, "policies"> => {
    const destination = end(pods);
    return {
      source: end(pods),
      destination,
      port: pick([...portNumbers, 81, 8100]),
      protocol: pick(protocols),
    };
  };
  return { world, packet, pick, chance, some, selector, policy };
}

export function ask(
  program: string,
  cases: readonly Case[],
): readonly { egress: boolean; ingress: boolean }[] {
  const run = spawnSync(program, {
    input: cases.map((one) => JSON.stringify(one)).join("\n"),
    maxBuffer: 256 * 1024 * 1024,
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(run.stderr);
  return run.stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" "))
    .map(([egress, ingress]) => ({ egress: egress === "true", ingress: ingress === "true" }));
}

const endpoint = (end: Case["source"]) => {
  const address = parseIp(end.address);
  if (!address.ok) throw new Error(address.message);
  const node = nodes.find((one) => one.addresses.includes(end.address));
  return { address: address.value, pod: end.pod ?? undefined, node: node?.labels };
};
export const packetOf = (one: Case): Packet => ({
  source: endpoint(one.source),
  destination: endpoint(one.destination),
  port: one.port,
  protocol: one.protocol,
});
