// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import { mutate, validate } from "#policy/evaluate";
import { field, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";
import { kubernetesBinaries } from "#test/cluster/binaries";
import type { Reply } from "#test/cluster/api";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import type { Case } from "#test/cluster/admission-cases";
import { mutations, params, validations } from "#test/cluster/admission-cases";
import { randomMutations } from "#test/cluster/random-mutations";
import { randomValidations } from "#test/cluster/random-validations";
import { eventually } from "#test/support/processes";

// The same policies and objects go to a real API server (as a dry run) and through the engine, and must give the same
// verdict, message and object. Each policy is bound to its own object by label, and to the namespace `judged` only.
const kubernetes = kubernetesBinaries();
const group = "/apis/admissionregistration.k8s.io/v1";
const labels = { team: "a", "policy-case": "" };

const pod = (name: string): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name,
    namespace: "judged",
    labels: { ...labels, "policy-case": name },
    annotations: { note: "x" },
  },
  spec: {
    automountServiceAccountToken: false,
    serviceAccountName: "none",
    nodeSelector: { disk: "ssd" },
    containers: [
      {
        name: "app",
        image: "registry.example/app:1.2.3",
        args: ["serve"],
        ports: [{ containerPort: 80 }],
        env: [{ name: "A", value: "1" }],
        resources: { limits: { memory: "1Gi" }, requests: { cpu: "100m" } },
      },
      { name: "proxy", image: "registry.example/proxy:2" },
    ],
  },
});

/** For random mutations: with lists of every kind of identity. */
const richPod = (name: string): JsonObject => {
  const { metadata, spec, ...rest } = pod(name);
  return {
    ...rest,
    metadata: {
      ...(isObject(metadata) ? metadata : {}),
      annotations: { note: "x", kept: "y" },
      finalizers: ["b", "d", "e", "f", "g"].map((key) => `example.org/${key}`),
      ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "o", uid: "u1" }],
    },
    spec: {
      ...(isObject(spec) ? spec : {}),
      nodeSelector: { disk: "ssd", zone: "a" },
      // Long enough that no patch empties a list: the server forgets empty ones between mutations.
      containers: [
        {
          name: "app",
          image: "registry.example/app:1.2.3",
          args: ["serve", "--a", "--b", "--c", "--d", "--e"],
          ports: [{ containerPort: 80 }],
          env: ["A", "D", "E", "G", "H", "I"].map((key) => ({ name: key, value: "1" })),
        },
        { name: "proxy", image: "registry.example/proxy:2" },
      ],
      imagePullSecrets: [{ name: "s2" }],
      hostAliases: [{ ip: "10.0.0.2", hostnames: ["g"] }],
      tolerations: [{ key: "base", operator: "Exists" }],
      volumes: [{ name: "tmp", emptyDir: {} }],
      topologySpreadConstraints: [
        { topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule", maxSkew: 1 },
      ],
    },
  };
};
const podOf = (name: string): JsonObject => (name in random ? richPod(name) : pod(name));
const seed = Number(process.env["PARAPET_SEED"] ?? 1);
const count = Number(process.env["PARAPET_CASES"] ?? 60);
const random = randomMutations(seed, count);
const allValidations = { ...validations, ...randomValidations(seed, count) };
const allMutations = { ...mutations, ...random };

const paramRefs = new Map(
  Object.entries<Case>(allValidations).map(([name, { paramRef }]) => [name, paramRef]),
);

const policyOf = (kind: string, name: string, spec: JsonObject): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind,
  metadata: { name },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] },
      ],
    },
    ...spec,
  },
});
const bindingOf = (kind: string, name: string): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: `${kind}Binding`,
  metadata: { name: `bind-${name}` },
  spec: {
    policyName: name,
    ...(paramRefs.get(name) === undefined ? {} : { paramRef: paramRefs.get(name) ?? null }),
    ...(kind === "ValidatingAdmissionPolicy" ? { validationActions: ["Deny"] } : {}),
    matchResources: {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "judged" } },
      objectSelector: { matchLabels: { "policy-case": name } },
    },
  },
});

const marking: JsonObject = {
  reinvocationPolicy: "Never",
  failurePolicy: "Fail",
  mutations: [
    {
      patchType: "ApplyConfiguration",
      applyConfiguration: {
        expression: 'Object{metadata: Object.metadata{annotations: {"at-work": "yes"}}}',
      },
    },
  ],
};

/** Without what the server makes up on every create. */
function settled(body: JsonObject): JsonObject {
  const metadata = field(body, "metadata");
  if (!isObject(metadata)) return body;
  const {
    uid: _u,
    creationTimestamp: _c,
    managedFields: _m,
    generation: _g,
    namespace: _n,
    ...kept
  } = metadata;
  const { status: _s, ...rest } = body;
  return { ...rest, metadata: kept };
}

/** The object that the server made, or why it did not: by admission, or as the object is invalid. */
function seen(reply: Reply): Json {
  if (reply.status === 201) return settled(reply.body);
  const said = textAt(reply.body, ["message"]);
  const marker = "denied request: ";
  return said.includes(marker) ? inOrder(said.slice(said.indexOf(marker) + marker.length)) : said;
}

/** The reference names several places in random order. */
const inOrder = (message: string): string =>
  message
    .replace(/(?<=structs: ).*/, (places) => places.split(", ").toSorted().join(", "))
    .replace(/(?<=errors:\n).*/s, (lines) => lines.split("\n").toSorted().join("\n"));

const admin = {
  username: "admin",
  uid: "admin",
  groups: ["system:masters", "system:authenticated"],
  extra: {},
  roles: [],
  clusterRoles: [],
};

describe.skipIf(kubernetes === undefined)("admission policies agree with a real API server", () => {
  let plane: ControlPlane | undefined;
  const server = (): ControlPlane => {
    if (plane === undefined) throw new Error("no control plane");
    return plane;
  };
  const world: World = {
    ...emptyWorld(0),
    namespace: (name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels: { "kubernetes.io/metadata.name": name } },
    }),
  };
  const refused = new Map<string, string>();
  const create = (namespace: string, object: JsonObject) =>
    server().api.send("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, {
      ...object,
      metadata: { ...(isObject(object["metadata"]) ? object["metadata"] : {}), namespace },
    });
  const isDenied = async (name: string): Promise<boolean> =>
    (await create("judged", podOf(name))).status !== 201;

  beforeAll(async () => {
    plane = await startControlPlane({ controllers: false });
    const { api } = server();
    for (const name of ["judged", "free"]) {
      await api.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name },
      });
      await api.create(`/api/v1/namespaces/${name}/serviceaccounts`, {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "none" },
      });
    }
    for (const object of params) {
      await api.create(
        `/api/v1/namespaces/${textAt(object, ["metadata", "namespace"])}/configmaps`,
        object,
      );
    }
    const all = [
      ...Object.entries(allValidations).map(
        ([name, { spec }]) => ["ValidatingAdmissionPolicy", name, spec] as const,
      ),
      ...Object.entries(allMutations).map(
        ([name, { spec }]) => ["MutatingAdmissionPolicy", name, spec] as const,
      ),
      // Created last: when they deny and change, the others are at work too; each kind has a watch of its own.
      ["ValidatingAdmissionPolicy", "canary", { validations: [{ expression: "false" }] }] as const,
      ["MutatingAdmissionPolicy", "m-canary", marking] as const,
    ];
    for (const [kind, name, spec] of all) {
      const plural =
        kind === "ValidatingAdmissionPolicy"
          ? "validatingadmissionpolicies"
          : "mutatingadmissionpolicies";
      const reply = await api.send("POST", `${group}/${plural}`, policyOf(kind, name, spec));
      if (reply.status !== 201) {
        refused.set(name, textAt(reply.body, ["message"]));
        continue;
      }
      await api.create(
        `${group}/${plural.replace("policies", "policybindings")}`,
        bindingOf(kind, name),
      );
    }
    await eventually("policies are at work", () => isDenied("canary"));
    await eventually("those that change objects, too", async () => {
      const { body } = await create("judged", podOf("m-canary"));
      return textAt(body, ["metadata", "annotations", "at-work"]) === "yes";
    });
  });
  afterAll(async () => {
    await plane?.stop();
  });

  /** The pod as admission sees it: with the defaults of the API. */
  const admitted = async (name: string): Promise<JsonObject> => {
    const reply = await create("free", podOf(name));
    if (reply.status !== 201) throw new Error(JSON.stringify(reply.body));
    const body = settled(reply.body);
    const metadata = field(body, "metadata");
    return { ...body, metadata: { ...(isObject(metadata) ? metadata : {}), namespace: "judged" } };
  };

  for (const [name, { reason, spec }] of Object.entries(allValidations)) {
    it(`${name}: ${reason}`, async () => {
      const compiled = compile(
        [
          policyOf("ValidatingAdmissionPolicy", name, spec),
          bindingOf("ValidatingAdmissionPolicy", name),
        ],
        { params },
      );
      expect(compiled.problems.length > 0 ? "refused" : "taken").toBe(
        refused.has(name) ? "refused" : "taken",
      );
      if (refused.has(name)) return;
      const review = reviewOf(await admitted(name), { userInfo: admin });
      const blocked = validate(compiled.set, review, world).filter(
        ({ result, action }) => action === "Enforce" && (result === "fail" || result === "error"),
      );
      const reply = await create("judged", podOf(name));
      const said = textAt(reply.body, ["message"]);
      const marker = "denied request: ";
      const theirs = reply.status === 201 ? "" : said.slice(said.indexOf(marker) + marker.length);
      expect(blocked[0]?.message ?? "").toBe(theirs);
    });
  }

  for (const [name, { reason, spec }] of Object.entries(allMutations)) {
    it(`${name}: ${reason}`, async () => {
      const compiled = compile([
        policyOf("MutatingAdmissionPolicy", name, spec),
        bindingOf("MutatingAdmissionPolicy", name),
      ]);
      expect(compiled.problems.length > 0 ? "refused" : "taken").toBe(
        refused.has(name) ? "refused" : "taken",
      );
      if (refused.has(name)) return;
      const done = mutate(compiled.set, reviewOf(await admitted(name), { userInfo: admin }), world);
      const errors = done.results.filter(
        ({ result, action }) => result === "error" && action === "Enforce",
      );
      const reply = await create("judged", podOf(name));
      const refusal = errors[0]?.message;
      const ours =
        refusal === undefined ? seen(await create("free", done.object)) : inOrder(refusal);
      expect(ours).toEqual(seen(reply));
    });
  }
});
