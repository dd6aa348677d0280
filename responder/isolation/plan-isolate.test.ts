// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { at, textAt } from "#policy/json";
import { actionProblem, actionSchema, type ActionSpec } from "#responder/action-spec";
import { isolationLabel } from "#responder/actions/isolate";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, types, uidOf } from "#responder/cluster";
import { makeReadNetwork } from "#responder/isolation/network-view";
import type { IsolatePorts } from "#responder/isolation/plan-isolate";
import { type PlannedResponse, planResponse } from "#responder/plan-response";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";

const kinds = policyKinds.map(typeOfKind);
const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

const open: JsonObject = {
  metadata: { name: "open", namespace: "shop" },
  spec: { podSelector: {}, policyTypes: ["Egress"], egress: [{}] },
};

type Options = {
  readonly policies?: readonly JsonObject[];
  /** Kinds of policy beside NetworkPolicy that are served. */
  readonly served?: readonly string[];
  readonly dryRun?: IsolatePorts["dryRun"];
  readonly pod?: JsonObject;
};

async function plan(actions: readonly JsonObject[], options: Options = {}) {
  const served = kinds.filter((one) => options.served?.includes(one.kind) === true);
  const cluster: Cluster = makeMemoryCluster(() => 0, served).client();
  const pod = good(
    await cluster.create(types.pod, {
      metadata: { name: "web", namespace: "shop", labels: { app: "web" } },
      spec: { containers: [] },
      ...options.pod,
    }),
  );
  good(
    await cluster.create(types.service, {
      metadata: { name: "web", namespace: "shop" },
      spec: { selector: { app: "web" } },
    }),
  );
  for (const policy of options.policies ?? []) {
    good(await cluster.create(types.networkPolicy, policy));
  }
  const specs: readonly ActionSpec[] = actions.map((one) => actionSchema.parse(one));
  const { uid, ...target } = {
    ...{ apiVersion: "v1", kind: "Pod", namespace: "shop", name: "web" },
    uid: uidOf(pod),
  };
  const planned: PlannedResponse = good(
    await planResponse(
      {
        target: { ...target, uid },
        pod,
        remediation: "web-0123456789",
        read: cluster.get,
        listIn: async (type, namespace) => {
          const listed = await cluster.list(type, { namespace });
          return listed.ok ? { ok: true, value: listed.value.items } : listed;
        },
        network: makeReadNetwork(cluster, () => 0),
        dryRun: options.dryRun,
      },
      { do: [...specs], limits: { perWorkload: 1, perNamespace: 5, cooldown: 1 } },
    ),
  );
  return planned;
}

const kindsOf = (planned: PlannedResponse): readonly string[] =>
  (planned.plan?.actions ?? []).flatMap(({ changes }) =>
    changes.flatMap((change) => (change.kind === "apply" ? [change.type.kind] : [])),
  );
const notesOf = (planned: PlannedResponse): string => planned.plan?.notes.join("\n") ?? "";

describe("a kind that can deny", () => {
  const served = ["ClusterNetworkPolicy", "AdminNetworkPolicy"];
  const policies = [open];

  it("is written before the NetworkPolicy, which comes before the label", async () => {
    const planned = await plan([{ isolate: {} }], { policies, served });
    expect(kindsOf(planned)).toEqual(["ClusterNetworkPolicy", "NetworkPolicy"]);
    const changes = planned.plan?.actions[0]?.changes ?? [];
    expect(changes.map(({ kind }) => kind)).toEqual(["apply", "apply", "edit"]);
    for (const change of changes) {
      if (change.kind !== "apply") continue;
      const labels = ["metadata", "labels", "parapet.dev/remediation"];
      expect(textAt(change.manifest, labels)).toBe("web-0123456789");
    }
    expect(planned.plan?.residualAllows).toEqual([]);
    expect(notesOf(planned)).toContain(
      "looked at 1 policies of NetworkPolicy, ClusterNetworkPolicy",
    );
  });

  it.each([
    {
      reason: "A server that refuses it, as of an experimental field.",
      answer: (): Reply<JsonObject> => failure("Invalid", "unknown field spec.x"),
      says: "ClusterNetworkPolicy not used: the server does not take it: unknown field spec.x",
    },
    {
      reason: "A server that would store something else.",
      answer: (manifest: JsonObject): Reply<JsonObject> => ({
        ok: true,
        value: { ...manifest, spec: { mutated: true } },
      }),
      says: "ClusterNetworkPolicy not used: the server would store another ClusterNetworkPolicy",
    },
  ])("gives way to the next one: $reason", async ({ answer, says }) => {
    const planned = await plan([{ isolate: {} }], {
      policies,
      served,
      dryRun: (type, manifest) =>
        Promise.resolve(
          type.kind === "ClusterNetworkPolicy" ? answer(manifest) : { ok: true, value: manifest },
        ),
    });
    expect(kindsOf(planned)).toEqual(["AdminNetworkPolicy", "NetworkPolicy"]);
    expect(notesOf(planned)).toContain(says);
  });

  it("leaves a NetworkPolicy and what stays open where none is taken", async () => {
    const planned = await plan([{ isolate: {} }], {
      policies,
      served,
      dryRun: () => Promise.resolve(failure("Forbidden", "no")),
    });
    expect(kindsOf(planned)).toEqual(["NetworkPolicy"]);
    expect(planned.plan?.residualAllows).toEqual([
      {
        kind: "NetworkPolicy",
        namespace: "shop",
        name: "open",
        direction: "Egress",
        detail: "to anywhere, all ports",
        certainty: "allows",
        reason: "",
      },
    ]);
  });

  it("is not tried where it is not needed", async () => {
    let asked = 0;
    const dryRun = (): Promise<Reply<JsonObject>> => {
      asked += 1;
      return Promise.resolve(failure("Invalid", "no"));
    };
    expect(kindsOf(await plan([{ isolate: {} }], { served, dryRun }))).toEqual(["NetworkPolicy"]);
    expect(asked).toBe(0);
  });
});

describe("what stays open", () => {
  it.each([
    { given: {}, asks: false, reason: "Act and say so unless the policy says otherwise." },
    { given: { onResidualAllows: "Act" }, asks: false, reason: "The same, said." },
    { given: { onResidualAllows: "Propose" }, asks: true, reason: "A person is asked." },
  ])("$reason", async ({ given, asks }) => {
    const planned = await plan([{ isolate: given }], { policies: [open] });
    expect(planned.askFirst !== "").toBe(asks);
    const closed = await plan([{ isolate: given }]);
    expect(closed.askFirst).toBe("");
  });
});

describe("detaching", () => {
  const labelsChanged = (planned: PlannedResponse) =>
    (planned.plan?.actions ?? []).flatMap(({ action, changes }) =>
      changes.flatMap((change) =>
        change.kind === "edit"
          ? change.edits
              .filter(({ path }) => path[1] === "labels")
              .map(
                ({ path, to }) =>
                  `${action} ${to === undefined ? "-" : "+"}${JSON.stringify(path[2])}`,
              )
          : [],
      ),
    );
  const label = isolationLabel("web-0123456789");

  it("is part of the isolation's one edit of the pod, and ends with it", async () => {
    const planned = await plan([{ isolate: { detach: true } }]);
    expect(labelsChanged(planned)).toEqual(['isolate -"app"', `isolate +"${label}"`]);
    const edit = planned.plan?.actions[0]?.changes.find((change) => change.kind === "edit");
    expect(edit).toMatchObject({ undo: "delete" });
    expect(notesOf(planned)).toContain("leaves Service(s) web");
  });

  it("comes after the network is cut, wherever it stands, so that it is taken back before", async () => {
    const planned = await plan([{ "quarantine-label": { detach: true } }, { isolate: {} }]);
    expect(planned.plan?.actions.map(({ action }) => action)).toEqual([
      "isolate",
      "quarantine-label",
    ]);
  });

  it("is what the open allows are told after: none of a policy that selects by a label that goes", async () => {
    const spec = { podSelector: { matchLabels: { app: "web" } }, ingress: [{}] };
    const policies = [{ metadata: { name: "web", namespace: "shop" }, spec }];
    const kept = await plan([{ isolate: {} }], { policies });
    expect(kept.plan?.residualAllows).toHaveLength(1);
    for (const actions of [
      [{ isolate: { detach: true } }],
      [{ isolate: {} }, { "quarantine-label": { detach: true } }],
    ]) {
      expect((await plan(actions, { policies })).plan?.residualAllows).toEqual([]);
    }
  });

  it("is asked for once", () => {
    const actions = [{ isolate: { detach: true } }, { "quarantine-label": { detach: true } }];
    const parsed = actions.map((one) => actionSchema.parse(one));
    expect(actionProblem(parsed, true)).toContain("detach is there twice");
  });
});

describe("an allow-list", () => {
  it("holds networks, namespaces and pods by labels", async () => {
    const allow = [
      { cidr: "203.0.113.5/32" },
      { namespace: "kube-system", pods: { "k8s-app": "kube-dns" } },
      { namespace: "forensics" },
    ];
    const planned = await plan([{ isolate: { allow } }]);
    const [change] = planned.plan?.actions[0]?.changes ?? [];
    const manifest = change?.kind === "apply" ? change.manifest : {};
    const inNamespace = (name: string) => ({
      matchLabels: { "kubernetes.io/metadata.name": name },
    });
    expect(at(manifest, ["spec", "egress", 0, "to"])).toEqual([
      { ipBlock: { cidr: "203.0.113.5/32" } },
      {
        namespaceSelector: inNamespace("kube-system"),
        podSelector: { matchLabels: { "k8s-app": "kube-dns" } },
      },
      { namespaceSelector: inNamespace("forensics"), podSelector: {} },
    ]);
  });

  it("that another isolation of the pod has as well is no allow that stays open", async () => {
    const allow = [{ cidr: "203.0.113.5/32" }];
    const peers = [{ ipBlock: { cidr: "203.0.113.5/32" } }];
    const other = (cidrs: JsonObject[]): JsonObject => ({
      metadata: {
        name: "parapet-other",
        namespace: "shop",
        labels: { "parapet.dev/remediation": "other" },
      },
      spec: {
        policyTypes: ["Ingress", "Egress"],
        podSelector: { matchLabels: { app: "web" } },
        egress: [{ to: cidrs }],
        ingress: [{ from: cidrs }],
      },
    });
    const same = await plan([{ isolate: { allow } }], { policies: [other(peers)] });
    expect(same.plan?.residualAllows).toEqual([]);
    const wider = [{ ipBlock: { cidr: "203.0.113.0/24" } }];
    const more = await plan([{ isolate: { allow } }], { policies: [other(wider)] });
    expect(more.plan?.residualAllows.map((one) => one.direction)).toEqual(["Egress", "Ingress"]);
  });

  it("may be narrowed to ports and one direction", async () => {
    const dns = { namespace: "kube-system", pods: { "k8s-app": "kube-dns" }, direction: "Egress" };
    const ports = [{ port: 53, protocol: "UDP" }, { port: 53 }];
    const allow = [
      { ...dns, ports },
      { cidr: "203.0.113.5/32", direction: "Ingress" },
    ];
    const planned = await plan([{ isolate: { allow } }]);
    const [change] = planned.plan?.actions[0]?.changes ?? [];
    const manifest = change?.kind === "apply" ? change.manifest : {};
    expect(at(manifest, ["spec", "ingress"])).toEqual([
      { from: [{ ipBlock: { cidr: "203.0.113.5/32" } }] },
    ]);
    expect(at(manifest, ["spec", "egress", 0, "ports"])).toEqual([
      { port: 53, protocol: "UDP" },
      { port: 53, protocol: "TCP" },
    ]);
    expect(at(manifest, ["spec", "egress", 1])).toBeUndefined();
  });

  it.each([
    { reason: "neither of the two", peer: {} },
    { reason: "of no port", peer: { namespace: "a", ports: [{ port: 0 }] } },
    { reason: "of no direction", peer: { namespace: "a", direction: "Out" } },
    { reason: "both", peer: { cidr: "10.0.0.0/8", namespace: "a" } },
    { reason: "pods of nowhere", peer: { pods: { a: "b" } } },
    { reason: "no network", peer: { cidr: "10.0.0.0" } },
    { reason: "no name of a namespace", peer: { namespace: "a.b" } },
    { reason: "no label", peer: { namespace: "a", pods: { "a b": "c" } } },
    { reason: "something unknown", peer: { namespace: "a", names: ["x"] } },
  ])("takes nothing that is $reason", ({ peer }) => {
    expect(actionSchema.safeParse({ isolate: { allow: [peer] } }).success).toBe(false);
  });
});

it("refuses a pod on its node's network by name, and says what helps", async () => {
  const spec = { containers: [], hostNetwork: true };
  const planned = await plan([{ isolate: {} }], { pod: { spec } });
  expect(planned.plan).toBeUndefined();
  expect(planned.reason).toMatch(/^isolate: Pod shop\/web uses its node's network .*evict, delete/);
});
