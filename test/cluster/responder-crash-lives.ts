// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import type { Reply } from "#responder/cluster";
import { nameOf, types } from "#responder/cluster";
import { actionNames } from "#responder/action-spec";
import { approvalJson } from "#responder/record/approval-record";
import { rolesFor } from "#responder/rbac";
import type { Remediation } from "#responder/remediation";
import { makePod, namespaceObject, type ResponderScene } from "#test/cluster/responder-scene";
import { eventually } from "#test/support/processes";

/** What the responder may do to one target of a life, once each, by the words of the API server's audit log. */
export type Writes = Readonly<Record<string, number>>;

/** One kind of response from its cause to its end, for one target whose name is a token of its own. */
export type Life = {
  readonly name: string;
  /** What the policy does; undefined for drift, which has one of its own. */
  readonly policy: JsonObject;
  readonly prepare: (scene: ResponderScene, token: string) => Promise<void>;
  /** The pod that alerts name; undefined: the life is about drift, and `cause` brings it about. */
  readonly pod: ((token: string) => string) | undefined;
  /** Where the alert comes from; `node-1` unless told. */
  readonly node?: (token: string) => string;
  readonly cause?: (scene: ResponderScene, token: string) => Promise<void>;
  /** Decisions that people make when the remediation has come that far. */
  readonly decide: (remediation: Remediation) => readonly Verdict[];
  readonly isDone: (remediation: Remediation) => boolean;
  readonly writes: Writes;
  /** Writes of a key in etcd in all, the test's own included: by the key's place below `/registry/`. */
  readonly committed: (token: string) => Readonly<Record<string, number>>;
};

type Verdict = { readonly by: string; readonly decision: "Approve" | "Deny" };

export const namespaceOf = (life: Life): string => `kill-${life.name}`;

const good = <T>(reply: Reply<T>): T => {
  if (reply.ok) return reply.value;
  throw new Error(`${reply.code}: ${reply.message}`);
};

const inForce = (one: Remediation): boolean =>
  ["Realised", "Verified", "Unverifiable"].includes(one.status.state);
const isState =
  (...states: readonly string[]) =>
  (one: Remediation): boolean =>
    states.includes(one.status.state);
const nobody = (): readonly Verdict[] => [];

/** Approved when proposed, denied when in force, which takes it back. */
const approveThenDeny =
  (approvers: readonly string[]) =>
  (one: Remediation): readonly Verdict[] => {
    if (one.status.state === "Proposed")
      return approvers.map((by) => ({ by, decision: "Approve" }));
    return inForce(one) ? [{ by: "jane@example.org", decision: "Deny" }] : [];
  };
const denyInForce = (one: Remediation): readonly Verdict[] =>
  inForce(one) ? [{ by: "jane@example.org", decision: "Deny" }] : [];

const limits = { perWorkload: 1_000, perNamespace: 1_000 };
const automatic = (actions: readonly JsonObject[]): JsonObject => ({
  do: actions,
  mode: "Automatic",
  limits,
});
const proposed = (actions: readonly JsonObject[]): JsonObject => ({
  do: actions,
  mode: "Propose",
  limits,
});

const itself = (token: string): string => token;
const podOf =
  (name: string) =>
  async (scene: ResponderScene, token: string): Promise<void> => {
    await makePod(scene.people, `kill-${name}`, token);
  };
/** A pod is created and gets a status by the test. */
const podPuts = (name: string, more: number) => (token: string) => ({
  [`pods/kill-${name}/${token}`]: 2 + more,
});

const statefulSet = {
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  resource: "statefulsets",
  namespaced: true,
};

async function makeStatefulSet(scene: ResponderScene, name: string): Promise<void> {
  const labels = { app: name };
  const namespace = "kill-scale";
  const spec = { containers: [{ name: "web", image: "nginx" }] };
  good(
    await scene.people.create(statefulSet, {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name, namespace },
      spec: {
        replicas: 1,
        serviceName: name,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec },
      },
    }),
  );
  await eventually(`the pod of ${name}`, async () => {
    return (await scene.people.get(types.pod, { namespace, name: `${name}-0` })).ok;
  });
}

const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };
const composedPath = (token: string): string => `/api/v1/namespaces/kill-drift/configmaps/${token}`;

export const lives: readonly Life[] = [
  {
    name: "isolate",
    policy: automatic([{ isolate: { ttl: "1h" } }]),
    prepare: podOf("isolate"),
    pod: itself,
    decide: nobody,
    isDone: inForce,
    writes: { "create networkpolicies": 1, "patch pods": 1 },
    committed: podPuts("isolate", 1),
  },
  {
    name: "approve",
    policy: proposed([{ isolate: { ttl: "1h" } }]),
    prepare: podOf("approve"),
    pod: itself,
    decide: approveThenDeny(["jane@example.org"]),
    isDone: isState("Undone"),
    writes: { "create networkpolicies": 1, "patch pods": 2, "delete networkpolicies": 1 },
    committed: podPuts("approve", 2),
  },
  {
    name: "expire",
    policy: automatic([{ isolate: { ttl: "1s" } }]),
    prepare: podOf("expire"),
    pod: itself,
    decide: nobody,
    isDone: isState("Undone"),
    writes: { "create networkpolicies": 1, "patch pods": 2, "delete networkpolicies": 1 },
    committed: podPuts("expire", 2),
  },
  {
    name: "evict",
    policy: automatic([{ evict: { gracePeriod: "0s" } }]),
    prepare: podOf("evict"),
    pod: itself,
    decide: nobody,
    isDone: isState("TargetGone"),
    writes: { "create pods/eviction": 1 },
    committed: () => ({}),
  },
  {
    name: "delete",
    policy: automatic([{ delete: { gracePeriod: "0s" } }]),
    prepare: podOf("delete"),
    pod: itself,
    decide: nobody,
    isDone: isState("TargetGone"),
    writes: { "delete pods": 1 },
    committed: () => ({}),
  },
  {
    name: "quarantine",
    policy: automatic([{ "quarantine-label": {} }]),
    prepare: podOf("quarantine"),
    pod: itself,
    decide: denyInForce,
    isDone: isState("Undone"),
    writes: { "patch pods": 2 },
    committed: podPuts("quarantine", 2),
  },
  {
    name: "scale",
    policy: automatic([{ "scale-to-zero": { ttl: "1h" } }]),
    prepare: makeStatefulSet,
    pod: (token) => `${token}-0`,
    decide: denyInForce,
    isDone: isState("Undone"),
    writes: { "patch statefulsets/scale": 2 },
    // Controllers write it and its pods too.
    committed: () => ({}),
  },
  {
    name: "cordon",
    policy: proposed([{ cordon: { ttl: "1h" } }]),
    prepare: async (scene, token) => {
      good(
        await scene.people.create(types.node, {
          apiVersion: "v1",
          kind: "Node",
          metadata: { name: token },
        }),
      );
      await makePod(scene.people, "kill-cordon", token, token);
    },
    pod: itself,
    node: itself,
    decide: approveThenDeny(["jane@example.org", "joe@example.org"]),
    isDone: isState("Undone"),
    writes: { "patch nodes": 2 },
    committed: (token) => ({ [`minions/${token}`]: 3 }),
  },
  {
    name: "chain",
    policy: automatic([
      { notify: { to: "ops" } },
      { annotate: { annotations: { "example.org/ticket": "1" } } },
      { isolate: { ttl: "1h" } },
      { "capture-evidence": {} },
    ]),
    prepare: podOf("chain"),
    pod: itself,
    decide: nobody,
    isDone: inForce,
    writes: { "create networkpolicies": 1, "patch pods": 2 },
    committed: podPuts("chain", 2),
  },
  {
    name: "drift",
    policy: proposed([{ rollback: {} }]),
    prepare: async (scene, token) => {
      const object = {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: token, labels: { "crossplane.io/composite": "box" } },
        data: { text: "composed" },
      };
      const manager = "apiextensions.crossplane.io/composed/0123456789abcdef";
      await scene.plane.api.apply(composedPath(token), object, manager);
    },
    pod: undefined,
    cause: async (scene, token) => {
      await scene.plane.api.mergePatch(
        composedPath(token),
        { data: { extra: "by hand" } },
        "kubectl-edit",
      );
    },
    decide: (one) =>
      one.status.state === "Proposed" ? [{ by: "jane@example.org", decision: "Approve" }] : [],
    isDone: inForce,
    writes: { "patch configmaps": 1 },
    committed: (token) => ({ [`configmaps/kill-drift/${token}`]: 3 }),
  },
];

/** The namespaces and policies of all lives, in force when this resolves. */
export async function installLives(scene: ResponderScene): Promise<void> {
  await allowActions(scene);
  for (const life of lives) {
    const name = namespaceOf(life);
    good(await scene.people.create(types.namespace, namespaceObject(name)));
    const match =
      life.pod === undefined
        ? { match: { drift: { kinds: ["ConfigMap"] } }, when: `drift.namespace == '${name}'` }
        : {
            match: { falco: { rules: ["Terminal shell in container"] } },
            when: `alert.pod.namespace == '${name}'`,
          };
    good(
      await scene.people.create(types.responsePolicy, {
        apiVersion: "parapet.dev/v1alpha1",
        kind: "ResponsePolicy",
        metadata: { name },
        spec: { ...match, ...life.policy },
      }),
    );
  }
}

/** The rights for all actions, as `parapet rbac` prints them. */
async function allowActions(scene: ResponderScene): Promise<void> {
  const config = { namespace: "parapet-system", review: { reviewers: [] } };
  const [wanted] = rolesFor(config, [{ apiVersion: "v1", resource: "configmaps" }], actionNames);
  const type = good(await scene.people.typeOf("rbac.authorization.k8s.io/v1", "ClusterRole"));
  if (wanted === undefined) throw new Error("no role");
  const live = good(await scene.people.get(type, nameOf(wanted)));
  good(await scene.people.replace(type, { ...live, rules: wanted["rules"] ?? [] }));
}

/** Writes what people decide, once each. */
export async function decideFor(
  scene: ResponderScene,
  life: Life,
  remediation: Remediation,
): Promise<void> {
  for (const { by, decision } of life.decide(remediation)) {
    const object = approvalJson({
      remediation,
      name: `${remediation.name.name}-${decision.toLowerCase()}-${by.slice(0, 3)}`,
      decision,
      approvedBy: by,
      reason: "looked at it",
      expiresAtMs: Date.now() + 3_600_000,
    });
    const reply = await scene.people.create(types.approval, object);
    // A person who gets no answer says it again: what the API server did not hear while it was down was never said.
    if (!reply.ok && reply.code !== "AlreadyExists") good(reply);
  }
}

/** Things that belong to somebody else, beside the targets: none of them may change. */
export async function makeForeign(scene: ResponderScene): Promise<void> {
  for (const life of lives) {
    const namespace = namespaceOf(life);
    await makePod(scene.people, namespace, "bystander");
    for (const name of ["users-own", "parapet-users-own"]) {
      good(
        await scene.people.create(types.networkPolicy, {
          apiVersion: "networking.k8s.io/v1",
          kind: "NetworkPolicy",
          metadata: { name, namespace, labels: { "app.kubernetes.io/managed-by": "users" } },
          spec: { podSelector: { matchLabels: { app: "other" } }, policyTypes: ["Ingress"] },
        }),
      );
    }
    good(
      await scene.people.create(configMap, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "users-own", namespace, labels: { "crossplane.io/composite": "theirs" } },
        data: { text: "theirs" },
      }),
    );
  }
}

/** All foreign things as they are, with the versions that any write would move. */
export async function foreignState(scene: ResponderScene): Promise<readonly JsonObject[]> {
  const found: JsonObject[] = [];
  for (const life of lives) {
    const namespace = namespaceOf(life);
    for (const type of [types.pod, types.networkPolicy, configMap]) {
      const { items } = good(await scene.people.list(type, { namespace }));
      found.push(...items.filter((one) => isForeign(textAt(one, ["metadata", "name"]))));
    }
  }
  return found;
}

const isForeign = (name: string): boolean =>
  ["bystander", "users-own", "parapet-users-own", "kube-root-ca.crt"].includes(name);
