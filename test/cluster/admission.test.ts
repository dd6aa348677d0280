// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments, parseDocument } from "yaml";
import { type Json, type JsonObject, at, isArray, isObject, parseJson, textAt } from "#policy/json";
import { installCrds, type Api } from "#test/cluster/api";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { readCrds } from "#test/cluster/crossplane";
import { eventually } from "#test/support/processes";
import { repository, shared } from "#test/support/shared";

const crossplane = "system:serviceaccount:crossplane-system:crossplane";
const provider = "system:serviceaccount:crossplane-system:provider-aws-s3";
const providerCrds = shared("corpora/provider-crds");
const kubernetes = kubernetesBinaries();
const core = crossplaneBinaries();

const compositions = "/apis/apiextensions.crossplane.io/v1/compositions";
const buckets = "/apis/s3.aws.m.upbound.io/v1beta1/namespaces/team/buckets";
const stores = "/apis/platform.example.org/v1/namespaces/team/stores";
const approvals = "/apis/parapet.dev/v1alpha1/namespaces/team/approvals";

const fromCluster: JsonObject = {
  matchLabels: { "parapet.dev/composition": "enforced" },
  kinds: [{ apiVersion: "v1", kind: "ConfigMap" }],
  namespaces: ["platform-policies"],
};
const guardInput = (change: JsonObject = {}): JsonObject => ({
  apiVersion: "parapet.fn.crossplane.io/v1beta1",
  kind: "Guardrails",
  policies: { fromCluster },
  ...change,
});
const step = (name: string, input?: JsonObject): JsonObject => ({
  step: name,
  functionRef: { name },
  ...(input === undefined ? {} : { input }),
});
const composition = (name: string, pipeline: readonly Json[]): JsonObject => ({
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "Composition",
  metadata: { name },
  spec: {
    compositeTypeRef: { apiVersion: "platform.example.org/v1", kind: "Store" },
    mode: "Pipeline",
    pipeline,
  },
});
const bucket = (name: string, change: JsonObject = {}): JsonObject => ({
  apiVersion: "s3.aws.m.upbound.io/v1beta1",
  kind: "Bucket",
  metadata: { name, namespace: "team" },
  spec: { forProvider: { region: "eu-central-1" } },
  ...change,
});
const store = (name: string, spec: JsonObject = {}): JsonObject => ({
  apiVersion: "platform.example.org/v1",
  kind: "Store",
  metadata: { name, namespace: "team" },
  spec,
});
const approval = (name: string, spec: JsonObject = {}): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "Approval",
  metadata: { name, namespace: "team", labels: { "parapet.dev/digest": "a".repeat(32) } },
  spec: {
    for: { remediation: { name: "r", planDigest: `sha256:${"a".repeat(64)}` } },
    decision: "Approve",
    reason: "seen",
    ...spec,
  },
});

/** Definitions whose schema is not the point here keep everything. */
const openCrd = (group: string, version: string, kind: string, plural: string): JsonObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    names: { kind, plural },
    scope: "Namespaced",
    versions: [
      {
        name: version,
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      },
    ],
  },
});

const claims = "/apis/platform.example.org/v1/namespaces/team/storeclaims";
const providerConfigs = "/apis/aws.m.upbound.io/v1beta1/namespaces/team/providerconfigs";
const approvalSpec: JsonObject = {
  for: { remediation: { name: "r", planDigest: `sha256:${"a".repeat(64)}` } },
  decision: "Approve",
};
const revision = (name: string): JsonObject => ({
  apiVersion: "pkg.crossplane.io/v1",
  kind: "FunctionRevision",
  metadata: { name, labels: { "pkg.crossplane.io/package": "function-parapet" } },
  spec: { desiredState: "Active", image: "example.org/function-parapet:v1", revision: 1 },
});
const definition: JsonObject = {
  apiVersion: "apiextensions.crossplane.io/v2",
  kind: "CompositeResourceDefinition",
  metadata: { name: "shops.platform.example.org" },
  spec: {
    group: "platform.example.org",
    names: { kind: "Shop", plural: "shops" },
    scope: "Namespaced",
    defaultCompositionUpdatePolicy: "Manual",
    versions: [
      {
        name: "v1",
        served: true,
        referenceable: true,
        schema: { openAPIV3Schema: { type: "object" } },
      },
    ],
  },
};

type Row = {
  readonly reason: string;
  readonly as: string;
  readonly call: ((api: Api) => ReturnType<Api["send"]>) & { readonly created?: JsonObject };
  /** Text of the denial; undefined where the request must pass. */
  readonly denied: string | undefined;
};

const post = (path: string, body: JsonObject): Row["call"] =>
  Object.assign((api: Api) => api.send("POST", path, body), { created: body });
const merge = (path: string, body: JsonObject) => (api: Api) =>
  api.send("PATCH", path, body, "application/merge-patch+json");
const apply = (path: string, body: JsonObject, manager: string) => (api: Api) =>
  api.send(
    "PATCH",
    `${path}?fieldManager=${encodeURIComponent(manager)}&force=true`,
    body,
    "application/apply-patch+yaml",
  );

const guard = step("function-parapet", guardInput());
const weakened = (name: string, change: JsonObject): JsonObject =>
  composition(name, [
    step(
      "function-parapet",
      guardInput({ policies: { fromCluster: { ...fromCluster, ...change } } }),
    ),
  ]);
const packages = "/apis/pkg.crossplane.io/v1";
const configMaps = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`;
const configMap = (name: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, labels },
});
const enforced = { "parapet.dev/composition": "enforced" };
const deployments = "/apis/apps/v1/namespaces/team/deployments";
const composedDeployment: JsonObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: {
    name: "composed",
    namespace: "team",
    annotations: { "crossplane.io/composition-resource-name": "app" },
    ownerReferences: [owner("one")],
  },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: "a" } },
    template: {
      metadata: { labels: { app: "a" } },
      spec: {
        containers: [{ name: "app", image: "x", resources: { limits: { memory: "64Mi" } } }],
      },
    },
  },
};
function owner(name: string): JsonObject {
  const uid = `00000000-0000-0000-0000-${name.padEnd(12, "0").replaceAll(/[^0-9a-f]/g, "0")}`;
  return { apiVersion: "platform.example.org/v1", kind: "Store", name, uid, controller: true };
}
/** Sends the live object back, changed: what a client that replaces instead of patching does. */
const replace = (path: string, change: (live: JsonObject) => JsonObject) => async (api: Api) => {
  const live = await api.get(path);
  if (live === undefined) throw new Error(`${path} is gone`);
  return api.send("PUT", path, change(live));
};
/** The same object, with Crossplane's entry of managedFields owning one field more, at a depth. */
const withForgedField = (live: JsonObject): JsonObject => {
  const entries = at(live, ["metadata", "managedFields"]);
  const forged = (isArray(entries) ? entries : []).map((entry) =>
    textAt(entry, ["manager"]).startsWith("apiextensions.crossplane.io/") && isObject(entry)
      ? parseJson(JSON.stringify(entry).replace('"f:memory":{}', '"f:cpu":{},"f:memory":{}'))
      : entry,
  );
  const metadata = at(live, ["metadata"]);
  return { ...live, metadata: { ...(isObject(metadata) ? metadata : {}), managedFields: forged } };
};
const rows: readonly Row[] = [
  {
    reason: "a Composition that ends with the guard is what we want",
    as: "author",
    call: post(compositions, composition("good", [step("function-x"), guard])),
    denied: undefined,
  },
  {
    reason: "functions that only set readiness may come after the guard",
    as: "author",
    call: post(compositions, composition("ready", [guard, step("function-auto-ready")])),
    denied: undefined,
  },
  {
    reason: "without the guard nothing is judged",
    as: "author",
    call: post(compositions, composition("none", [step("function-x")])),
    denied: "the pipeline has no step of function-parapet",
  },
  {
    reason: "a function after the guard can change what was judged",
    as: "author",
    call: post(compositions, composition("after", [guard, step("function-x")])),
    denied: "after function-parapet only these functions may come: function-auto-ready",
  },
  {
    reason: "inline policies alone are the author's own word",
    as: "author",
    call: post(
      compositions,
      composition("inline", [step("function-parapet", guardInput({ policies: { inline: [] } }))]),
    ),
    denied: "parapet.dev/composition: enforced",
  },
  {
    reason: "Report lets violations through",
    as: "author",
    call: post(
      compositions,
      composition("report", [step("function-parapet", guardInput({ onViolation: "Report" }))]),
    ),
    denied: "must be Hold or Fatal",
  },
  {
    reason: "exceptions from a tenant's namespace would exempt the tenant",
    as: "author",
    call: post(
      compositions,
      composition("exempt", [
        step(
          "function-parapet",
          guardInput({
            policies: { fromCluster, exceptionNamespaces: ["team"] },
          }),
        ),
      ]),
    ),
    denied: "exceptionNamespaces may hold only: platform-policies",
  },
  {
    reason: "one label more chooses fewer policies, perhaps none",
    as: "author",
    call: post(
      compositions,
      weakened("narrow", { matchLabels: { "parapet.dev/composition": "enforced", team: "a" } }),
    ),
    denied: "must be parapet.dev/composition: enforced and nothing else",
  },
  {
    reason: "kinds that are not fetched hold nothing",
    as: "author",
    call: post(
      compositions,
      weakened("kinds", {
        kinds: [{ apiVersion: "policies.kyverno.io/v1", kind: "ValidatingPolicy" }],
      }),
    ),
    denied: "fromCluster.kinds needs v1/ConfigMap",
  },
  {
    reason: "policies from the tenant's namespace instead of the platform's",
    as: "author",
    call: post(compositions, weakened("namespaces", { namespaces: ["team"] })),
    denied: "fromCluster.namespaces needs platform-policies",
  },
  {
    reason: "an exception written into the Composition exempts its author",
    as: "author",
    call: post(
      compositions,
      composition("inline-exception", [
        step(
          "function-parapet",
          guardInput({
            policies: {
              fromCluster,
              inline: [{ apiVersion: "policies.kyverno.io/v1", kind: "PolicyException" }],
            },
          }),
        ),
      ]),
    ),
    denied: "may not hold a PolicyException",
  },
  {
    reason: "more policies than are asked for make nothing weaker",
    as: "author",
    call: post(
      compositions,
      weakened("stricter", {
        kinds: [
          { apiVersion: "v1", kind: "ConfigMap" },
          { apiVersion: "policies.kyverno.io/v1", kind: "ValidatingPolicy" },
        ],
        namespaces: ["platform-policies", "team"],
      }),
    ),
    denied: undefined,
  },
  {
    reason: "one weakened guard step among two is still a weakened guard",
    as: "author",
    call: post(
      compositions,
      composition("two", [
        { ...step("function-parapet", guardInput({ onViolation: "Report" })), step: "first" },
        guard,
      ]),
    ),
    denied: "must be Hold or Fatal",
  },
  {
    reason: "an existing Composition can't lose its guard",
    as: "author",
    call: merge(`${compositions}/seed`, { spec: { pipeline: [step("function-x")] } }),
    denied: "the pipeline has no step",
  },
  {
    reason: "a revision's pipeline is edited in place without anybody noticing",
    as: "author",
    call: merge("/apis/apiextensions.crossplane.io/v1/compositionrevisions/seed-1", {
      spec: { pipeline: [step("function-x")] },
    }),
    denied: "the pipeline has no step",
  },
  {
    reason: "a tenant makes composites",
    as: "tenant",
    call: post(stores, store("mine", { size: 1 })),
    denied: undefined,
  },
  {
    reason: "Manual keeps an old revision for ever",
    as: "tenant",
    call: post(stores, store("manual", { crossplane: { compositionUpdatePolicy: "Manual" } })),
    denied: "compositionUpdatePolicy Manual",
  },
  {
    reason: "a revision chosen by the tenant may lack the guard",
    as: "tenant",
    call: merge(`${stores}/seed`, {
      spec: { crossplane: { compositionRevisionRef: { name: "old" } } },
    }),
    denied: "compositionRevisionRef is set by Crossplane",
  },
  {
    reason: "Crossplane moves composites to the newest revision",
    as: crossplane,
    call: merge(`${stores}/seed`, {
      spec: { crossplane: { compositionRevisionRef: { name: "new" } } },
    }),
    denied: undefined,
  },
  {
    reason: "the platform team may pin while it investigates",
    as: "operator",
    call: post(stores, store("pinned", { crossplane: { compositionUpdatePolicy: "Manual" } })),
    denied: undefined,
  },
  {
    reason: "a bucket beside the composition goes past every pipeline",
    as: "tenant",
    call: post(buckets, bucket("mine")),
    denied: "managed resources come from a composition",
  },
  {
    reason: "a tenant can't edit what Crossplane composed",
    as: "tenant",
    call: merge(`${buckets}/seed`, { spec: { forProvider: { region: "us-east-1" } } }),
    denied: "managed resources come from a composition",
  },
  {
    reason: "nor delete it: its data would be lost and an empty one made",
    as: "tenant",
    call: (api) => api.send("DELETE", `${buckets}/seed`),
    denied: "managed resources come from a composition",
  },
  {
    reason: "Crossplane composes",
    as: crossplane,
    call: post(buckets, bucket("composed")),
    denied: undefined,
  },
  {
    reason: "providers late-initialise and write the external name",
    as: provider,
    call: merge(`${buckets}/seed`, {
      metadata: { annotations: { "crossplane.io/external-name": "seed-x1" } },
    }),
    denied: undefined,
  },
  {
    reason: "paused switches drift repair off without a complaint of anybody",
    as: "tenant",
    call: merge(`${stores}/seed`, {
      metadata: { annotations: { "crossplane.io/paused": "true" } },
    }),
    denied: "only the platform team may change these annotations",
  },
  {
    reason: "what the platform team paused, a tenant can't start",
    as: "tenant",
    call: merge(`${stores}/paused`, {
      metadata: { annotations: { "crossplane.io/paused": null } },
    }),
    denied: "only the platform team may change these annotations",
  },
  {
    reason: "other annotations are the tenant's own",
    as: "tenant",
    call: merge(`${stores}/seed`, { metadata: { annotations: { team: "a" } } }),
    denied: undefined,
  },
  {
    reason: "the guard trusts what Crossplane's field manager owns",
    as: "tenant",
    call: apply(`${stores}/forged`, store("forged"), "apiextensions.crossplane.io/composed/abc"),
    denied: "is reserved for Crossplane",
  },
  {
    reason: "managedFields can be sent, too",
    as: "tenant",
    call: merge(`${stores}/seed`, {
      metadata: {
        managedFields: [
          {
            manager: "apiextensions.crossplane.io/composed/abc",
            operation: "Apply",
            apiVersion: "platform.example.org/v1",
            time: "2026-01-01T00:00:00Z",
            fieldsType: "FieldsV1",
            fieldsV1: { "f:spec": { "f:size": {} } },
          },
        ],
      },
    }),
    denied: "may not give Crossplane's field manager fields",
  },
  {
    reason: "taking a field over by writing it is ordinary drift, which the guard sees",
    as: "tenant",
    call: merge(`${stores}/applied`, { spec: { size: 2 } }),
    denied: undefined,
  },
  {
    reason: "an approval in somebody else's name is no approval",
    as: "tenant",
    call: post(approvals, approval("forged", { approvedBy: "jane" })),
    denied: "spec.approvedBy must be tenant",
  },
  {
    reason: "an approval in one's own name",
    as: "jane",
    call: post(approvals, approval("own", { approvedBy: "jane" })),
    denied: undefined,
  },
  {
    reason: "an approval can't be moved to another change",
    as: "jane",
    call: merge(`${approvals}/seed`, { spec: { for: { remediation: { name: "other" } } } }),
    denied: "an Approval can't be changed",
  },
  {
    reason: "nor by replacing it as a whole",
    as: "jane",
    call: replace(`${approvals}/seed`, (live) => ({
      ...live,
      spec: { ...approvalSpec, approvedBy: "jane", reason: "another" },
    })),
    denied: "an Approval can't be changed",
  },
  {
    reason: "under another label a denial would not be found",
    as: "tenant",
    call: merge(`${approvals}/denial`, {
      metadata: { labels: { "parapet.dev/digest": "b".repeat(32) } },
    }),
    denied: "the label parapet.dev/digest of an Approval can't be changed",
  },
  {
    reason: "a denial that its requester takes away denied nothing",
    as: "tenant",
    call: (api) => api.send("DELETE", `${approvals}/denial`),
    denied: "only jane or the platform team may take this denial back",
  },
  {
    reason: "nor all at once",
    as: "tenant",
    call: (api) => api.send("DELETE", approvals),
    denied: "only jane or the platform team may take this denial back",
  },
  {
    reason: "with an owner that never was, the collector would delete it",
    as: "tenant",
    call: merge(`${approvals}/denial`, {
      metadata: { ownerReferences: [{ ...owner("gone"), controller: false }] },
    }),
    denied: "the owners of an Approval can't be changed",
  },
  {
    reason: "who denied may think again",
    as: "jane",
    call: (api) => api.send("DELETE", `${approvals}/second-denial`),
    denied: undefined,
  },
  {
    reason: "an approval may be taken back by whoever may delete it: that only stops things",
    as: "author",
    call: (api) => api.send("DELETE", `${approvals}/revoked`),
    denied: undefined,
  },
  {
    reason: "the place that this kind of composite does not read must not look free",
    as: "tenant",
    call: post(stores, store("both", { crossplane: {}, compositionUpdatePolicy: "Manual" })),
    denied: "compositionUpdatePolicy Manual",
  },
  {
    reason: "a definition pins all its composites at their creation",
    as: "author",
    call: post("/apis/apiextensions.crossplane.io/v2/compositeresourcedefinitions", definition),
    denied: "defaultCompositionUpdatePolicy Manual",
  },
  {
    reason: "another Composition of the type ends with the guard as well",
    as: "tenant",
    call: post(stores, store("chosen", { crossplane: { compositionRef: { name: "good" } } })),
    denied: undefined,
  },
  {
    reason: "what is not in resourceRefs Crossplane forgets: it would go on ungoverned",
    as: "tenant",
    call: merge(`${stores}/seed`, { spec: { crossplane: { resourceRefs: [] } } }),
    denied: "resourceRefs, resourceRef and claimRef are Crossplane's record",
  },
  {
    reason: "nor by leaving out all that Crossplane wrote",
    as: "tenant",
    call: merge(`${stores}/seed`, { spec: { crossplane: null } }),
    denied: "resourceRefs, resourceRef and claimRef are Crossplane's record",
  },
  {
    reason: "Crossplane keeps its record",
    as: crossplane,
    call: merge(`${stores}/seed`, {
      spec: { crossplane: { resourceRefs: [{ apiVersion: "v1", kind: "ConfigMap", name: "x" }] } },
    }),
    denied: undefined,
  },
  {
    reason: "a legacy claim that names somebody else's composite",
    as: "tenant",
    call: merge(`${claims}/seed`, { spec: { resourceRef: { name: "theirs" } } }),
    denied: "resourceRefs, resourceRef and claimRef are Crossplane's record",
  },
  {
    reason: "a legacy claim pins as well",
    as: "tenant",
    call: merge(`${claims}/seed`, { spec: { compositionUpdatePolicy: "Manual" } }),
    denied: "compositionUpdatePolicy Manual",
  },
  {
    reason: "a status that says nothing waits would make the next writer the only one",
    as: "tenant",
    call: merge(`${stores}/seed/status`, {
      status: { conditions: [{ type: "ApprovalPending", status: "False" }] },
    }),
    denied: "may not write the status of Store seed",
  },
  {
    reason: "nor by server-side apply to the subresource",
    as: "tenant",
    call: apply(
      `${stores}/seed/status`,
      { ...store("seed"), status: { x: 1 } },
      "apiextensions.crossplane.io/composite",
    ),
    denied: "Crossplane",
  },
  {
    reason: "a managed resource's status is what the provider saw",
    as: "tenant",
    call: merge(`${buckets}/seed/status`, { status: { atProvider: { region: "x" } } }),
    denied: "managed resources come from a composition",
  },
  {
    reason: "providers write it",
    as: provider,
    call: merge(`${buckets}/seed/status`, { status: { conditions: [] } }),
    denied: undefined,
  },
  {
    reason: "deleting a whole collection deletes each",
    as: "tenant",
    call: (api) => api.send("DELETE", buckets),
    denied: "managed resources come from a composition",
  },
  {
    reason: "a guard of the same name from another package",
    as: "author",
    call: merge(`${packages}/functions/function-parapet`, {
      spec: { package: "example.org/function-nothing:v1" },
    }),
    denied: "may not write Function function-parapet",
  },
  {
    reason: "a revision of the guard's name that is somebody else's server",
    as: "author",
    call: post(`${packages}/functionrevisions`, revision("evil")),
    denied: "may not write FunctionRevision evil",
  },
  {
    reason: "the guard's own revision, moved to another endpoint",
    as: "author",
    call: merge(`${packages}/functionrevisions/function-parapet-1/status`, {
      status: { endpoint: "dns:///evil:9443" },
    }),
    denied: "may not write FunctionRevision function-parapet-1",
  },
  {
    reason: "Crossplane manages its packages",
    as: crossplane,
    call: merge(`${packages}/functionrevisions/function-parapet-1/status`, {
      status: { endpoint: "dns:///guard:9443" },
    }),
    denied: undefined,
  },
  {
    reason: "an Operation applies whatever it likes, as Crossplane",
    as: "author",
    call: post("/apis/ops.crossplane.io/v1alpha1/operations", {
      apiVersion: "ops.crossplane.io/v1alpha1",
      kind: "Operation",
      metadata: { name: "own" },
      spec: { mode: "Pipeline", pipeline: [step("function-x")] },
    }),
    denied: "may not write Operation own",
  },
  {
    reason: "the same credentials' name for another cloud account",
    as: "tenant",
    call: merge(`${providerConfigs}/default`, { spec: { credentials: { source: "Secret" } } }),
    denied: "may not write ProviderConfig default",
  },
  {
    reason: "policies are what the platform team wrote",
    as: "tenant",
    call: merge(`${configMaps("platform-policies")}/policies`, { data: { "a.yaml": "" } }),
    denied: "may not write ConfigMap policies",
  },
  {
    reason: "without its label a policy is not fetched",
    as: "tenant",
    call: merge(`${configMaps("platform-policies")}/policies`, {
      metadata: { labels: { "parapet.dev/composition": null } },
    }),
    denied: "may not write ConfigMap policies",
  },
  {
    reason: "a policy that mutates after the platform's",
    as: "tenant",
    call: post(configMaps("team"), configMap("mine", enforced)),
    denied: "may not write ConfigMap mine",
  },
  {
    reason: "ConfigMaps are the tenant's own otherwise",
    as: "tenant",
    call: post(configMaps("team"), configMap("plain")),
    denied: undefined,
  },
  {
    reason: "an exception where exceptions count",
    as: "tenant",
    call: post("/apis/policies.kyverno.io/v1/namespaces/platform-policies/policyexceptions", {
      apiVersion: "policies.kyverno.io/v1",
      kind: "PolicyException",
      metadata: { name: "mine" },
    }),
    denied: "may not write PolicyException mine",
  },
  {
    reason: "the platform team grants exceptions",
    as: "operator",
    call: post("/apis/policies.kyverno.io/v1/namespaces/platform-policies/policyexceptions", {
      apiVersion: "policies.kyverno.io/v1",
      kind: "PolicyException",
      metadata: { name: "granted" },
    }),
    denied: undefined,
  },
  {
    reason: "one more name in the settings, and a tenant is the platform team",
    as: "tenant",
    call: merge(`${configMaps("crossplane-system")}/parapet-admission`, {
      data: { platformGroups: "everybody" },
    }),
    denied: "may not change the settings of the admission policies",
  },
  {
    reason: "without settings the policies say no to nothing of Kubernetes",
    as: "tenant",
    call: (api) => api.send("DELETE", `${configMaps("crossplane-system")}/parapet-admission`),
    denied: "may not change the settings of the admission policies",
  },
  {
    reason: "the platform team edits them",
    as: "operator",
    call: merge(`${configMaps("crossplane-system")}/parapet-admission`, {
      metadata: { labels: { team: "platform" } },
    }),
    denied: undefined,
  },
  {
    reason: "Crossplane touches no object that another controls: its drift would stay",
    as: "tenant",
    call: merge(`${deployments}/composed`, { metadata: { ownerReferences: [owner("two")] } }),
    denied: "the controller of a composed resource is its composite",
  },
  {
    reason:
      "a field that Crossplane never owned would count as its pending change, however deep it lies",
    as: "tenant",
    call: replace(`${deployments}/composed`, withForgedField),
    denied: "may not give Crossplane's field manager fields",
  },
  {
    reason: "a replica more is drift, which Crossplane repairs",
    as: "tenant",
    call: merge(`${deployments}/composed`, {
      spec: { template: { spec: { terminationGracePeriodSeconds: 5 } } },
    }),
    denied: undefined,
  },
  {
    reason: "thousands of fields are compared within what an expression may cost",
    as: "tenant",
    call: merge(`${configMaps("team")}/large`, { metadata: { labels: { a: "b" } } }),
    denied: undefined,
  },
  {
    reason: "what a pipeline reads is judged by what it makes of it",
    as: "tenant",
    call: post("/apis/apiextensions.crossplane.io/v1beta1/environmentconfigs", {
      apiVersion: "apiextensions.crossplane.io/v1beta1",
      kind: "EnvironmentConfig",
      metadata: { name: "mine" },
      data: { region: "us-east-1" },
    }),
    denied: undefined,
  },
  {
    reason: "a Usage only keeps what is from being deleted",
    as: "tenant",
    call: post("/apis/protection.crossplane.io/v1beta1/namespaces/team/usages", {
      apiVersion: "protection.crossplane.io/v1beta1",
      kind: "Usage",
      metadata: { name: "mine" },
      spec: {
        of: { apiVersion: "v1", kind: "ConfigMap", resourceRef: { name: "x" } },
        reason: "in use",
      },
    }),
    denied: undefined,
  },
  {
    reason: "a composite in somebody else's name",
    as: "tenant",
    call: post(stores, {
      ...store("posing"),
      metadata: { name: "posing", annotations: { "parapet.dev/last-writer": "jane" } },
    }),
    denied: undefined,
  },
  {
    reason: "a claim's writer goes with it to the composite, which Crossplane writes",
    as: crossplane,
    call: merge(`${stores}/stamp-of-a-claim`, {
      spec: { size: 7 },
      metadata: { annotations: { "parapet.dev/last-writer": "tenant" } },
    }),
    denied: undefined,
  },
  {
    reason: "the last writer is what the API server saw",
    as: "tenant",
    call: merge(`${stores}/seed`, {
      metadata: { annotations: { "parapet.dev/last-writer": "jane" } },
    }),
    denied: "parapet.dev/last-writer is set by the API server",
  },
];

describe("admission policies in CI", () => {
  const folder = join(repository, "package/policies/admission");
  const made = rows.flatMap((row) => {
    const { created } = row.call;
    return created !== undefined && textAt(created, ["kind"]) === "Composition"
      ? [{ ...row, created }]
      : [];
  });
  it.each(made)("parapet check: $reason", ({ created, denied }) => {
    const done = spawnSync(
      process.execPath,
      [
        join(repository, "cli/main.ts"),
        "check",
        "-p",
        folder,
        "--param",
        join(folder, "settings.yaml"),
        "-r",
        "-",
      ],
      { input: JSON.stringify(created), encoding: "utf8" },
    );
    expect([done.status, done.stdout]).toEqual([
      denied === undefined ? 0 : 1,
      expect.stringContaining(denied ?? "fail: 0, warn: 0, error: 0"),
    ]);
  });
  it("is listed completely for kustomize", () => {
    const files = readdirSync(folder).filter((file) => file.endsWith(".yaml"));
    const kustomization = parseDocument(readFileSync(join(folder, "kustomization.yaml"), "utf8"));
    const listed: unknown = kustomization.toJS();
    const resources = isObject(listed) ? listed["resources"] : [];
    expect((isArray(resources) ? resources.map(String) : []).toSorted()).toEqual(
      files.filter((file) => file !== "kustomization.yaml").toSorted(),
    );
  });
  it("sees every kind of Composition", () => {
    expect(made.length).toBeGreaterThan(10);
  });
});

describe.skipIf(kubernetes === undefined || core === undefined || providerCrds === undefined)(
  "admission policies",
  () => {
    let plane: ControlPlane;
    beforeAll(async () => {
      const users = Object.fromEntries(
        ["tenant", "author", "jane", crossplane, provider].map((user) => [user, ["everybody"]]),
      );
      const started = await startControlPlane({
        users: { ...users, operator: ["parapet:platform", "everybody"] },
      });
      if (started === undefined) throw new Error("no control plane");
      plane = started;
      await prepare(plane.api);
    });
    afterAll(() => plane?.stop());

    it.each(rows)("$reason ($as)", async ({ as, call, denied }) => {
      const reply = await call(plane.apiAs(as));
      const message = textAt(reply.body, ["message"]);
      const outcome = reply.status < 300 ? "allowed" : message;
      expect(outcome).toContain(denied ?? "allowed");
    });

    it("fills in who approves", async () => {
      await plane.apiAs("jane").create(approvals, approval("filled"));
      const live = await plane.api.get(`${approvals}/filled`);
      expect(textAt(live, ["spec", "approvedBy"])).toBe("jane");
    });

    it("stamps who wrote a composite last, and only when what is asked for changed", async () => {
      const lastWriter = async () =>
        textAt(await plane.api.get(`${stores}/stamped`), [
          "metadata",
          "annotations",
          "parapet.dev/last-writer",
        ]);
      await plane.apiAs("tenant").create(stores, store("stamped", { size: 1 }));
      expect(await lastWriter()).toBe("tenant");
      await plane
        .apiAs("operator")
        .mergePatch(`${stores}/stamped`, { metadata: { labels: { a: "b" } } });
      expect(await lastWriter()).toBe("tenant");
      // Nobody has looked at what the tenant asked for: it is not forgotten.
      await plane.apiAs("operator").mergePatch(`${stores}/stamped`, { spec: { size: 2 } });
      expect(await lastWriter()).toBe("tenant\noperator");
      const seen = { type: "Synced", status: "True", observedGeneration: 1_000 };
      const say = (conditions: readonly Json[]) =>
        plane.apiAs(crossplane).mergePatch(`${stores}/stamped/status`, { status: { conditions } });
      await say([seen]);
      await plane.apiAs("tenant").mergePatch(`${stores}/stamped`, { spec: { size: 3 } });
      expect(await lastWriter()).toBe("tenant");
      // Nor while it waits for approval; each name is there once.
      await say([seen, { type: "ApprovalPending", status: "True" }]);
      await plane.apiAs("operator").mergePatch(`${stores}/stamped`, { spec: { size: 4 } });
      await plane.apiAs("tenant").mergePatch(`${stores}/stamped`, { spec: { size: 5 } });
      expect(await lastWriter()).toBe("tenant\noperator");
      await say([seen, { type: "ApprovalPending", status: "False" }]);
      await plane.apiAs("operator").mergePatch(`${stores}/stamped`, { spec: { size: 6 } });
      expect(await lastWriter()).toBe("operator");
      await plane
        .apiAs(crossplane)
        .mergePatch(`${stores}/stamped`, { spec: { crossplane: { resourceRefs: [] } } });
      expect(await lastWriter()).toBe("operator");
    });

    it("stamps who made a composite over whoever it says made it", async () => {
      const live = await plane.api.get(`${stores}/posing`);
      const annotations = at(live, ["metadata", "annotations"]);
      expect(textAt(annotations, ["parapet.dev/last-writer"])).toBe("tenant");
    });

    it("denies custom resources while its settings are missing, lets Kubernetes go on, and takes them back", async () => {
      const settings = `${configMaps("crossplane-system")}/parapet-admission`;
      const before = await plane.api.get(settings);
      const write = (path: string, body: JsonObject) =>
        plane.apiAs("author").send("POST", `${path}?dryRun=All`, body);
      await plane.api.remove(settings);
      await eventually("the policies notice", async () => {
        const reply = await write(compositions, composition("later", [guard]));
        return reply.status === 422 || reply.status === 403;
      });
      expect((await write(stores, store("later"))).status).toBeGreaterThanOrEqual(400);
      expect((await write(configMaps("team"), configMap("later"))).status).toBe(201);
      expect(
        (await write("/api/v1/namespaces", { ...configMap("later"), kind: "Namespace" })).status,
      ).toBe(201);
      await plane.api.create(configMaps("crossplane-system"), {
        ...configMap("parapet-admission"),
        data: at(before, ["data"]) ?? {},
      });
      await eventually("the policies work again", async () => {
        const good = await write(compositions, composition("later", [guard]));
        const bad = await write(compositions, composition("later", [step("function-x")]));
        return good.status === 201 && textAt(bad.body, ["message"]).includes("has no step of");
      });
    });
  },
);

async function prepare(api: Api): Promise<void> {
  const names = ["s3.aws.m.upbound.io_buckets.json"];
  const provided = names
    .map((name) => parseJson(readFileSync(join(providerCrds ?? "", name), "utf8")))
    .filter(isObject);
  await installCrds(api, [
    ...readCrds(core?.crds ?? ""),
    ...provided,
    openCrd("platform.example.org", "v1", "Store", "stores"),
    openCrd("platform.example.org", "v1", "StoreClaim", "storeclaims"),
    openCrd("aws.m.upbound.io", "v1beta1", "ProviderConfig", "providerconfigs"),
    openCrd("policies.kyverno.io", "v1", "PolicyException", "policyexceptions"),
    openCrd("parapet.dev", "v1alpha1", "Approval", "approvals"),
  ]);
  for (const name of ["crossplane-system", "team", "platform-policies"]) {
    await api.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name },
    });
  }
  await api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "everybody" },
    // RBAC is not what is tested: everybody may do everything but for the policies.
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "everybody" }],
  });
  await seed(api);
  await Promise.all(policies().map((policy) => api.apply(pathOf(policy), policy)));
  await eventually("the policies are enforced", async () => {
    const reply = await api
      .as("author")
      .send("POST", `${compositions}?dryRun=All`, composition("probe", [step("function-x")]));
    return textAt(reply.body, ["message"]).includes("no step of function-parapet");
  });
  for (const [path, body] of [
    [`${stores}?dryRun=All`, store("probe", { crossplane: { compositionUpdatePolicy: "Manual" } })],
    [`${buckets}?dryRun=All`, bucket("probe")],
    [`${approvals}?dryRun=All`, approval("probe", { approvedBy: "other" })],
  ] as const) {
    await eventually(
      `enforced: ${path}`,
      async () =>
        (await api.as("tenant").send("POST", path, body)).status === 422 ||
        (await api.as("tenant").send("POST", path, body)).status === 403,
    );
  }
}

/** Objects that the rows change, made before the policies are in force. */
async function seed(api: Api): Promise<void> {
  await api.create(compositions, composition("seed", [guard]));
  await api.create("/apis/apiextensions.crossplane.io/v1/compositionrevisions", {
    ...composition("seed-1", [guard]),
    kind: "CompositionRevision",
    spec: {
      compositeTypeRef: { apiVersion: "platform.example.org/v1", kind: "Store" },
      mode: "Pipeline",
      revision: 1,
      pipeline: [guard],
    },
  });
  await api.create(
    stores,
    store("seed", {
      crossplane: {
        compositionRevisionRef: { name: "seed-1" },
        resourceRefs: [{ apiVersion: "v1", kind: "ConfigMap", name: "composed" }],
      },
    }),
  );
  await api.create(stores, store("stamp-of-a-claim", { size: 1 }));
  await api.create(claims, {
    ...store("seed", { resourceRef: { name: "mine" } }),
    kind: "StoreClaim",
  });
  await api.create(providerConfigs, {
    apiVersion: "aws.m.upbound.io/v1beta1",
    kind: "ProviderConfig",
    metadata: { name: "default" },
    spec: { credentials: { source: "IRSA" } },
  });
  await api.create(configMaps("platform-policies"), configMap("policies", enforced));
  await api.create(`${packages}/functions`, {
    apiVersion: "pkg.crossplane.io/v1",
    kind: "Function",
    metadata: { name: "function-parapet" },
    spec: { package: "example.org/function-parapet:v1" },
  });
  await api.create(`${packages}/functionrevisions`, revision("function-parapet-1"));
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`key-${n}`, "x"]));
  await api.apply(
    `${configMaps("team")}/large`,
    { ...configMap("large"), data: many },
    "apiextensions.crossplane.io/composed/abc",
  );
  await api.apply(
    `${deployments}/composed`,
    composedDeployment,
    "apiextensions.crossplane.io/composed/abc",
  );
  await api.create(stores, {
    ...store("paused"),
    metadata: {
      name: "paused",
      namespace: "team",
      annotations: { "crossplane.io/paused": "true" },
    },
  });
  await api.apply(
    `${stores}/applied`,
    store("applied", { size: 1 }),
    "apiextensions.crossplane.io/composed/abc",
  );
  await api.create(buckets, bucket("seed"));
  await api.create(approvals, approval("seed", { approvedBy: "jane" }));
  await api.create(approvals, approval("denial", { approvedBy: "jane", decision: "Deny" }));
  await api.create(approvals, approval("second-denial", { approvedBy: "jane", decision: "Deny" }));
  await api.create(approvals, approval("revoked", { approvedBy: "jane" }));
}

function policies(): readonly JsonObject[] {
  const folder = join(repository, "package/policies/admission");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".yaml") && file !== "kustomization.yaml")
    .sort()
    .flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), "utf8")))
    .map((document): unknown => document.toJS())
    .filter(isObject);
}

function pathOf(object: JsonObject): string {
  const kind = textAt(object, ["kind"]);
  const name = textAt(object, ["metadata", "name"]);
  if (kind === "ConfigMap") return `/api/v1/namespaces/crossplane-system/configmaps/${name}`;
  const plural = kind.endsWith("Policy") ? `${kind.slice(0, -1)}ies` : `${kind}s`;
  return `/apis/${textAt(object, ["apiVersion"])}/${plural.toLowerCase()}/${name}`;
}
