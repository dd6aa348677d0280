// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { meshStages } from "#responder/reachability/istio";
import { endAt, endOfPod, packetBy, podView, tcp } from "#responder/reachability/scene";
import { judgePacket } from "#responder/reachability/stage";
import type { Packet } from "#responder/reachability/traffic";

// What Istio's documentation says, as cases.
const reference = "https://istio.io/latest/docs/reference/config/security/authorization-policy/";
const concepts = "https://istio.io/latest/docs/concepts/security/";

const httpbin = podView("foo", { app: "httpbin" });
const sleep = podView("foo", { app: "sleep" });
const other = podView("bar", { app: "sleep" });

const policy = (
  action: string | undefined,
  rules: Json | undefined,
  more: JsonObject = {},
  namespace = "foo",
): JsonObject => ({
  apiVersion: "security.istio.io/v1",
  kind: "AuthorizationPolicy",
  metadata: { name: "policy", namespace },
  spec: {
    ...(action === undefined ? {} : { action }),
    ...(rules === undefined ? {} : { rules }),
    ...more,
  },
});
const fromPod = (pod = sleep, port = 8000) => tcp(endOfPod(pod), endOfPod(httpbin), port);
const everyone: Json = [{}];
const blocks = (...ipBlocks: string[]): Json => [{ from: [{ source: { ipBlocks } }] }];

type Row = {
  readonly reason: string;
  readonly source: string;
  readonly policies: readonly JsonObject[];
  readonly packet?: Packet;
  readonly want: "allow" | "deny" | "either";
};

const rows: readonly Row[] = [
  {
    reason: "No ALLOW policy for the workload: allowed.",
    source: reference,
    policies: [],
    want: "allow",
  },
  {
    reason: "allow-nothing: no rules never match, so all is denied.",
    source: `${concepts}#allow-nothing-deny-all-and-allow-all-policy`,
    policies: [policy(undefined, undefined)],
    want: "deny",
  },
  {
    reason: "allow-all: an empty rule matches everything.",
    source: `${concepts}#allow-nothing-deny-all-and-allow-all-policy`,
    policies: [policy(undefined, everyone)],
    want: "allow",
  },
  {
    reason: "deny-all.",
    source: `${concepts}#allow-nothing-deny-all-and-allow-all-policy`,
    policies: [policy("DENY", everyone)],
    want: "deny",
  },
  {
    reason: "DENY without rules never matches.",
    source: reference,
    policies: [policy("DENY", undefined)],
    want: "allow",
  },
  {
    reason: "DENY comes before ALLOW.",
    source: reference,
    policies: [policy("ALLOW", everyone), policy("DENY", everyone)],
    want: "deny",
  },
  {
    reason: "AUDIT decides nothing.",
    source: reference,
    policies: [policy("AUDIT", everyone)],
    want: "allow",
  },
  {
    reason: "CUSTOM may deny.",
    source: reference,
    policies: [policy("CUSTOM", everyone)],
    want: "either",
  },
  {
    reason: "DENY holds even when CUSTOM lets pass.",
    source: reference,
    policies: [policy("CUSTOM", everyone), policy("DENY", everyone)],
    want: "deny",
  },
  {
    reason: "A selector that does not select.",
    source: reference,
    policies: [policy("DENY", everyone, { selector: { matchLabels: { app: "reviews" } } })],
    want: "allow",
  },
  {
    reason: "A policy of another namespace.",
    source: `${concepts}#policy-target`,
    policies: [policy("DENY", everyone, {}, "bar")],
    want: "allow",
  },
  {
    reason: "The root namespace is about all.",
    source: `${concepts}#policy-target`,
    policies: [policy("DENY", everyone, {}, "istio-system")],
    want: "deny",
  },
  {
    reason: "A policy for a waypoint may be in front of it.",
    source: reference,
    policies: [policy("DENY", everyone, { targetRefs: [{ kind: "Service", name: "httpbin" }] })],
    want: "either",
  },
  {
    reason: "An address in the block.",
    source: `${reference}#Source`,
    policies: [policy("ALLOW", blocks("10.1.0.0/16"))],
    want: "allow",
  },
  {
    reason: "A single address.",
    source: `${reference}#Source`,
    policies: [policy("ALLOW", blocks("192.0.2.7"))],
    packet: tcp(endAt("192.0.2.7"), endOfPod(httpbin)),
    want: "allow",
  },
  {
    reason: "An address in no block: ALLOW leaves the rest denied.",
    source: `${reference}#Source`,
    policies: [policy("ALLOW", blocks("192.0.2.0/24"))],
    want: "deny",
  },
  {
    reason: "A namespace needs mutual TLS: it may match.",
    source: `${reference}#Source`,
    policies: [policy("DENY", [{ from: [{ source: { namespaces: ["foo"] } }] }])],
    want: "either",
  },
  {
    reason: "A pod of another namespace never has it.",
    source: `${reference}#Source`,
    policies: [policy("DENY", [{ from: [{ source: { namespaces: ["foo"] } }] }])],
    packet: fromPod(other),
    want: "allow",
  },
  {
    reason: "A prefix match of a namespace.",
    source: reference,
    policies: [policy("ALLOW", [{ from: [{ source: { namespaces: ["ba*"] } }] }])],
    packet: fromPod(sleep),
    want: "deny",
  },
  {
    reason: "Principals may match.",
    source: `${reference}#Source`,
    policies: [
      policy("ALLOW", [{ from: [{ source: { principals: ["cluster.local/ns/foo/sa/sleep"] } }] }]),
    ],
    want: "either",
  },
  {
    reason: "A port that is not the packet's.",
    source: `${reference}#Operation`,
    policies: [policy("DENY", [{ to: [{ operation: { ports: ["80"] } }] }])],
    want: "allow",
  },
  {
    reason: "The packet's port.",
    source: `${reference}#Operation`,
    policies: [policy("DENY", [{ to: [{ operation: { ports: ["8000"] } }] }])],
    want: "deny",
  },
  {
    reason: "Methods and paths may match.",
    source: `${reference}#Operation`,
    policies: [policy("DENY", [{ to: [{ operation: { methods: ["GET"] } }] }])],
    want: "either",
  },
  {
    reason: "Conditions may hold.",
    source: `${reference}#Condition`,
    policies: [policy("DENY", [{ when: [{ key: "request.headers[x]", values: ["y"] }] }])],
    want: "either",
  },
  {
    reason: "UDP does not pass through the proxy.",
    source: concepts,
    policies: [policy("DENY", [{ to: [{ operation: { ports: ["53"] } }] }])],
    packet: packetBy("UDP", endOfPod(sleep), endOfPod(httpbin), 53),
    want: "allow",
  },
  {
    reason: "Nor does allow-nothing stop it.",
    source: concepts,
    policies: [policy(undefined, undefined)],
    packet: packetBy("UDP", endOfPod(sleep), endOfPod(httpbin), 53),
    want: "allow",
  },
];

const ambient = "https://istio.io/latest/docs/ambient/usage/l4-policy/";
const dryRuns = "https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/";
const onlyTried = (made: JsonObject): JsonObject => ({
  ...made,
  metadata: { name: "tried", namespace: "foo", annotations: { "istio.io/dry-run": "true" } },
});
const from = (...sources: JsonObject[]): Json => [{ from: sources.map((source) => ({ source })) }];
const to = (...operations: JsonObject[]): Json => [
  { to: operations.map((operation) => ({ operation })) },
];

/** The odd ones: what is empty, only tried, inverted, or attached to something else than the workload. */
const odd: readonly Row[] = [
  {
    reason: "A denial that is only tried denies nothing.",
    source: dryRuns,
    policies: [onlyTried(policy("DENY", everyone))],
    want: "allow",
  },
  {
    reason: "Nor does an allow that is only tried shut out what it leaves.",
    source: dryRuns,
    policies: [onlyTried(policy("ALLOW", undefined))],
    want: "allow",
  },
  {
    reason: "An empty list of rules is like none: ALLOW denies all.",
    source: `${concepts}#allow-nothing-deny-all-and-allow-all-policy`,
    policies: [policy("ALLOW", [])],
    want: "deny",
  },
  {
    reason: "And DENY nothing.",
    source: reference,
    policies: [policy("DENY", [])],
    want: "allow",
  },
  {
    reason: "A spec that is empty is allow-nothing.",
    source: `${concepts}#allow-nothing-deny-all-and-allow-all-policy`,
    policies: [{ ...policy(undefined, undefined), spec: {} }],
    want: "deny",
  },
  {
    reason: "No spec at all is the same.",
    source: `${concepts}#allow-nothing-deny-all-and-allow-all-policy`,
    policies: [
      {
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: "none", namespace: "foo" },
      },
    ],
    want: "deny",
  },
  {
    reason: "AUDIT beside allow-nothing changes nothing.",
    source: reference,
    policies: [policy("AUDIT", everyone), policy("ALLOW", undefined)],
    want: "deny",
  },
  {
    reason: "An authorizer that lets pass does not allow.",
    source: reference,
    policies: [policy("CUSTOM", everyone), policy("ALLOW", undefined)],
    want: "deny",
  },
  {
    reason: "An authorizer is not asked about what its rules do not match.",
    source: reference,
    policies: [policy("CUSTOM", to({ ports: ["80"] }))],
    want: "allow",
  },
  {
    reason: "Allows add up.",
    source: reference,
    policies: [policy("ALLOW", blocks("192.0.2.0/24")), policy("ALLOW", blocks("10.1.0.0/16"))],
    want: "allow",
  },
  {
    reason: "An allow of the root namespace shuts out what none allows.",
    source: `${concepts}#policy-target`,
    policies: [policy("ALLOW", blocks("192.0.2.0/24"), {}, "istio-system")],
    want: "deny",
  },
  {
    reason: "One of the root and one of the namespace add up.",
    source: `${concepts}#policy-target`,
    policies: [
      policy("ALLOW", blocks("192.0.2.0/24"), {}, "istio-system"),
      policy("ALLOW", everyone),
    ],
    want: "allow",
  },
  {
    reason: "A selector in the root namespace selects in all.",
    source: `${concepts}#policy-target`,
    policies: [
      policy("DENY", everyone, { selector: { matchLabels: { app: "httpbin" } } }, "istio-system"),
    ],
    want: "deny",
  },
  {
    reason: "All of a selector's labels must be there.",
    source: `${concepts}#policy-target`,
    policies: [
      policy("DENY", everyone, { selector: { matchLabels: { app: "httpbin", version: "v1" } } }),
    ],
    want: "allow",
  },
  {
    reason: "An empty selector selects all of the namespace.",
    source: `${concepts}#policy-target`,
    policies: [policy("DENY", everyone, { selector: {} })],
    want: "deny",
  },
  {
    reason: "The older singular targetRef is about a gateway as well.",
    source: reference,
    policies: [policy("DENY", everyone, { targetRef: { kind: "Gateway", name: "waypoint" } })],
    want: "either",
  },
  {
    reason: "An allow at a waypoint shuts nobody out of the pod itself for sure.",
    source: ambient,
    policies: [
      policy("ALLOW", blocks("192.0.2.0/24"), { targetRefs: [{ kind: "Service", name: "a" }] }),
    ],
    want: "either",
  },
  {
    reason: "Sources of one rule: any of them.",
    source: `${reference}#Rule`,
    policies: [policy("ALLOW", from({ ipBlocks: ["192.0.2.0/24"] }, { ipBlocks: ["10.1.2.3"] }))],
    want: "allow",
  },
  {
    reason: "Operations of one rule: any of them.",
    source: `${reference}#Rule`,
    policies: [policy("DENY", to({ ports: ["80"] }, { ports: ["8000", "9000"] }))],
    want: "deny",
  },
  {
    reason: "All parts of a rule together: the right source on another port.",
    source: `${reference}#Rule`,
    policies: [
      policy("ALLOW", [
        {
          from: [{ source: { ipBlocks: ["10.1.0.0/16"] } }],
          to: [{ operation: { ports: ["80"] } }],
        },
      ]),
    ],
    want: "deny",
  },
  {
    reason: "notIpBlocks takes something out that is not told from here.",
    source: `${reference}#Source`,
    policies: [policy("DENY", from({ notIpBlocks: ["192.0.2.0/24"] }))],
    want: "either",
  },
  {
    reason: "Inside ipBlocks, notIpBlocks may take it out; outside nothing brings it in.",
    source: `${reference}#Source`,
    policies: [policy("ALLOW", from({ ipBlocks: ["192.0.2.0/24"], notIpBlocks: ["192.0.2.9"] }))],
    want: "deny",
  },
  {
    reason: "notPorts may leave the port in.",
    source: `${reference}#Operation`,
    policies: [policy("DENY", to({ notPorts: ["80"] }))],
    want: "either",
  },
  {
    reason: "A method on another port is no match, whatever the method.",
    source: `${reference}#Operation`,
    policies: [policy("ALLOW", to({ ports: ["80"], methods: ["GET"] }))],
    want: "deny",
  },
  {
    reason: "remoteIpBlocks are of a header, not of the packet.",
    source: `${reference}#Source`,
    policies: [policy("DENY", from({ remoteIpBlocks: ["192.0.2.0/24"] }))],
    want: "either",
  },
  {
    reason: "Who signed in no packet shows.",
    source: `${reference}#Source`,
    policies: [policy("DENY", from({ requestPrincipals: ["*"] }))],
    want: "either",
  },
  {
    reason: "Service accounts are identities, too.",
    source: `${reference}#Source`,
    policies: [policy("DENY", from({ serviceAccounts: ["foo/sleep"] }))],
    want: "either",
  },
  {
    reason: "Any namespace is one that is known: plaintext has none.",
    source: `${reference}#Source`,
    policies: [policy("DENY", from({ namespaces: ["*"] }))],
    want: "either",
  },
  {
    reason: "A suffix match of a namespace that does not end so.",
    source: reference,
    policies: [policy("ALLOW", from({ namespaces: ["*-prod"] }))],
    want: "deny",
  },
  {
    reason: "An address of the other family is in no block.",
    source: `${reference}#Source`,
    policies: [policy("ALLOW", blocks("2001:db8::/32"))],
    want: "deny",
  },
  {
    reason: "SCTP does not pass through the proxy either.",
    source: concepts,
    policies: [policy("DENY", everyone)],
    packet: packetBy("SCTP", endOfPod(sleep), endOfPod(httpbin), 132),
    want: "allow",
  },
];

describe("a mesh with another root namespace", () => {
  it.each([
    {
      reason: "Its policies are about all.",
      policies: [policy("DENY", everyone, {}, "mesh-root")],
      want: "deny",
    },
    {
      reason: "Those of the usual one are about its own pods.",
      policies: [policy("DENY", everyone, {}, "istio-system")],
      want: "allow",
    },
  ])("$reason", ({ policies, want }) => {
    const { allow } = judgePacket(meshStages(policies, httpbin, "mesh-root"), fromPod());
    expect(allow ? "allow" : "deny").toBe(want);
  });
});

describe("Istio's AuthorizationPolicies, as its documentation describes them", () => {
  it.each([...rows, ...odd])("$reason", ({ policies, packet = fromPod(), want }) => {
    const { allow, deny } = judgePacket(meshStages(policies, httpbin), packet);
    expect(allow && deny ? "either" : allow ? "allow" : "deny").toBe(want);
  });
});
