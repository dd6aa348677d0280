// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { isObject, type JsonObject } from "#policy/json";
import { workedMs } from "#test/support/cpu-time";
import {
  bucket,
  composite,
  guardrails,
  makeCaller,
  noPublic,
  nowMs,
  validating,
  type TestRequest,
} from "#test/support/run-function";
import { digestLabelValue } from "./approvals.ts";

// What the function asks Crossplane for, and what it makes of the answers.

const call = makeCaller("parapet-approvals");
const run = (request: TestRequest) => {
  const { response } = call(request);
  const condition = response.conditions.find(({ type }) => type === "PolicyCompliant");
  return {
    asked: Object.keys(response.requirements?.resources ?? {}).sort(),
    resources: Object.keys(response.desired?.resources ?? {}).sort(),
    reason: condition?.reason,
    message: condition?.message ?? response.results[0]?.message,
    pending: response.conditions.find(({ type }) => type === "ApprovalPending"),
    ttl: response.meta?.ttl?.seconds,
    response,
  };
};

const labels = { "parapet.dev/composition": "enforced" };
const kinds = [
  { apiVersion: "policies.kyverno.io/v1", kind: "ValidatingPolicy" },
  { apiVersion: "v1", kind: "ConfigMap" },
  { apiVersion: "policies.kyverno.io/v1", kind: "PolicyException" },
];
const fromCluster = { matchLabels: labels, kinds, namespaces: ["platform"] };
const input = guardrails([], {}, { fromCluster, exceptionNamespaces: ["waivers"] });
const policies = "policies/policies.kyverno.io/v1/ValidatingPolicy";
const configMaps = "policies/v1/ConfigMap/platform";
const exceptions = "policies/policies.kyverno.io/v1/PolicyException/waivers";

const labelled = (object: JsonObject, metadata: JsonObject = {}): JsonObject => {
  const own = object["metadata"];
  return { ...object, metadata: { ...(isObject(own) ? own : {}), labels, ...metadata } };
};
const configMap = (text: string, namespace = "platform", name = "texts"): JsonObject =>
  labelled(
    { apiVersion: "v1", kind: "ConfigMap", data: { "policies.yaml": text } },
    { name, namespace },
  );
const exception = (namespace: string, spec: JsonObject = {}): JsonObject =>
  labelled(
    {
      apiVersion: "policies.kyverno.io/v1",
      kind: "PolicyException",
      spec: { policyRefs: [{ name: "no-public", kind: "ValidatingPolicy" }], ...spec },
    },
    { name: "waiver", namespace },
  );
const none = { [policies]: [], [configMaps]: [], [exceptions]: [] };
const desired = { b: bucket({ acl: "public" }) };

describe("policies from the cluster", () => {
  test("are asked for by label, kind and namespace before anything is judged", () => {
    const { response, asked, resources, reason } = run({ input, desired });
    expect(asked).toEqual([policies, exceptions, configMaps].sort());
    expect(response.requirements?.resources[configMaps]).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      matchLabels: { labels },
      namespace: "platform",
    });
    expect(response.requirements?.resources[policies]?.namespace).toBe(undefined);
    expect([resources, reason]).toEqual([["b"], undefined]);
  });

  test("are asked for again in the final answer, or Crossplane would stop watching them", () => {
    const { asked, reason } = run({ input, desired, required: none });
    expect(asked).toEqual([policies, exceptions, configMaps].sort());
    expect(reason).toBe("Compliant");
  });

  test("hold when they came, whatever order and bookkeeping they came in", () => {
    const required = {
      ...none,
      [policies]: [labelled(validating("a", "true")), labelled(noPublic)],
    };
    expect(run({ input, desired, required }).reason).toBe("Held");
    const again = {
      ...none,
      [policies]: [
        labelled(noPublic, { resourceVersion: "7", managedFields: [] }),
        labelled(validating("a", "true")),
      ],
    };
    expect(run({ input, desired, required: again }).reason).toBe("Held");
  });

  test("change their verdict when they change", () => {
    const required = { ...none, [policies]: [labelled(noPublic)] };
    expect(run({ input, desired, required }).reason).toBe("Held");
    const relaxed = { ...none, [policies]: [labelled(validating("no-public", "true"))] };
    expect(run({ input, desired, required: relaxed }).reason).toBe("Compliant");
    expect(run({ input, desired, required: none }).reason).toBe("Compliant");
    expect(run({ input, desired, required }).reason).toBe("Held");
  });

  test("in ConfigMaps are YAML streams", () => {
    const text = `---\n${JSON.stringify(validating("a", "true"))}\n---\n${JSON.stringify(noPublic)}\n---\n`;
    const { reason, message } = run({
      input,
      desired,
      required: { ...none, [configMaps]: [configMap(text)] },
    });
    expect(reason).toBe("Held");
    expect(message).toContain("ValidatingPolicy/no-public");
  });

  test("in ConfigMaps are read as kubectl reads them: YAML 1.1 words, octal numbers, the last of equal keys", () => {
    const text = [
      "apiVersion: kyverno.io/v1",
      "kind: ClusterPolicy",
      "metadata: {name: modes}",
      "spec:",
      "  validationFailureAction: Audit",
      "  validationFailureAction: Enforce",
      "  rules:",
      "    - name: modes",
      "      match: {any: [{resources: {kinds: [Bucket]}}]}",
      "      validate: {message: wrong mode, pattern: {spec: {forProvider: {mode: 0644, open: no}}}}",
    ].join("\n");
    const judged = (forProvider: JsonObject) =>
      run({
        input,
        desired: { b: bucket(forProvider) },
        required: { ...none, [configMaps]: [configMap(text)] },
      }).reason;
    expect(judged({ mode: 420, open: false })).toBe("Compliant");
    expect(judged({ mode: 644, open: false })).toBe("Held");
    expect(judged({ mode: 420, open: true })).toBe("Held");
  });

  const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let level = 1; level < 12; level += 1) {
    const below = Array.from({ length: 10 }, () => `*a${level - 1}`).join(", ");
    bomb.push(`a${level}: &a${level} [${below}]`);
  }
  test.each([
    ["aliases that stand for billions of values", bomb.join("\n"), "more than 500000 values"],
    ["nesting without end", "[".repeat(100_000), "is not YAML"],
    ["a number that cannot be kept exactly", "a: 9007199254740993", "does not fit a double"],
  ])("in ConfigMaps have limits, and hold everything beyond them: %s", (_, text, want) => {
    const started = workedMs();
    const held = run({ input, desired, required: { ...none, [configMaps]: [configMap(text)] } });
    expect([held.reason, held.message]).toEqual(["Held", expect.stringContaining(want)]);
    expect(workedMs() - started).toBeLessThan(5_000);
  });

  const unwanted: Record<string, { reason: string; object: JsonObject; under: string }> = {
    OtherNamespace: {
      reason:
        "A ConfigMap of a tenant's namespace, from a Crossplane that knows no namespaces in selectors.",
      object: configMap(JSON.stringify(noPublic), "team-a"),
      under: configMaps,
    },
    NoLabel: {
      reason:
        "An object without the label, from a requirement of the same name in the Composition.",
      object: noPublic,
      under: policies,
    },
    OtherKind: { reason: "An object of another kind.", object: configMap(""), under: policies },
  };
  test.each(Object.entries(unwanted))("that nobody asked for count for nothing: %s", (_, each) => {
    const required = { ...none, [each.under]: [each.object] };
    expect(run({ input, desired, required }).reason).toBe("Compliant");
  });

  const broken: Record<string, { reason: string; required: Record<string, JsonObject[]> }> = {
    Expression: {
      reason: "A policy that does not compile might have forbidden anything.",
      required: { [policies]: [labelled(validating("broken", "object.spec.("))] },
    },
    Yaml: { reason: "Text that is not YAML.", required: { [configMaps]: [configMap("a: [")] } },
    NotAPolicy: {
      reason: "A document that is no policy.",
      required: { [configMaps]: [configMap("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n")] },
    },
    WrongAnnotation: {
      reason: "An answer to violations that nobody knows.",
      required: {
        [policies]: [labelled(noPublic, { annotations: { "parapet.dev/on-violation": "Ignore" } })],
      },
    },
  };
  test.each(Object.entries(broken))(
    "that cannot be used hold every change: %s",
    (_, { required }) => {
      const held = run({ input, desired: { a: bucket() }, required: { ...none, ...required } });
      expect([held.reason, held.resources]).toEqual(["Held", []]);
      expect(held.message).toContain("cannot be judged");
      const live = { a: bucket({}, { name: "a", namespace: "team-a" }) };
      const observed = { input, observed: live, required: { ...none, ...required } };
      const kept = run({ ...observed, desired: { a: bucket() } });
      expect([kept.reason, kept.resources]).toEqual(["Violated", ["a"]]);
      const changed = run({ ...observed, desired: { a: bucket({ region: "eu-west-2" }) } });
      expect(changed.response.desired?.resources["a"]?.resource?.["spec"]).toEqual(
        bucket()["spec"],
      );
    },
  );

  test("written in the input itself and broken end the pipeline", () => {
    const { message, response } = run({
      input: guardrails([validating("broken", "1 +")]),
      desired,
    });
    expect(response.results[0]?.severity).toBe(1);
    expect(message).toContain("ValidatingPolicy/broken: spec.validations[0].expression");
  });
});

describe("exceptions", () => {
  const withException = (namespace: string, spec?: JsonObject) => ({
    input,
    desired,
    required: {
      ...none,
      [policies]: [labelled(noPublic)],
      [exceptions]: [exception(namespace, spec)],
    },
  });

  test("count from the namespaces that may hold them", () => {
    expect(run(withException("waivers")).reason).toBe("Compliant");
  });
  test("do not count from elsewhere", () => {
    expect(run(withException("team-a")).reason).toBe("Held");
  });
  test("do not count from a ConfigMap of a namespace that may only hold policies", () => {
    const text = `${JSON.stringify(noPublic)}\n---\n${JSON.stringify(exception("waivers"))}`;
    const required = { ...none, [configMaps]: [configMap(text)] };
    expect(run({ input, desired, required }).reason).toBe("Held");
  });
  test("that end soon shorten the time until the next call", () => {
    const soon = new Date(nowMs + 20_000).toISOString();
    expect(run(withException("waivers", { expiresAt: soon })).ttl).toBe(20);
  });
});

describe("lookups", () => {
  const byNamespace = validating("by-namespace", "false", {
    spec: {
      matchConstraints: {
        namespaceSelector: { matchLabels: { tier: "prod" } },
        resourceRules: [
          { apiGroups: ["*"], apiVersions: ["*"], resources: ["buckets"], operations: ["CREATE"] },
        ],
      },
    },
  });
  const namespace = (tier: string): JsonObject => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "team-a", labels: { tier } },
  });
  const name = "get/v1/namespaces//team-a";

  test("of namespaces happen when a policy selects by them", () => {
    const request = { input: guardrails([byNamespace]), desired: { a: bucket() } };
    const first = run(request);
    expect([first.asked, first.reason]).toEqual([[name], undefined]);
    const prod = run({ ...request, required: { [name]: [namespace("prod")] } });
    expect([prod.asked, prod.reason]).toEqual([[name], "Held"]);
    const dev = run({ ...request, required: { [name]: [namespace("dev")] } });
    expect(dev.reason).toBe("Compliant");
  });

  test("of objects that policies name are fetched, found or absent", () => {
    const expression =
      "resource.Get('v1', 'configmaps', 'team-a', 'limits').data.allowed == 'true'";
    const request = {
      input: guardrails([validating("by-map", expression)]),
      desired: { a: bucket() },
    };
    const first = run(request);
    expect(first.asked).toEqual(["get/v1/configmaps/team-a/limits"]);
    const limits = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "limits", namespace: "team-a" },
    };
    const [asked = ""] = first.asked;
    const found = run({
      ...request,
      required: { [asked]: [{ ...limits, data: { allowed: "true" } }] },
    });
    expect(found.reason).toBe("Compliant");
    expect(run({ ...request, required: { [asked]: [] } }).reason).toBe("Held");
  });

  const classic = (urlPath: string, condition: JsonObject): JsonObject => ({
    apiVersion: "kyverno.io/v1",
    kind: "ClusterPolicy",
    metadata: { name: "classic" },
    spec: {
      validationFailureAction: "Enforce",
      rules: [
        {
          name: "limits",
          match: { any: [{ resources: { kinds: ["Bucket"] } }] },
          context: [{ name: "found", apiCall: { urlPath } }],
          validate: { message: "not allowed", deny: { conditions: { any: [condition] } } },
        },
      ],
    },
  });
  const limits = (data: JsonObject, labelled_: JsonObject = {}): JsonObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "limits", namespace: "team-a", labels: labelled_ },
    data,
  });

  test("by apiCall of classic rules are lookups too: one object", () => {
    const policy = classic("/api/v1/namespaces/team-a/configmaps/limits", {
      key: "{{ found.data.allowed }}",
      operator: "NotEquals",
      value: "yes",
    });
    const request = { input: guardrails([policy]), desired: { a: bucket() } };
    const [asked = ""] = run(request).asked;
    expect(asked).toBe("get/v1/configmaps/team-a/limits");
    const answer = (allowed: string) =>
      run({ ...request, required: { [asked]: [limits({ allowed })] } });
    expect([answer("yes").reason, answer("no").reason]).toEqual(["Compliant", "Held"]);
  });

  test("by apiCall of classic rules are lookups too: a list by labels", () => {
    const policy = classic("/api/v1/namespaces/team-a/configmaps?labelSelector=a%3Db", {
      key: "{{ found.items | length(@) }}",
      operator: "Equals",
      value: 0,
    });
    const request = { input: guardrails([policy]), desired: { a: bucket() } };
    const [asked = ""] = run(request).asked;
    expect(asked).toBe("list/v1/configmaps/team-a/a=b");
    const some = run({ ...request, required: { [asked]: [limits({}, { a: "b" })] } });
    expect([some.reason, run({ ...request, required: { [asked]: [] } }).reason]).toEqual([
      "Compliant",
      "Held",
    ]);
  });

  test("of anything else by apiCall is an error that forbids", () => {
    for (const urlPath of [
      "https://example.org/x",
      "/apis/events.k8s.io/v1/events",
      "/api/v1/%zz",
      "/version",
    ]) {
      const { asked, reason } = run({
        input: guardrails([
          classic(urlPath, { key: "{{ found }}", operator: "Equals", value: "x" }),
        ]),
        desired: { a: bucket() },
      });
      expect([urlPath, asked, reason]).toEqual([urlPath, [], "Held"]);
    }
  });

  test.each([
    ["without a namespace", "resource.Get('v1', 'configmaps', '', 'limits').data.a == 'b'"],
    ["without a name", "resource.Get('v1', 'configmaps', 'team-a', '').data.a == 'b'"],
  ])("that would fail the pipeline are errors of the policy: %s", (_, expression) => {
    const { asked, reason, message } = run({
      input: guardrails([validating("nameless", expression)]),
      desired: { a: bucket() },
    });
    expect([asked, reason]).toEqual([[], "Held"]);
    expect(message).toContain("its namespace where it has one");
  });

  test("of a cluster-scoped kind need no namespace, and ignore one", () => {
    for (const own of ["", "team-a"]) {
      const expression = `resource.Get('v1', 'namespaces', '${own}', 'team-a').metadata.name == 'team-a'`;
      const { asked } = run({
        input: guardrails([validating("by-namespace", expression)]),
        desired: { a: bucket() },
      });
      expect(asked).toEqual(["get/v1/namespaces//team-a"]);
    }
  });

  test("of Secrets never happen", () => {
    const expression = "resource.Get('v1', 'secrets', 'team-a', 's').data.key == 'x'";
    const { asked, reason, message } = run({
      input: guardrails([validating("by-secret", expression)]),
      desired: { a: bucket() },
    });
    expect([asked, reason]).toEqual([[], "Held"]);
    expect(message).toContain("cannot be looked up");
  });
});

describe("what Crossplane could not bring", () => {
  // As core v2.4.0 wrote them: an account that may not list pods, and a cluster without Kyverno's definitions.
  const late =
    'cannot compose resources: cannot run Composition pipeline step "guardrails": fetching resources for list/v1/pods/team-a/: cannot list required resources: Timeout: failed waiting for *unstructured.Unstructured Informer to sync';
  const unserved =
    'cannot compose resources: cannot run Composition pipeline step "guardrails": fetching resources for policies/policies.kyverno.io/v1/ValidatingPolicy: cannot list required resources: no matches for kind "ValidatingPolicy" in version "policies.kyverno.io/v1"';
  const synced = (message: string, status = "False") =>
    composite([{ type: "Synced", status, reason: "ReconcileError", message }]);
  const crowded = validating("crowded", "size(resource.List('v1','pods','team-a').items) < 5");
  const lookup: TestRequest = { input: guardrails([crowded]), desired: { a: bucket() } };

  test("is told with the right that is missing, and not asked for in that call", () => {
    const { response, reason, message } = run({ ...lookup, composite: synced(late) });
    expect(reason).toBe("CannotLookUp");
    expect(message).toBe(
      'Crossplane could not read what policies need: Pod of v1 in namespace team-a. Most often its account may not: give it get, list and watch on pods by a ClusterRole with the label rbac.crossplane.io/aggregate-to-crossplane: "true".',
    );
    expect(response.results.map(({ severity }) => severity)).toEqual([1]);
  });

  test("is told for kinds that are not served", () => {
    const { reason, message } = run({ input, desired: {}, composite: synced(unserved) });
    expect(reason).toBe("CannotLookUp");
    expect(message).toContain("take ValidatingPolicy out of policies.fromCluster.kinds");
  });

  test.each([
    ["it came this time", { ...lookup, required: { "list/v1/pods/team-a/": [] } }, late],
    ["something else failed", lookup, "cannot compose resources: cannot apply x"],
    ["it was something else", lookup, late.replace("pods", "nodes")],
    ["it is long over", lookup, ""],
  ])("is asked for again when %s", (_, request, message) => {
    const status = message === "" ? "True" : "False";
    const { reason, asked } = run({ ...request, composite: synced(message || late, status) });
    expect(reason).not.toBe("CannotLookUp");
    expect(asked).toEqual(["list/v1/pods/team-a/"]);
  });
});

describe("approvals", () => {
  const approvable = validating(
    "no-public",
    "object.spec.forProvider.?acl.orValue('private') != 'public'",
    {
      annotations: { "parapet.dev/on-violation": "RequireApproval" },
    },
  );
  const request = { input: guardrails([approvable]), desired };
  const first = run(request);
  const [requirement = ""] = first.asked;
  const waiting = run({ ...request, required: { [requirement]: [] } });
  const digest = /sha256:[0-9a-f]{64}/.exec(waiting.pending?.message ?? "")?.[0] ?? "";

  const approval = (
    spec: JsonObject = {},
    target: JsonObject = {},
    metadata: JsonObject = {},
  ): JsonObject => ({
    apiVersion: "parapet.dev/v1alpha1",
    kind: "Approval",
    metadata: { name: "yes", namespace: "team-a", ...metadata },
    spec: {
      for: {
        composite: {
          apiVersion: "example.org/v1",
          kind: "XStore",
          name: "store",
          resource: "b",
          digest,
          ...target,
        },
      },
      decision: "Approve",
      approvedBy: "jane",
      expiresAt: new Date(nowMs + 30_000).toISOString(),
      ...spec,
    },
  });
  const decide = (objects: readonly JsonObject[], more: Partial<TestRequest> = {}) =>
    run({ ...request, ...more, required: { [requirement]: objects } });

  test("are asked for by the digest of the change, which the condition names", () => {
    expect(requirement).toBe(`approvals/team-a/${digestLabelValue(digest)}`);
    expect(first.response.requirements?.resources[requirement]).toMatchObject({
      kind: "Approval",
      matchLabels: { labels: { "parapet.dev/digest": digest.slice(7, 39) } },
      namespace: "team-a",
    });
    expect([waiting.reason, waiting.pending?.status]).toEqual(["Held", 2]);
    expect(waiting.resources).toEqual([]);
  });

  test("let exactly the approved change through, until they expire", () => {
    const approved = decide([approval()]);
    expect([approved.reason, approved.resources, approved.ttl]).toEqual(["Compliant", ["b"], 30]);
    const swapped = decide([approval()], {
      desired: { b: bucket({ acl: "public", region: "x" }) },
    });
    expect([swapped.reason, swapped.asked.includes(requirement)]).toEqual([undefined, false]);
  });

  const refused: Record<string, { reason: string; objects: JsonObject[] }> = {
    Expired: {
      reason: "An approval is for a time.",
      objects: [approval({ expiresAt: new Date(nowMs).toISOString() })],
    },
    NoTime: {
      reason: "A time that is none never counts.",
      objects: [approval({ expiresAt: "soon" })],
    },
    OtherDigest: {
      reason: "The label holds a part of the digest; the whole of it counts.",
      objects: [approval({}, { digest: `${digest.slice(0, 60)}${"0".repeat(11)}` })],
    },
    OtherResource: { reason: "Bound to one resource.", objects: [approval({}, { resource: "c" })] },
    OtherComposite: {
      reason: "A replay on another composite.",
      objects: [approval({}, { name: "other" })],
    },
    OtherNamespace: {
      reason: "Only where approvals of this composite live.",
      objects: [approval({}, {}, { namespace: "elsewhere" })],
    },
    Leaving: {
      reason: "An approval that is being deleted is revoked.",
      objects: [approval({}, {}, { deletionTimestamp: "2026-01-01T00:00:00Z" })],
    },
    Nobody: { reason: "Somebody must have approved.", objects: [approval({ approvedBy: "" })] },
    Denied: {
      reason: "One Deny outweighs every Approve.",
      objects: [approval(), approval({ decision: "Deny", approvedBy: "joe" })],
    },
  };
  test.each(Object.entries(refused))("count for nothing: %s", (_, { objects }) => {
    expect(decide(objects)).toMatchObject({ reason: "Held", resources: [] });
  });

  test("are looked for again within seconds while nobody has decided, and at leisure after a denial", () => {
    expect(decide([]).ttl).toBe(10);
    expect(decide([approval({ decision: "Deny", expiresAt: "2027-01-01T00:00:00Z" })]).ttl).toBe(
      60,
    );
  });

  test("of whoever asked for the change count for nothing", () => {
    const annotations = { "parapet.dev/last-writer": "jane" };
    const own = decide([approval()], { composite: composite([], { annotations }) });
    expect(own.reason).toBe("Held");
    expect(own.pending?.message).toContain("cannot approve it");
    const other = decide([approval({ approvedBy: "joe" })], {
      composite: composite([], { annotations }),
    });
    expect(other.reason).toBe("Compliant");
  });

  test("of two people are needed where the policy says so", () => {
    const annotations = {
      "parapet.dev/on-violation": "RequireApproval",
      "parapet.dev/approvals": "2",
    };
    const two = { input: guardrails([labelled(approvable, { annotations })]) };
    expect(decide([approval(), approval()], two).reason).toBe("Held");
    expect(decide([approval(), approval({ approvedBy: "joe" })], two).reason).toBe("Compliant");
  });

  test("stay good for a resource that came to exist under a generated name", () => {
    const observed = {
      b: bucket({ acl: "public" }, { name: "store-x", namespace: "team-a", uid: "u" }),
    };
    expect(decide([approval()], { observed }).reason).toBe("Compliant");
  });

  test("of cluster-scoped composites live in the namespace that the installation names", () => {
    const clusterScoped = { ...request, composite: composite([], { namespace: "" }) };
    expect(run(clusterScoped).asked[0]).toMatch(/^approvals\/parapet-approvals\//);
    const { response } = makeCaller("")(clusterScoped);
    const pending = response.conditions.find(({ type }) => type === "ApprovalPending");
    expect(pending?.message).toContain("no namespace is set for approvals");
  });
});
