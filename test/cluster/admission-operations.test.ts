// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import { validate } from "#policy/evaluate";
import { textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { ReviewOptions } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";
import { kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { eventually } from "#test/support/processes";

// One policy tells in its message what it saw of a request; a real API server and the engine must see the same.
const kubernetes = kubernetesBinaries();
const group = "/apis/admissionregistration.k8s.io/v1";

const orNone = (place: string): string => `(has(${place}) ? '=' + string(${place}) : 'none')`;
const nameOf = (variable: string): string =>
  `(${variable} == null ? 'null' : has(${variable}.metadata.name) ? string(${variable}.metadata.name) : 'unnamed')`;
const probes = [
  "request.operation",
  "request.kind.group + '/' + request.kind.version + '/' + request.kind.kind",
  "request.resource.group + '/' + request.resource.version + '/' + request.resource.resource",
  "request.requestKind.kind + ' ' + request.requestResource.resource",
  orNone("request.subResource"),
  orNone("request.requestSubResource"),
  orNone("request.name"),
  orNone("request.namespace"),
  orNone("request.dryRun"),
  orNone("request.userInfo.username"),
  orNone("request.userInfo.uid"),
  "string(request.userInfo.groups.size())",
  orNone("request.userInfo.extra"),
  nameOf("object"),
  nameOf("oldObject"),
  nameOf("namespaceObject"),
  "string(object == oldObject)",
].map((probe) => probe.replace("string(request.userInfo.extra)", "'extra'"));

const policy: JsonObject = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicy",
  metadata: { name: "witness" },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"], operations: ["*"] },
      ],
      objectSelector: { matchExpressions: [{ key: "probe", operator: "Exists" }] },
    },
    validations: [{ expression: "false", messageExpression: `[${probes.join(", ")}].join('|')` }],
  },
};
const binding: JsonObject = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicyBinding",
  metadata: { name: "witness" },
  spec: { policyName: "witness", validationActions: ["Deny"] },
};

const labels = { probe: "" };
const configMap: JsonObject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "kept", namespace: "judged", labels },
  data: { a: "1" },
};
const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "kept", namespace: "judged", labels },
  spec: {
    automountServiceAccountToken: false,
    serviceAccountName: "none",
    containers: [{ name: "app", image: "registry.example/app:1" }],
  },
};
const unlabelled = (object: JsonObject): JsonObject => ({
  ...object,
  metadata: { name: "kept", namespace: "judged" },
});
const maps = "/api/v1/namespaces/judged/configmaps";

type Row = {
  readonly reason: string;
  readonly method: string;
  readonly path: string;
  readonly body?: JsonObject;
  /** What the engine is asked about, by default the body. */
  readonly object?: JsonObject;
  readonly review?: ReviewOptions;
};
const rows: Readonly<Record<string, Row>> = {
  create: {
    reason: "no old object",
    method: "POST",
    path: maps,
    body: { ...configMap, metadata: { name: "new", namespace: "judged", labels } },
  },
  update: {
    reason: "both objects",
    method: "PUT",
    path: `${maps}/kept`,
    body: { ...configMap, data: { a: "2" } },
    review: { operation: "UPDATE", oldObject: configMap },
  },
  "update that takes the label": {
    reason: "the selector finds the old object",
    method: "PUT",
    path: `${maps}/kept`,
    body: unlabelled(configMap),
    review: { operation: "UPDATE", oldObject: configMap },
  },
  delete: {
    reason: "only the old object",
    method: "DELETE",
    path: `${maps}/kept`,
    object: configMap,
    review: { operation: "DELETE" },
  },
  "status of a pod": {
    reason: "a subresource of the same kind",
    method: "PUT",
    path: "/api/v1/namespaces/judged/pods/kept/status",
    body: { ...pod, status: { phase: "Running" } },
    review: { operation: "UPDATE", oldObject: pod, subResource: "status" },
  },
  "create of a namespace": {
    reason: "in itself, but without a namespace object",
    method: "POST",
    path: "/api/v1/namespaces",
    body: { apiVersion: "v1", kind: "Namespace", metadata: { name: "probed", labels } },
  },
  "create of a cluster-scoped object": {
    reason: "no namespace",
    method: "POST",
    path: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    body: {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRole",
      metadata: { name: "probed", labels },
      rules: [],
    },
  },
};

const userInfo = {
  username: "admin",
  uid: "admin",
  groups: ["system:masters", "system:authenticated"],
  extra: {},
  roles: [],
  clusterRoles: [],
};
const world: World = {
  ...emptyWorld(0),
  namespace: (name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } }),
};

describe.skipIf(kubernetes === undefined)("policies see of a request what a server shows", () => {
  let plane: ControlPlane | undefined;
  const send = ({ method, path, body }: Row) => {
    if (plane === undefined) throw new Error("no control plane");
    return plane.api.send(method, `${path}?dryRun=All`, body);
  };

  beforeAll(async () => {
    const started = await startControlPlane({ controllers: false });
    plane = started;
    if (started === undefined) throw new Error("no control plane");
    const { api } = started;
    const named = (kind: string, name: string): JsonObject => ({
      apiVersion: "v1",
      kind,
      metadata: { name },
    });
    await api.create("/api/v1/namespaces", named("Namespace", "judged"));
    const inNamespace = "/api/v1/namespaces/judged";
    await api.create(`${inNamespace}/serviceaccounts`, named("ServiceAccount", "none"));
    await api.create(maps, configMap);
    await api.create(`${inNamespace}/pods`, pod);
    await api.create(`${group}/validatingadmissionpolicies`, policy);
    await api.create(`${group}/validatingadmissionpolicybindings`, binding);
    const first = rows["create"];
    if (first === undefined) throw new Error("no request to try");
    await eventually(
      "the policy is at work",
      async () => (await send(first)).status !== 201,
      200_000,
    );
  });
  afterAll(async () => {
    await plane?.stop();
  });

  const { set, problems } = compile([policy, binding]);
  for (const [name, row] of Object.entries(rows)) {
    it(`${name}: ${row.reason}`, async () => {
      expect(problems).toEqual([]);
      const reply = await send(row);
      const said = textAt(reply.body, ["message"]);
      const marker = "denied request: ";
      const theirs = said.includes(marker)
        ? said.slice(said.indexOf(marker) + marker.length)
        : said;
      const review = reviewOf(row.object ?? row.body ?? {}, {
        userInfo,
        dryRun: true,
        ...row.review,
      });
      const [ours] = validate(set, review, world);
      expect(ours?.message).toBe(theirs);
    });
  }
});
