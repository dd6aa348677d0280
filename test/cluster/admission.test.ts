// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { type Json, type JsonObject, isObject, parseJson, textAt } from "#policy/json";
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

const guardInput = (change: JsonObject = {}): JsonObject => ({
  apiVersion: "parapet.fn.crossplane.io/v1beta1",
  kind: "Guardrails",
  policies: { fromCluster: { matchLabels: { "parapet.dev/composition": "enforced" } } },
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
        schema: {
          openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
        },
      },
    ],
  },
});

type Row = {
  readonly reason: string;
  readonly as: string;
  readonly call: (api: Api) => ReturnType<Api["send"]>;
  /** Text of the denial; undefined where the request must pass. */
  readonly denied: string | undefined;
};

const post = (path: string, body: JsonObject) => (api: Api) => api.send("POST", path, body);
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
            policies: {
              fromCluster: { matchLabels: { "parapet.dev/composition": "enforced" } },
              exceptionNamespaces: ["team"],
            },
          }),
        ),
      ]),
    ),
    denied: "exceptionNamespaces may hold only: platform-policies",
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
    reason: "the last writer is what the API server saw",
    as: "tenant",
    call: merge(`${stores}/seed`, {
      metadata: { annotations: { "parapet.dev/last-writer": "jane" } },
    }),
    denied: "parapet.dev/last-writer is set by the API server",
  },
];

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
        plane.apiAs(crossplane).mergePatch(`${stores}/stamped`, { status: { conditions } });
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

    it("denies what it matches while its settings are missing", async () => {
      const settings = "/api/v1/namespaces/crossplane-system/configmaps/parapet-admission";
      await plane.api.remove(settings);
      await eventually("the policies notice", async () => {
        const reply = await plane
          .apiAs("author")
          .send("POST", `${compositions}?dryRun=All`, composition("later", [guard]));
        return reply.status === 422 || reply.status === 403;
      });
      expect(await plane.api.get(settings)).toBeUndefined();
    });
  },
);

async function prepare(api: Api): Promise<void> {
  const names = ["s3.aws.m.upbound.io_buckets.json"];
  const provided = names
    .map((name) => parseJson(readFileSync(join(providerCrds ?? "", name), "utf8")))
    .filter(isObject);
  await installCrds(api, [
    ...readCrds(core?.crds ?? "").filter(
      (crd) => textAt(crd, ["spec", "group"]) === "apiextensions.crossplane.io",
    ),
    ...provided,
    openCrd("platform.example.org", "v1", "Store", "stores"),
    openCrd("parapet.dev", "v1alpha1", "Approval", "approvals"),
  ]);
  for (const name of ["crossplane-system", "team"]) {
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
    store("seed", { crossplane: { compositionRevisionRef: { name: "seed-1" } } }),
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
