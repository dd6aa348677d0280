// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { chainsAt, parseWorld } from "#responder/reachability/policy-world";
import { endAt, endOfPod, packetBy, podView, tcp } from "#responder/reachability/scene";
import { judgePacket } from "#responder/reachability/stage";
import type { Direction, Packet } from "#responder/reachability/traffic";

// What Cilium's documentation says about its own examples, rewritten as cases.
const language = "https://docs.cilium.io/en/stable/security/policy/language/";
const deny = "https://docs.cilium.io/en/stable/security/policy/deny/";
const intro = "https://docs.cilium.io/en/stable/security/policy/intro/";
const kubernetes = "https://docs.cilium.io/en/stable/security/policy/kubernetes/";

const backend = podView("default", { role: "backend" });
const frontend = podView("default", { role: "frontend" });
const elsewhere = podView("other", { role: "frontend" });
const world = endAt("198.51.100.9");
const node = endAt("192.0.2.7", { node: {} });

const policy = (spec: JsonObject, kind = "CiliumNetworkPolicy"): JsonObject => ({
  apiVersion: "cilium.io/v2",
  kind,
  metadata: { name: "rule", ...(kind === "CiliumNetworkPolicy" ? { namespace: "default" } : {}) },
  spec: { endpointSelector: { matchLabels: { role: "backend" } }, ...spec },
});
const fromPod = (pod = frontend, port = 80) => tcp(endOfPod(pod), endOfPod(backend), port);
const toWorld = (port = 80) => tcp(endOfPod(backend), world, port);
const frontends: Json = [{ fromEndpoints: [{ matchLabels: { role: "frontend" } }] }];
const onPort80: Json = [{ ports: [{ port: "80", protocol: "TCP" }] }];

type Row = {
  readonly reason: string;
  readonly source: string;
  readonly policies: readonly JsonObject[];
  readonly packet: Packet;
  readonly direction?: Direction;
  readonly want: "allow" | "deny" | "either";
};

const rows: readonly Row[] = [
  {
    reason: "An endpoint that no policy selects is open.",
    source: intro,
    policies: [policy({ endpointSelector: { matchLabels: { role: "db" } }, ingress: frontends })],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "The simple ingress allow: frontends reach backends.",
    source: `${language}#simple-ingress-allow`,
    policies: [policy({ ingress: frontends })],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "A selector of a namespaced policy means its own namespace.",
    source: `${kubernetes}#namespaces`,
    policies: [policy({ ingress: frontends })],
    packet: fromPod(elsewhere),
    want: "deny",
  },
  {
    reason: "The namespace may be named by its label.",
    source: `${kubernetes}#namespaces`,
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [
              { matchLabels: { "k8s:io.kubernetes.pod.namespace": "other", role: "frontend" } },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "A clusterwide policy has no namespace of its own.",
    source: `${kubernetes}#ciliumclusterwidenetworkpolicy`,
    policies: [policy({ ingress: frontends }, "CiliumClusterwideNetworkPolicy")],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "An empty selector allows all endpoints of the namespace.",
    source: `${language}#ingress-allow-all-endpoints`,
    policies: [policy({ ingress: [{ fromEndpoints: [{}] }] })],
    packet: fromPod(podView("default", {})),
    want: "allow",
  },
  {
    reason: "An empty rule allows nobody: the documented default deny.",
    source: `${language}#ingress-egress-default-deny`,
    policies: [policy({ ingress: [{}] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "Rules about egress leave ingress open.",
    source: intro,
    policies: [policy({ egress: [{}] })],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "The default deny of egress.",
    source: `${language}#ingress-egress-default-deny`,
    policies: [policy({ egress: [{}] })],
    packet: toWorld(),
    direction: "Egress",
    want: "deny",
  },
  {
    reason: "An empty list of rules does not apply.",
    source: intro,
    policies: [policy({ ingress: [] })],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "enableDefaultDeny false keeps the rest open.",
    source: intro,
    policies: [policy({ enableDefaultDeny: { ingress: false }, ingress: frontends })],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "A denial holds in spite of enableDefaultDeny false.",
    source: deny,
    policies: [
      policy({ enableDefaultDeny: { ingress: false }, ingressDeny: [{ fromEntities: ["all"] }] }),
    ],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "Deny beats an allow of another Cilium policy.",
    source: deny,
    policies: [
      policy({ ingress: frontends }),
      policy({ ingressDeny: frontends }, "CiliumClusterwideNetworkPolicy"),
    ],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "The table's second column: port 80 denied, 81 stays allowed (80).",
    source: deny,
    policies: [
      policy({ ingress: frontends, ingressDeny: [{ fromEndpoints: [{}], toPorts: onPort80 }] }),
    ],
    packet: fromPod(frontend, 80),
    want: "deny",
  },
  {
    reason: "The table's second column: port 80 denied, 81 stays allowed (81).",
    source: deny,
    policies: [
      policy({ ingress: frontends, ingressDeny: [{ fromEndpoints: [{}], toPorts: onPort80 }] }),
    ],
    packet: fromPod(frontend, 81),
    want: "allow",
  },
  {
    reason: "A selecting denial alone puts the pod in default deny.",
    source: deny,
    policies: [policy({ ingressDeny: [{ fromEntities: ["world"] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "Ports alone mean any peer.",
    source: `${language}#limit-ingress-egress-ports`,
    policies: [policy({ egress: [{ toPorts: onPort80 }] })],
    packet: toWorld(80),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "Ports alone limit to these ports.",
    source: `${language}#limit-ingress-egress-ports`,
    policies: [policy({ egress: [{ toPorts: onPort80 }] })],
    packet: toWorld(81),
    direction: "Egress",
    want: "deny",
  },
  {
    reason: "endPort makes a range.",
    source: `${language}#limit-ingress-egress-port-ranges`,
    policies: [
      policy({
        egress: [{ toPorts: [{ ports: [{ port: "80", endPort: 444, protocol: "TCP" }] }] }],
      }),
    ],
    packet: toWorld(443),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "The protocol ANY is TCP, UDP and SCTP.",
    source: `${language}#limit-ingress-egress-ports`,
    policies: [policy({ egress: [{ toPorts: [{ ports: [{ port: "53", protocol: "ANY" }] }] }] })],
    packet: packetBy("UDP", endOfPod(backend), world, 53),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "ICMP rules open no port.",
    source: `${language}#limit-icmp-icmpv6-types`,
    policies: [policy({ ingress: [{ icmps: [{ fields: [{ type: 8 }] }] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "CIDRs mean what is outside the cluster.",
    source: `${language}#cidr-based`,
    policies: [policy({ egress: [{ toCIDR: ["198.51.100.0/24"] }] })],
    packet: toWorld(),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "A CIDR does not match a pod, whatever its address.",
    source: `${language}#cidr-based`,
    policies: [policy({ ingress: [{ fromCIDR: ["0.0.0.0/0"] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "except takes a part out of a CIDR.",
    source: `${language}#cidr-based`,
    policies: [
      policy({ egress: [{ toCIDRSet: [{ cidr: "198.51.0.0/16", except: ["198.51.100.0/24"] }] }] }),
    ],
    packet: toWorld(),
    direction: "Egress",
    want: "deny",
  },
  {
    reason: "The entity world is outside the cluster.",
    source: `${language}#entities-based`,
    policies: [policy({ egress: [{ toEntities: ["world"] }] })],
    packet: toWorld(),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "The entity world holds no pod.",
    source: `${language}#entities-based`,
    policies: [policy({ ingress: [{ fromEntities: ["world"] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "The entity cluster holds every pod.",
    source: `${language}#entities-based`,
    policies: [policy({ ingress: [{ fromEntities: ["cluster"] }] })],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "The entity cluster does not hold the world.",
    source: `${language}#entities-based`,
    policies: [policy({ ingress: [{ fromEntities: ["cluster"] }] })],
    packet: tcp(world, endOfPod(backend)),
    want: "deny",
  },
  {
    reason: "Whether a node is the pod's own cannot be told.",
    source: `${language}#entities-based`,
    policies: [policy({ ingress: [{ fromEntities: ["host"] }] })],
    packet: tcp(node, endOfPod(backend)),
    want: "either",
  },
  {
    reason: "Where the API server runs cannot be told.",
    source: `${language}#entities-based`,
    policies: [policy({ egress: [{ toEntities: ["kube-apiserver"] }] })],
    packet: toWorld(443),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "The addresses of a name are known to the agent alone.",
    source: `${language}#dns-based`,
    policies: [policy({ egress: [{ toFQDNs: [{ matchName: "example.org" }] }] })],
    packet: toWorld(443),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "HTTP rules decide by what is said.",
    source: "https://docs.cilium.io/en/stable/security/policy/language/#http",
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [{}],
            toPorts: [
              { ports: [{ port: "80", protocol: "TCP" }], rules: { http: [{ path: "/public" }] } },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "Allows of a NetworkPolicy add to Cilium's.",
    source: kubernetes,
    policies: [
      policy({ ingress: [{}] }),
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "open", namespace: "default" },
        spec: { podSelector: {}, ingress: [{}] },
      },
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "Deny beats the allow of a NetworkPolicy.",
    source: deny,
    policies: [
      policy({ ingressDeny: [{ fromEntities: ["all"] }] }),
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "open", namespace: "default" },
        spec: { podSelector: {}, ingress: [{}] },
      },
    ],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "A policy with a nodeSelector is about hosts.",
    source: `${language}#host-policies`,
    policies: [
      policy(
        { endpointSelector: null, nodeSelector: {}, ingress: [{}] },
        "CiliumClusterwideNetworkPolicy",
      ),
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "any: and k8s: name the same labels.",
    source: `${language}#endpoints-based`,
    policies: [
      policy({ ingress: [{ fromEndpoints: [{ matchLabels: { "any:role": "frontend" } }] }] }),
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "Labels of a namespace have a prefix.",
    source: `${kubernetes}#namespaces`,
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [
              {
                matchLabels: {
                  "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": "other",
                },
              },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "A service account that is not known may be the one.",
    source: "https://docs.cilium.io/en/stable/security/policy/kubernetes/#serviceaccounts",
    policies: [
      policy({
        ingress: [
          { fromEndpoints: [{ matchLabels: { "io.cilium.k8s.policy.serviceaccount": "leia" } }] },
        ],
      }),
    ],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "A service account that is known.",
    source: "https://docs.cilium.io/en/stable/security/policy/kubernetes/#serviceaccounts",
    policies: [
      policy({
        ingress: [
          { fromEndpoints: [{ matchLabels: { "io.cilium.k8s.policy.serviceaccount": "leia" } }] },
        ],
      }),
    ],
    packet: fromPod({ ...frontend, serviceAccount: "luke" }),
    want: "deny",
  },
  {
    reason: "specs holds several rules.",
    source: kubernetes,
    policies: [
      {
        apiVersion: "cilium.io/v2",
        kind: "CiliumNetworkPolicy",
        metadata: { name: "many", namespace: "default" },
        specs: [
          { endpointSelector: {}, ingress: [{}] },
          { endpointSelector: {}, ingress: frontends },
        ],
      },
    ],
    packet: fromPod(),
    want: "allow",
  },
];

const entities = `${language}#entities-based`;
const mesh = "https://docs.cilium.io/en/stable/network/clustermesh/policy/";
const api = "https://github.com/cilium/cilium/tree/main/pkg/policy/api";
const fromWorld = (port = 80) => tcp(world, endOfPod(backend), port);
const fromNode = tcp(node, endOfPod(backend));
const everyone: JsonObject = { fromEntities: ["all"] };
const clusterwide = "CiliumClusterwideNetworkPolicy";

/** The odd ones: what is empty, reserved, of another cluster, or told to the agent alone. */
const odd: readonly Row[] = [
  {
    reason: "An empty list of endpoints is nobody.",
    source: `${language}#endpoints-based`,
    policies: [policy({ ingress: [{ fromEndpoints: [] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "An empty list of entities is nobody, whatever the ports.",
    source: entities,
    policies: [policy({ ingress: [{ fromEntities: [], toPorts: onPort80 }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "An empty selector in a clusterwide policy means every pod.",
    source: `${kubernetes}#namespaces`,
    policies: [policy({ ingress: [{ fromEndpoints: [{}] }] }, clusterwide)],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "And no address outside.",
    source: `${kubernetes}#namespaces`,
    policies: [policy({ ingress: [{ fromEndpoints: [{}] }] }, clusterwide)],
    packet: fromWorld(),
    want: "deny",
  },
  {
    reason: "A namespaced policy has no say over another namespace, whatever it selects.",
    source: `${kubernetes}#namespaces`,
    policies: [
      policy({
        endpointSelector: { matchLabels: { "k8s:io.kubernetes.pod.namespace": "other" } },
        ingress: [{}],
      }),
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "An expression over the namespace looks into others as well.",
    source: `${kubernetes}#namespaces`,
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [
              {
                matchLabels: { role: "frontend" },
                matchExpressions: [{ key: "io.kubernetes.pod.namespace", operator: "Exists" }],
              },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(elsewhere),
    want: "allow",
  },
  {
    reason: "NotIn also means those without the label.",
    source: `${language}#endpoints-based`,
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [
              { matchExpressions: [{ key: "tier", operator: "NotIn", values: ["gold"] }] },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "What a cluster of a mesh is called no policy tells: the peer may be of this one,",
    source: mesh,
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [
              { matchLabels: { role: "frontend", "io.cilium.k8s.policy.cluster": "east" } },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "but not one whose other labels differ.",
    source: mesh,
    policies: [
      policy({
        ingress: [
          {
            fromEndpoints: [
              { matchLabels: { role: "batch", "io.cilium.k8s.policy.cluster": "east" } },
            ],
          },
        ],
      }),
    ],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "The subject may be of this cluster, too.",
    source: mesh,
    policies: [
      policy({
        endpointSelector: {
          matchLabels: { role: "backend", "k8s:io.cilium.k8s.policy.cluster": "east" },
        },
        ingress: [{}],
      }),
    ],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "world-ipv4 holds an address of that family.",
    source: entities,
    policies: [policy({ ingress: [{ fromEntities: ["world-ipv4"] }] })],
    packet: fromWorld(),
    want: "allow",
  },
  {
    reason: "world-ipv6 does not.",
    source: entities,
    policies: [policy({ ingress: [{ fromEntities: ["world-ipv6"] }] })],
    packet: fromWorld(),
    want: "deny",
  },
  {
    reason: "The entity none never exists.",
    source: `${api}/entity.go`,
    policies: [policy({ ingress: [{ fromEntities: ["none"] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "The entity cluster holds nodes.",
    source: entities,
    policies: [policy({ ingress: [{ fromEntities: ["cluster"] }] })],
    packet: fromNode,
    want: "allow",
  },
  {
    reason: "remote-node is no pod.",
    source: entities,
    policies: [policy({ ingress: [{ fromEntities: ["remote-node"] }] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "A pod that has no labels yet is `init`, and so may be any.",
    source: entities,
    policies: [policy({ ingress: [{ fromEntities: ["init"] }] })],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "The label of the source reserved names no pod.",
    source: `${language}#node-based`,
    policies: [
      policy({ ingress: [{ fromEndpoints: [{ matchLabels: { "reserved:host": "" } }] }] }),
    ],
    packet: fromNode,
    want: "either",
  },
  {
    reason: "Which nodes fromNodes means their labels tell, which are the agent's.",
    source: `${language}#node-based`,
    policies: [policy({ ingress: [{ fromNodes: [{ matchLabels: { zone: "a" } }] }] })],
    packet: fromNode,
    want: "either",
  },
  {
    reason: "enableDefaultDeny false beside a denial: who is not denied is let through.",
    source: `${intro}#policy-enforcement-modes`,
    policies: [
      policy({
        enableDefaultDeny: { ingress: false },
        ingressDeny: [{ fromEndpoints: [{ matchLabels: { role: "batch" } }] }],
      }),
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "One policy that asks for it is enough, whatever another says.",
    source: `${intro}#policy-enforcement-modes`,
    policies: [
      policy({ enableDefaultDeny: { ingress: false }, ingress: frontends }),
      policy({ ingress: [{}] }),
    ],
    packet: fromPod(elsewhere),
    want: "deny",
  },
  {
    reason: "enableDefaultDeny true asks for it by itself.",
    source: `${intro}#policy-enforcement-modes`,
    policies: [policy({ enableDefaultDeny: { ingress: true }, egress: [{}] })],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "A denial of the cluster beats an allow of a namespace.",
    source: deny,
    policies: [
      policy({ ingress: [everyone] }),
      policy({ enableDefaultDeny: { ingress: false }, ingressDeny: [everyone] }, clusterwide),
    ],
    packet: fromPod(),
    want: "deny",
  },
  {
    reason: "A denial of the world leaves the pods.",
    source: deny,
    policies: [
      policy({ egress: [{ toEntities: ["all"] }], egressDeny: [{ toEntities: ["world"] }] }),
    ],
    packet: tcp(endOfPod(backend), endOfPod(frontend)),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "A denied network beats a name whose address lies in it.",
    source: deny,
    policies: [
      policy({
        egress: [{ toFQDNs: [{ matchPattern: "*" }] }],
        egressDeny: [{ toCIDR: ["198.51.100.0/24"] }],
      }),
    ],
    packet: toWorld(443),
    direction: "Egress",
    want: "deny",
  },
  {
    reason: "What a denied network excepts stays allowed.",
    source: deny,
    policies: [
      policy({
        egress: [{ toEntities: ["all"] }],
        egressDeny: [{ toCIDRSet: [{ cidr: "0.0.0.0/0", except: ["198.51.100.0/24"] }] }],
      }),
    ],
    packet: toWorld(),
    direction: "Egress",
    want: "allow",
  },
  {
    reason: "A denial of ICMP stops no TCP.",
    source: `${language}#icmp`,
    policies: [
      policy({
        ingress: [everyone],
        ingressDeny: [{ ...everyone, icmps: [{ fields: [{ type: 8, family: "IPv4" }] }] }],
      }),
    ],
    packet: fromPod(),
    want: "allow",
  },
  {
    reason: "A denial whose list of ports is empty may be none.",
    source: `${api}/l4.go`,
    policies: [
      policy({ ingress: [everyone], ingressDeny: [{ ...everyone, toPorts: [{ ports: [] }] }] }),
    ],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "Port 0 is every port of its protocol,",
    source: `${language}#layer-4-examples`,
    policies: [
      policy({
        ingress: [{ ...everyone, toPorts: [{ ports: [{ port: "0", protocol: "TCP" }] }] }],
      }),
    ],
    packet: fromPod(frontend, 8443),
    want: "allow",
  },
  {
    reason: "and of no other.",
    source: `${language}#layer-4-examples`,
    policies: [
      policy({
        ingress: [{ ...everyone, toPorts: [{ ports: [{ port: "0", protocol: "TCP" }] }] }],
      }),
    ],
    packet: packetBy("UDP", endOfPod(frontend), endOfPod(backend), 53),
    want: "deny",
  },
  {
    reason: "A port by its name is the container's.",
    source: `${language}#layer-4-examples`,
    policies: [policy({ ingress: [{ ...everyone, toPorts: [{ ports: [{ port: "http" }] }] }] })],
    packet: fromPod(frontend, 8080),
    want: "allow",
  },
  {
    reason: "And no other.",
    source: `${language}#layer-4-examples`,
    policies: [policy({ ingress: [{ ...everyone, toPorts: [{ ports: [{ port: "http" }] }] }] })],
    packet: fromPod(frontend, 80),
    want: "deny",
  },
  {
    reason: "Who stands behind a Service the policy does not tell.",
    source: `${language}#services-based`,
    policies: [
      policy({ egress: [{ toServices: [{ k8sService: { serviceName: "a", namespace: "b" } }] }] }),
    ],
    packet: toWorld(),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "Nor what a cloud's group holds.",
    source: `${api}/groups.go`,
    policies: [policy({ egress: [{ toGroups: [{ aws: { securityGroupsIds: ["sg-1"] } }] }] })],
    packet: toWorld(),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "Nor a group of networks.",
    source: `${language}#ip-cidr-based`,
    policies: [policy({ egress: [{ toCIDRSet: [{ cidrGroupRef: "partners" }] }] })],
    packet: toWorld(),
    direction: "Egress",
    want: "either",
  },
  {
    reason: "Who authenticates no packet shows.",
    source: "https://docs.cilium.io/en/stable/network/servicemesh/mutual-authentication/",
    policies: [policy({ ingress: [{ ...everyone, authentication: { mode: "required" } }] })],
    packet: fromPod(),
    want: "either",
  },
  {
    reason: "Nor which name a TLS client asks for.",
    source: `${language}#tls-sni`,
    policies: [
      policy({
        egress: [
          {
            toEntities: ["world"],
            toPorts: [{ ports: [{ port: "443", protocol: "TCP" }], serverNames: ["example.org"] }],
          },
        ],
      }),
    ],
    packet: toWorld(443),
    direction: "Egress",
    want: "either",
  },
];

describe("Cilium's policies, as its documentation describes them", () => {
  it.each([...rows, ...odd])("$reason", ({ policies, packet, direction = "Ingress", want }) => {
    const [stages = []] = chainsAt(parseWorld(policies), backend, direction);
    const { allow, deny: denied } = judgePacket(stages, packet);
    expect(allow && denied ? "either" : allow ? "allow" : "deny").toBe(want);
  });
});
