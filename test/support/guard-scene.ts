// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { readCertificates, rotatingCredentials } from "#function/credentials";
import { makeHandler } from "#function/handler";
import { type RunningServer, startServer } from "#function/server";
import { at, isArray, isObject, type Json, type JsonObject, textAt } from "#policy/json";
import { type Api, installCrds } from "#test/cluster/api";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { crossplaneClientName, startCrossplane } from "#test/cluster/crossplane";
import { startComposingFunction } from "#test/support/composing-function";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";

/** The guard behind real Crossplane and a real API server with the admission policies in force, and people who may log in. */
export type GuardScene = {
  readonly plane: ControlPlane;
  /** Makes or changes a Box as somebody; each entry of `things` is composed as the spec of a Thing. */
  readonly setBox: (as: string, name: string, things: JsonObject) => Promise<void>;
  readonly box: (name: string) => Promise<JsonObject | undefined>;
  /** The composed Thing of a Box by its resource name. */
  readonly thing: (box: string, resource: string) => Promise<JsonObject | undefined>;
  /** Resolves with a condition's message once it has that reason and its message that part. */
  readonly saying: (box: string, type: string, reason: string, part?: string) => Promise<string>;
  readonly stop: () => Promise<void>;
};

export const sceneGroup = "scene.parapet.dev";
/** Where approvals of cluster-scoped composites live. */
export const approvalNamespace = "platform-approvals";
/** Crossplane's account in an installation by Helm: the admission policies know it by this name. */
const crossplaneUser = "system:serviceaccount:crossplane-system:crossplane";
const everybody = "everybody";

/** Starts it all, about ten seconds. Throws where the programs cannot be had. */
export async function startGuardScene(options: {
  readonly users: readonly string[];
  /** Policy documents, served from a labelled ConfigMap as the admission policies ask for. */
  readonly policies: readonly JsonObject[];
  /** Rules of Crossplane's ClusterRole, to which others are aggregated as in an installation; everything when left out. */
  readonly crossplaneRules?: readonly JsonObject[];
  /** Sees each call of the guard: the bytes that came and those that it answered. */
  readonly onCall?: (request: Buffer, answer: Buffer) => void;
}): Promise<GuardScene> {
  const { crossplaneRules } = options;
  const users: Readonly<Record<string, readonly string[]>> = {
    ...Object.fromEntries(options.users.map((user) => [user, [everybody]])),
    [crossplaneUser]: crossplaneRules === undefined ? [everybody] : [],
  };
  const plane = await startControlPlane({ users });
  if (plane === undefined) throw new Error("no control plane");
  await allowEverybody(plane.api);
  if (crossplaneRules !== undefined) await allowCrossplane(plane.api, crossplaneRules);
  await installCrds(plane.api, [thingCrd, ...parapetCrds()]);
  const crossplane = await startCrossplane({
    ...plane,
    kubeconfig: plane.kubeconfigAs(crossplaneUser),
  });
  if (crossplane === undefined) throw new Error("no Crossplane");
  const composer = await startComposingFunction(compose, crossplane.functionTls);
  const guard = await startGuard(crossplane.functionTls, options.onCall ?? (() => undefined));
  await crossplane.registerFunction("function-compose", composer.port);
  await crossplane.registerFunction("function-parapet", guard.port);
  await plane.api.apply(
    "/api/v1/namespaces/crossplane-system/configmaps/policies",
    policyMap(options.policies),
  );
  await enforceAdmission(plane.api);
  const apis = "/apis/apiextensions.crossplane.io";
  await plane.api.apply(`${apis}/v2/compositeresourcedefinitions/boxes.${sceneGroup}`, definition);
  await plane.api.apply(`${apis}/v1/compositions/boxes`, guardedComposition("boxes", "Box"));
  await plane.api.create("/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: approvalNamespace },
  });
  return {
    plane,
    ...views(plane),
    stop: async () => {
      composer.stop();
      await guard.drain(100);
      await crossplane.stop();
      await plane.stop();
    },
  };
}

const boxes = `/apis/${sceneGroup}/v1/namespaces/default/boxes`;

function views(plane: ControlPlane) {
  const box = (name: string) => plane.api.get(`${boxes}/${name}`);
  return {
    box,
    thing: (owner: string, resource: string) =>
      plane.api.get(`/apis/${sceneGroup}/v1/namespaces/default/things/${owner}-${resource}`),
    setBox: async (as: string, name: string, things: JsonObject): Promise<void> => {
      const api = plane.apiAs(as);
      await eventually(`Box ${name} is written`, async () => {
        const known = await box(name).catch(() => undefined);
        const spec = known !== undefined && isObject(known["spec"]) ? known["spec"] : {};
        const wanted = {
          ...(known ?? {
            apiVersion: `${sceneGroup}/v1`,
            kind: "Box",
            metadata: { name, namespace: "default" },
          }),
          spec: { ...spec, things },
        };
        const reply =
          known === undefined
            ? await api.send("POST", boxes, wanted)
            : await api.send("PUT", `${boxes}/${name}`, wanted);
        if (reply.status < 300) return true;
        throw new Error(textAt(reply.body, ["message"]));
      });
    },
    saying: (name: string, type: string, reason: string, part = ""): Promise<string> =>
      eventually(`${name} says ${type} ${reason} ${part}`, async () => {
        const told = conditionOf(await box(name), type);
        const message = textAt(told, ["message"]);
        if (textAt(told, ["reason"]) === reason && message.includes(part)) return message || "-";
        throw new Error(`${textAt(told, ["reason"])}: ${message}`);
      }),
  };
}

/** One condition of a composite. */
export function conditionOf(composite: Json | undefined, type: string): Json | undefined {
  const found = at(composite, ["status", "conditions"]);
  return (isArray(found) ? found : []).find((each) => textAt(each, ["type"]) === type);
}

async function startGuard(
  tls: string,
  onCall: (request: Buffer, answer: Buffer) => void,
): Promise<RunningServer> {
  const read = readCertificates(tls, new Date());
  if (!read.ok) throw new Error(read.problem);
  const none = () => undefined;
  const judge = makeHandler({ now: () => Date.now(), log: none, approvalNamespace });
  return startServer("127.0.0.1:0", {
    handler: (request) => {
      const answer = judge(request);
      onCall(request, answer);
      return answer;
    },
    credentials: rotatingCredentials(tls, read.files, none).credentials,
    receiveBytesMax: 64 * 1024 * 1024,
    clientSans: [crossplaneClientName],
    log: none,
  });
}

/** RBAC is not what is tested: everybody may do everything but for the admission policies. */
async function allowEverybody(api: Api): Promise<void> {
  await api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: everybody },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: everybody }],
  });
}

/** Crossplane's account as its Helm chart sets it up: one role that aggregates all that carry its label. */
async function allowCrossplane(api: Api, rules: readonly JsonObject[]): Promise<void> {
  const roles = "/apis/rbac.authorization.k8s.io/v1";
  const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole" };
  const aggregated = { "rbac.crossplane.io/aggregate-to-crossplane": "true" };
  await api.create(`${roles}/clusterroles`, {
    ...role,
    metadata: { name: "crossplane" },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: aggregated }] },
    rules: [],
  });
  await api.create(`${roles}/clusterroles`, {
    ...role,
    metadata: { name: "crossplane:system:aggregate-to-crossplane", labels: aggregated },
    rules,
  });
  await api.create(`${roles}/clusterrolebindings`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "crossplane" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "crossplane" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: crossplaneUser }],
  });
}

/** Applies package/policies/admission as it is, with this scene's group in its settings, and waits until it denies. */
async function enforceAdmission(api: Api): Promise<void> {
  const folder = join(repository, "package/policies/admission");
  const documents = readdirSync(folder)
    .filter((file) => file.endsWith(".yaml") && file !== "kustomization.yaml")
    .flatMap((file) => readDocuments(join(folder, file)));
  await Promise.all(documents.map((one) => api.apply(pathOf(one), withSettings(one))));
  const forged = {
    apiVersion: "parapet.dev/v1alpha1",
    kind: "Approval",
    metadata: { name: "probe" },
    spec: {
      for: { remediation: { name: "r", planDigest: `sha256:${"a".repeat(64)}` } },
      decision: "Deny",
      approvedBy: "somebody else",
    },
  };
  await eventually("the admission policies are in force", async () => {
    const path = "/apis/parapet.dev/v1alpha1/namespaces/default/approvals?dryRun=All";
    const reply = await api.send("POST", path, forged);
    return textAt(reply.body, ["message"]).includes("spec.approvedBy must be");
  });
}

function withSettings(object: JsonObject): JsonObject {
  if (textAt(object, ["kind"]) !== "ConfigMap") return object;
  const data = object["data"];
  const changes = { compositeGroups: sceneGroup, policyNamespaces: "crossplane-system" };
  return { ...object, data: { ...(isObject(data) ? data : {}), ...changes } };
}

function pathOf(object: JsonObject): string {
  const kind = textAt(object, ["kind"]);
  const name = textAt(object, ["metadata", "name"]);
  if (kind === "ConfigMap") return `/api/v1/namespaces/crossplane-system/configmaps/${name}`;
  const plural = kind.endsWith("Policy") ? `${kind.slice(0, -1)}ies` : `${kind}s`;
  return `/apis/${textAt(object, ["apiVersion"])}/${plural.toLowerCase()}/${name}`;
}

function parapetCrds(): readonly JsonObject[] {
  const folder = join(repository, "package/crds");
  return readdirSync(folder)
    .sort()
    .flatMap((file) => readDocuments(join(folder, file)))
    .filter((document) => textAt(document, ["kind"]) === "CustomResourceDefinition");
}

const readDocuments = (file: string): readonly JsonObject[] =>
  loadAll(readFileSync(file, "utf8"), { schema: CORE_SCHEMA }).filter(isObject);

const label = { "parapet.dev/composition": "enforced" };

const policyMap = (policies: readonly JsonObject[]): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "policies", namespace: "crossplane-system", labels: label },
  data: Object.fromEntries(policies.map((one, index) => [`${index}.yaml`, JSON.stringify(one)])),
});

const openSpec = {
  type: "object",
  properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
};
const definition: JsonObject = {
  apiVersion: "apiextensions.crossplane.io/v2",
  kind: "CompositeResourceDefinition",
  metadata: { name: `boxes.${sceneGroup}` },
  spec: {
    scope: "Namespaced",
    group: sceneGroup,
    names: { kind: "Box", plural: "boxes" },
    versions: [
      { name: "v1", served: true, referenceable: true, schema: { openAPIV3Schema: openSpec } },
    ],
  },
};
const thingCrd: JsonObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `things.${sceneGroup}` },
  spec: {
    group: sceneGroup,
    names: { kind: "Thing", plural: "things" },
    scope: "Namespaced",
    versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: openSpec } }],
  },
};
/** The pipeline of the scene for a composite kind: what spec.things says, and the guard with the policies of the cluster. */
export const guardedComposition = (
  name: string,
  kind: string,
  more: JsonObject = {},
): JsonObject => ({
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "Composition",
  metadata: { name },
  spec: {
    compositeTypeRef: { apiVersion: `${sceneGroup}/v1`, kind },
    mode: "Pipeline",
    pipeline: [
      { step: "compose", functionRef: { name: "function-compose" } },
      {
        step: "guardrails",
        functionRef: { name: "function-parapet" },
        input: {
          apiVersion: "parapet.fn.crossplane.io/v1beta1",
          kind: "Guardrails",
          policies: {
            fromCluster: {
              matchLabels: label,
              kinds: [{ apiVersion: "v1", kind: "ConfigMap" }],
              namespaces: ["crossplane-system"],
            },
          },
          ...more,
        },
      },
    ],
  },
});

/** Each entry of spec.things is composed as the spec of a Thing; a cluster-scoped composite's in namespace default. */
function compose(composite: JsonObject): Readonly<Record<string, JsonObject>> {
  const listed = at(composite, ["spec", "things"]);
  return Object.fromEntries(
    Object.entries(isObject(listed) ? listed : {}).map(([name, spec]) => [
      name,
      {
        apiVersion: `${sceneGroup}/v1`,
        kind: "Thing",
        metadata: {
          name: `${textAt(composite, ["metadata", "name"])}-${name}`,
          ...(at(composite, ["metadata", "namespace"]) === undefined
            ? { namespace: "default" }
            : {}),
        },
        spec,
      },
    ]),
  );
}
