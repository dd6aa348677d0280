// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { chainsAt, parseWorld } from "#responder/reachability/policy-world";
import { endAt, endOfPod, packetBy, podView, tcp } from "#responder/reachability/scene";
import { judgePacket } from "#responder/reachability/stage";
import type { Direction, Packet } from "#responder/reachability/traffic";

// What Calico's documentation says, as cases.
const reference = "https://docs.tigera.io/calico/latest/reference/resources/networkpolicy";
const global = "https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy";
const tiers = "https://docs.tigera.io/calico/latest/reference/resources/tier";
const tiered = "https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy";
const basics =
  "https://docs.tigera.io/calico/latest/network-policy/get-started/calico-policy/calico-network-policy";

const database = podView("production", { role: "database" });
const frontend = podView("production", { role: "frontend" });
const elsewhere = podView("staging", { role: "frontend" });
const world = endAt("198.51.100.9");

const policy = (spec: JsonObject, kind = "NetworkPolicy", name = "policy"): JsonObject => ({
  apiVersion: "projectcalico.org/v3",
  kind,
  metadata: { name, ...(kind === "NetworkPolicy" ? { namespace: "production" } : {}) },
  spec: { selector: "role == 'database'", ...spec },
});
const globalPolicy = (name: string, order: number, spec: JsonObject): JsonObject =>
  policy({ order, types: ["Ingress"], ...spec }, "GlobalNetworkPolicy", name);
const tier = (name: string, order: number, more: JsonObject = {}): JsonObject => ({
  apiVersion: "projectcalico.org/v3",
  kind: "Tier",
  metadata: { name },
  spec: { order, ...more },
});
const standard = (ingress: JsonObject[]): JsonObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "standard", namespace: "production" },
  spec: { podSelector: {}, policyTypes: ["Ingress"], ingress },
});
const fromPod = (pod = frontend, port = 6379) => tcp(endOfPod(pod), endOfPod(database), port);
const allowFrontend = {
  action: "Allow",
  protocol: "TCP",
  source: { selector: "role == 'frontend'" },
  destination: { ports: [6379] },
};
const allow = { action: "Allow" };
const deny = { action: "Deny" };
const pass = { action: "Pass" };

type Row = {
  readonly reason: string;
  readonly source: string;
  readonly policies: readonly JsonObject[];
  readonly packet?: Packet;
  readonly direction?: Direction;
  readonly want: "allow" | "deny" | "either";
};

const rows: readonly Row[] = [
  {
    reason: "The reference's sample: frontends reach the database on its port.",
    source: reference,
    policies: [policy({ types: ["Ingress", "Egress"], ingress: [allowFrontend], egress: [allow] })],
    want: "allow",
  },
  {
    reason: "The reference's sample: another port is denied.",
    source: reference,
    policies: [policy({ types: ["Ingress", "Egress"], ingress: [allowFrontend], egress: [allow] })],
    packet: fromPod(frontend, 80),
    want: "deny",
  },
  {
    reason: "A selector in a namespaced policy means pods of its own namespace.",
    source: `${reference}#entityrule`,
    policies: [policy({ ingress: [allowFrontend] })],
    packet: fromPod(elsewhere),
    want: "deny",
  },
  {
    reason: "A namespaceSelector looks into others.",
    source: `${reference}#entityrule`,
    policies: [
      policy({
        ingress: [
          {
            action: "Allow",
            source: {
              namespaceSelector: "projectcalico.org/name == 'staging'",
              selector: "role == 'frontend'",
            },
          },
        ],
      }),
    ],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "A selector in a global policy means pods of all namespaces.",
    source: global,
    policies: [globalPolicy("g", 1, { ingress: [allowFrontend] })],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "A policy that selects the pod denies what its rules leave.",
    source: tiers,
    policies: [policy({ ingress: [], types: ["Ingress"] })],
    want: "deny",
  },
  {
    reason: "Types left out with no egress rules: ingress alone.",
    source: `${reference}#spec`,
    policies: [policy({ ingress: [] })],
    packet: tcp(endOfPod(database), world),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "Types left out with egress rules alone: egress alone.",
    source: `${reference}#spec`,
    policies: [policy({ egress: [deny] })],
    want: "allow",
  },
  {
    reason: "Lower order first.",
    source: `${reference}#spec`,
    policies: [
      globalPolicy("b", 1, { ingress: [deny] }),
      globalPolicy("a", 2, { ingress: [allow] }),
    ],
    want: "deny",
  },
  {
    reason: "Without an order a policy comes last.",
    source: `${reference}#spec`,
    policies: [policy({ ingress: [deny] }), globalPolicy("z", 5000, { ingress: [allow] })],
    want: "allow",
  },
  {
    reason: "Of one order the name decides.",
    source: `${reference}#spec`,
    policies: [
      globalPolicy("b", 1, { ingress: [allow] }),
      globalPolicy("a", 1, { ingress: [deny] }),
    ],
    want: "deny",
  },
  {
    reason: "Rules of a policy go from top to bottom.",
    source: `${reference}#rule`,
    policies: [
      policy({ ingress: [{ action: "Deny", source: { selector: "role == 'frontend'" } }, allow] }),
    ],
    want: "deny",
  },
  {
    reason: "Log decides nothing.",
    source: `${reference}#rule`,
    policies: [policy({ ingress: [{ action: "Log" }, allow] })],
    want: "allow",
  },
  {
    reason: "Pass goes to the next tier.",
    source: tiers,
    policies: [
      tier("security", 10),
      globalPolicy("security.a", 1, { tier: "security", ingress: [pass] }),
      globalPolicy("b", 1, { ingress: [deny] }),
    ],
    want: "deny",
  },
  {
    reason: "A tier whose policy selects the pod drops what is left.",
    source: tiers,
    policies: [
      tier("security", 10),
      globalPolicy("security.a", 1, {
        tier: "security",
        ingress: [{ action: "Allow", source: { nets: ["192.0.2.0/24"] } }],
      }),
      globalPolicy("b", 1, { ingress: [allow] }),
    ],
    want: "deny",
  },
  {
    reason: "Unless its default action is Pass.",
    source: tiers,
    policies: [
      tier("security", 10, { defaultAction: "Pass" }),
      globalPolicy("security.a", 1, {
        tier: "security",
        ingress: [{ action: "Allow", source: { nets: ["192.0.2.0/24"] } }],
      }),
      globalPolicy("b", 1, { ingress: [allow] }),
    ],
    want: "allow",
  },
  {
    reason: "A tier without a policy for the pod is skipped.",
    source: tiers,
    policies: [
      tier("security", 10),
      globalPolicy("security.a", 1, {
        tier: "security",
        selector: "role == 'other'",
        ingress: [deny],
      }),
      globalPolicy("b", 1, { ingress: [allow] }),
    ],
    want: "allow",
  },
  {
    reason: "Tiers by their order.",
    source: tiers,
    policies: [
      tier("late", 20),
      tier("early", 10),
      globalPolicy("late.a", 1, { tier: "late", ingress: [allow] }),
      globalPolicy("early.a", 1, { tier: "early", ingress: [deny] }),
    ],
    want: "deny",
  },
  {
    reason: "Kubernetes' policies are in the tier default, at order 1000.",
    source: tiered,
    policies: [standard([]), globalPolicy("a", 999, { ingress: [allow] })],
    want: "allow",
  },
  {
    reason: "What comes after order 1000 does not undo their allow.",
    source: tiered,
    policies: [standard([{}]), globalPolicy("a", 1001, { ingress: [deny] })],
    want: "allow",
  },
  {
    reason: "But what they leave may still be allowed after them.",
    source: tiered,
    policies: [standard([]), globalPolicy("a", 1001, { ingress: [allow] })],
    want: "allow",
  },
  {
    reason: "Nothing selects the pod: it is open.",
    source: basics,
    policies: [policy({ selector: "role == 'other'", ingress: [deny] })],
    want: "allow",
  },
  {
    reason: "nets and notNets both hold.",
    source: `${reference}#entityrule`,
    policies: [
      policy({
        ingress: [{ action: "Allow", source: { nets: ["10.0.0.0/8"], notNets: ["10.1.0.0/16"] } }],
      }),
    ],
    want: "deny",
  },
  {
    reason: "Addresses match pods too.",
    source: `${reference}#entityrule`,
    policies: [policy({ ingress: [{ action: "Allow", source: { nets: ["10.1.0.0/16"] } }] })],
    want: "allow",
  },
  {
    reason: "notSelector takes pods out.",
    source: `${reference}#entityrule`,
    policies: [
      policy({ ingress: [{ action: "Allow", source: { notSelector: "role == 'frontend'" } }] }),
    ],
    want: "deny",
  },
  {
    reason: "A range of ports.",
    source: `${reference}#ports`,
    policies: [
      policy({
        ingress: [{ action: "Allow", protocol: "TCP", destination: { ports: ["6000:7000"] } }],
      }),
    ],
    want: "allow",
  },
  {
    reason: "A named port of the destination.",
    source: `${reference}#ports`,
    policies: [
      policy({ ingress: [{ action: "Allow", protocol: "TCP", destination: { ports: ["http"] } }] }),
    ],
    packet: fromPod(frontend, 8080),
    want: "allow",
  },
  {
    reason: "notPorts.",
    source: `${reference}#entityrule`,
    policies: [
      policy({
        ingress: [{ action: "Allow", protocol: "TCP", destination: { notPorts: [6379] } }],
      }),
    ],
    want: "deny",
  },
  {
    reason: "A protocol by its number: 17 is UDP.",
    source: `${reference}#protocols`,
    policies: [policy({ ingress: [{ action: "Allow", protocol: 17 }] })],
    packet: packetBy("UDP", endOfPod(frontend), endOfPod(database), 53),
    want: "allow",
  },
  {
    reason: "notProtocol.",
    source: `${reference}#rule`,
    policies: [policy({ ingress: [{ action: "Allow", notProtocol: "TCP" }] })],
    want: "deny",
  },
  {
    reason: "ICMP opens no port.",
    source: `${reference}#icmp`,
    policies: [policy({ ingress: [{ action: "Allow", protocol: "ICMP" }] })],
    want: "deny",
  },
  {
    reason: "The destination of an ingress rule narrows the pods it is about.",
    source: `${reference}#rule`,
    policies: [
      policy({
        selector: "all()",
        ingress: [{ action: "Allow", destination: { selector: "role == 'frontend'" } }],
      }),
    ],
    want: "deny",
  },
  {
    reason: "Source ports are not in what is judged.",
    source: `${reference}#entityrule`,
    policies: [
      policy({ ingress: [{ action: "Allow", protocol: "TCP", source: { ports: [123] } }] }),
    ],
    want: "either",
  },
  {
    reason: "Service accounts by label cannot be told.",
    source: `${reference}#serviceaccountmatch`,
    policies: [
      policy({ ingress: [{ action: "Allow", source: { serviceAccounts: { names: ["api"] } } }] }),
    ],
    want: "either",
  },
  {
    reason: "HTTP rules decide by what is said.",
    source: `${reference}#rule`,
    policies: [policy({ ingress: [{ action: "Allow", http: { methods: ["GET"] } }] })],
    want: "either",
  },
  {
    reason: "preDNAT policies are about host endpoints.",
    source: global,
    policies: [globalPolicy("a", 1, { preDNAT: true, applyOnForward: true, ingress: [deny] })],
    want: "allow",
  },
  {
    reason: "Staged policies decide nothing.",
    source: "https://docs.tigera.io/calico/latest/reference/resources/stagednetworkpolicy",
    policies: [policy({ ingress: [deny] }, "StagedNetworkPolicy"), tier("x", 1)],
    want: "allow",
  },
  {
    reason: "A selector that cannot be read may select.",
    source: `${reference}#selectors`,
    policies: [policy({ selector: "role ==", ingress: [deny] })],
    want: "either",
  },
  {
    reason:
      "Of Calico's policies in the tier of admin policies and those any may come first: an order is a priority there.",
    source: tiered,
    policies: [
      globalPolicy("adminnetworkpolicy.late", 500, {
        tier: "adminnetworkpolicy",
        ingress: [deny],
      }),
      {
        apiVersion: "policy.networking.k8s.io/v1alpha1",
        kind: "AdminNetworkPolicy",
        metadata: { name: "early" },
        spec: {
          priority: 100,
          subject: { namespaces: {} },
          ingress: [{ name: "open", action: "Allow", from: [{ namespaces: {} }] }],
        },
      },
    ],
    want: "either",
  },
  {
    reason: "At order 1000 itself Kubernetes' policies and Calico's have no order between them.",
    source: tiered,
    policies: [standard([{}]), globalPolicy("a", 1000, { ingress: [deny] })],
    want: "either",
  },
];

const networkSets = "https://docs.tigera.io/calico/latest/reference/resources/globalnetworkset";
const typesSource =
  "https://github.com/projectcalico/calico/blob/master/libcalico-go/lib/clientv3/networkpolicy.go";
const tokenizer =
  "https://github.com/projectcalico/calico/blob/master/libcalico-go/lib/selector/tokenizer/tokenizer.go";
const toWorld = (port = 443) => tcp(endOfPod(database), world, port);
const fromWorld = tcp(world, endOfPod(database), 6379);
const ingressFrom = (source: JsonObject): JsonObject => policy({ ingress: [{ ...allow, source }] });

/** The odd ones: what is empty, equal, of another order, or about something else than pods. */
const odd: readonly Row[] = [
  {
    reason: "An empty list of egress rules is none: egress stays open.",
    source: typesSource,
    policies: [policy({ ingress: [deny], egress: [] })],
    packet: toWorld(),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "An empty list of ingress rules beside egress rules: ingress stays open.",
    source: typesSource,
    policies: [policy({ ingress: [], egress: [allow] })],
    want: "allow",
  },
  {
    reason: "No rules at all: ingress is denied.",
    source: typesSource,
    policies: [policy({})],
    want: "deny",
  },
  {
    reason: "No rules at all: egress is not.",
    source: typesSource,
    policies: [policy({})],
    packet: toWorld(),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "Rules of a direction that types leave out decide nothing.",
    source: reference,
    policies: [policy({ types: ["Egress"], ingress: [deny], egress: [allow] })],
    want: "allow",
  },
  {
    reason: "applyOnForward says something about host endpoints alone: pods are meant as before.",
    source: global,
    policies: [globalPolicy("a", 1, { applyOnForward: true, ingress: [deny] })],
    want: "deny",
  },
  {
    reason: "doNotTrack policies are about host endpoints.",
    source: global,
    policies: [globalPolicy("a", 1, { doNotTrack: true, applyOnForward: true, ingress: [deny] })],
    want: "allow",
  },
  {
    reason: "global() selects what has no namespace: no pod.",
    source: `${reference}#selectors`,
    policies: [globalPolicy("a", 1, { namespaceSelector: "global()", ingress: [deny] })],
    want: "allow",
  },
  {
    reason: "all() of namespaces selects every pod.",
    source: `${reference}#selectors`,
    policies: [globalPolicy("a", 1, { namespaceSelector: "all()", ingress: [deny] })],
    want: "deny",
  },
  {
    reason: "global() beside a namespace in one selector.",
    source: `${reference}#selectors`,
    policies: [
      globalPolicy("a", 1, {
        namespaceSelector: "global() || projectcalico.org/name == 'production'",
        ingress: [deny],
      }),
    ],
    want: "deny",
  },
  {
    reason: "Both selectors of a global policy must select.",
    source: global,
    policies: [
      globalPolicy("a", 1, {
        namespaceSelector: "projectcalico.org/name == 'staging'",
        ingress: [deny],
      }),
    ],
    want: "allow",
  },
  {
    reason: "A pod's namespace is one of its labels.",
    source: global,
    policies: [
      globalPolicy("a", 1, {
        selector: "projectcalico.org/namespace == 'production'",
        ingress: [deny],
      }),
    ],
    want: "deny",
  },
  {
    reason: "serviceAccountSelector: all() leaves nobody out.",
    source: reference,
    policies: [policy({ serviceAccountSelector: "all()", ingress: [deny] })],
    want: "deny",
  },
  {
    reason: "What labels a service account has no pod shows.",
    source: reference,
    policies: [policy({ serviceAccountSelector: "role == 'intern'", ingress: [deny] })],
    want: "either",
  },
  {
    reason: "A selector of a global policy selects network sets too: an address may be in one.",
    source: networkSets,
    policies: [
      globalPolicy("a", 1, { ingress: [{ ...allow, source: { selector: "trusted == 'yes'" } }] }),
    ],
    packet: fromWorld,
    want: "either",
  },
  {
    reason: "A namespaced policy asks for them by global().",
    source: networkSets,
    policies: [ingressFrom({ namespaceSelector: "global()", selector: "trusted == 'yes'" })],
    packet: fromWorld,
    want: "either",
  },
  {
    reason: "And then means no pod.",
    source: networkSets,
    policies: [ingressFrom({ namespaceSelector: "global()", selector: "role == 'frontend'" })],
    want: "deny",
  },
  {
    reason: "notSelector takes network sets out as well.",
    source: networkSets,
    policies: [ingressFrom({ notSelector: "blocked == 'yes'" })],
    packet: fromWorld,
    want: "either",
  },
  {
    reason: "A selector and nets: a pod must be in both.",
    source: `${reference}#entityrule`,
    policies: [ingressFrom({ selector: "role == 'frontend'", nets: ["10.9.0.0/16"] })],
    want: "deny",
  },
  {
    reason: "Pass beyond the last tier: Kubernetes' pods are open.",
    source: tiers,
    policies: [policy({ ingress: [pass] })],
    want: "allow",
  },
  {
    reason: "Pass skips what is left of its own tier.",
    source: tiers,
    policies: [
      tier("security", 1),
      globalPolicy("security.a", 1, { tier: "security", ingress: [pass] }),
      globalPolicy("security.b", 2, { tier: "security", ingress: [deny] }),
    ],
    want: "allow",
  },
  {
    reason: "A tier that passes by default still denies what a rule denies.",
    source: tiers,
    policies: [
      tier("security", 1, { defaultAction: "Pass" }),
      globalPolicy("security.a", 1, { tier: "security", ingress: [deny] }),
    ],
    want: "deny",
  },
  {
    reason: "A tier without an order is the last, behind the default one.",
    source: tiers,
    policies: [
      {
        apiVersion: "projectcalico.org/v3",
        kind: "Tier",
        metadata: { name: "a-late" },
        spec: {},
      },
      globalPolicy("a-late.a", 1, { tier: "a-late", ingress: [deny] }),
      globalPolicy("open", 1, { ingress: [allow] }),
    ],
    want: "allow",
  },
  {
    reason: "Of two tiers of one order the name decides.",
    source: tiers,
    policies: [
      tier("b-open", 5),
      tier("a-shut", 5),
      globalPolicy("b-open.a", 1, { tier: "b-open", ingress: [allow] }),
      globalPolicy("a-shut.a", 1, { tier: "a-shut", ingress: [deny] }),
    ],
    want: "deny",
  },
  {
    reason: "An order below nought comes before nought.",
    source: reference,
    policies: [
      globalPolicy("a", 0, { ingress: [deny] }),
      globalPolicy("b", -1, { ingress: [allow] }),
    ],
    want: "allow",
  },
  {
    reason: "Of one order in the cluster and in a namespace, releases sort their names otherwise.",
    source: reference,
    policies: [policy({ order: 5, ingress: [allow] }), globalPolicy("b", 5, { ingress: [deny] })],
    want: "either",
  },
  {
    reason: "Log goes on to the next rule.",
    source: `${reference}#rule`,
    policies: [policy({ ingress: [{ action: "Log" }, deny, allow] })],
    want: "deny",
  },
  {
    reason: "ipVersion 6 is not this packet's.",
    source: `${reference}#rule`,
    policies: [policy({ ingress: [{ ...allow, ipVersion: 6 }] })],
    want: "deny",
  },
  {
    reason: "A port by its name that is taken out.",
    source: `${reference}#ports`,
    policies: [
      policy({ ingress: [{ ...allow, protocol: "TCP", destination: { notPorts: ["http"] } }] }),
    ],
    packet: fromPod(frontend, 8080),
    want: "deny",
  },
  {
    reason: "Who stands behind a Service the policy does not tell.",
    source: `${reference}#servicematch`,
    policies: [
      policy({
        types: ["Egress"],
        egress: [{ ...allow, destination: { services: { name: "api", namespace: "production" } } }],
      }),
    ],
    packet: toWorld(),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "The words of an operator may stand together.",
    source: tokenizer,
    policies: [ingressFrom({ selector: "role notin {'backend'} && role startswith 'front'" })],
    want: "allow",
  },
  {
    reason: "The same at the end of a value.",
    source: tokenizer,
    policies: [ingressFrom({ selector: "role endswith 'base'" })],
    want: "deny",
  },
];

describe("Calico's policies, as its documentation describes them", () => {
  it.each([...rows, ...odd])(
    "$reason",
    ({ policies, packet = fromPod(), direction = "Ingress", want }) => {
      const [stages = []] = chainsAt(parseWorld(policies), database, direction);
      const { allow: allowed, deny: denied } = judgePacket(stages, packet);
      expect(allowed && denied ? "either" : allowed ? "allow" : "deny").toBe(want);
    },
  );
});
