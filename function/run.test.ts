// SPDX-License-Identifier: Apache-2.0
import { RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { describe, expect, test } from "vitest";
import { makeHandler } from "#function/handler";
import { WireError } from "#function/wire/reader";
import { decodeRequest } from "#function/wire/request";
import { finish, makeWriter, putHead, putStruct, putText } from "#function/wire/writer";
import { at, isObject, parseJson, type JsonObject } from "#policy/json";
import {
  bucket,
  composite,
  encodeRequest,
  generating,
  guardrails,
  makeCaller,
  mutating,
  noPublic,
  nowMs,
  validating,
  type TestRequest,
} from "#test/support/run-function";

// Tables of whole calls: what goes in, what comes out, and why the row exists.

const call = makeCaller();

type Want = {
  /** Names of the composed resources in the answer. */
  resources?: readonly string[];
  /** Condition PolicyCompliant: status/reason. */
  compliant?: string;
  /** Parts of the condition's message. */
  message?: readonly string[];
  /** Severities of the results: 1 fatal, 2 warning, 3 normal. */
  results?: readonly number[];
  compositeReady?: number | undefined;
};

const run = (request: TestRequest) => {
  const { response, log } = call(request);
  const condition = response.conditions.find(({ type }) => type === "PolicyCompliant");
  return { response, log, condition };
};

const statuses = ["Unspecified", "Unknown", "True", "False"];

function check(request: TestRequest, want: Want): void {
  const { response, condition } = run(request);
  const status = condition && `${statuses[condition.status]}/${condition.reason}`;
  const got: Want = {
    resources: Object.keys(response.desired?.resources ?? {}).sort(),
    ...(status === undefined ? {} : { compliant: status }),
    results: response.results.map(({ severity }) => severity),
    compositeReady: response.desired?.composite?.ready,
  };
  const { message = [], ...exact } = want;
  expect(got).toMatchObject(exact);
  for (const part of message) expect(condition?.message).toContain(part);
}

const imagePolicy = (action: string): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ImageValidatingPolicy",
  metadata: { name: "signed" },
  spec: {
    validationActions: [action],
    matchConstraints: {
      resourceRules: [
        { apiGroups: ["*"], apiVersions: ["*"], resources: ["buckets"], operations: ["CREATE"] },
      ],
    },
  },
});

const classic: JsonObject = {
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "classic" },
  spec: {
    validationFailureAction: "Enforce",
    rules: [
      {
        name: "private",
        match: { any: [{ resources: { kinds: ["Bucket"] } }] },
        validate: {
          message: "acl must be private",
          pattern: { spec: { forProvider: { acl: "private" } } },
        },
      },
    ],
  },
};

const noNamespace: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "no-namespace" },
  spec: {
    validationActions: ["Deny"],
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], resources: ["namespaces"], operations: ["*"] },
      ],
    },
    validations: [{ expression: "false", message: "no namespaces" }],
  },
};

const classicRule = (name: string, rule: JsonObject, resources: JsonObject = {}): JsonObject => ({
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name },
  spec: {
    validationFailureAction: "Enforce",
    rules: [
      { name, match: { any: [{ resources: { kinds: ["Bucket"], ...resources } }] }, ...rule },
    ],
  },
});
const byCall = classicRule("by-call", {
  context: [
    {
      name: "count",
      apiCall: {
        urlPath: "/apis/s3.aws.m.upbound.io/v1beta1/namespaces/{{ request.namespace }}/buckets",
        jmesPath: "items | length(@)",
      },
    },
  ],
  validate: {
    message: "one bucket is enough, there are {{ count }}",
    deny: { conditions: { any: [{ key: "{{ count }}", operator: "GreaterThan", value: 1 }] } },
  },
});
const failingInjection = (failurePolicy: string): JsonObject => ({
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "inject" },
  spec: {
    failurePolicy,
    rules: [
      {
        name: "inject",
        match: { any: [{ resources: { kinds: ["Bucket"] } }] },
        mutate: {
          patchStrategicMerge: {
            metadata: { labels: { owner: "{{ request.object.metadata.labels.nobody }}" } },
          },
        },
      },
    ],
  },
});
const onCreateOnly = classicRule(
  "on-create",
  { validate: { message: "no new buckets", deny: {} } },
  { operations: ["CREATE"] },
);
const byTier = validating("by-tier", "false", {
  message: "not in prod",
  spec: {
    matchConstraints: {
      namespaceSelector: { matchLabels: { tier: "prod" } },
      resourceRules: [
        { apiGroups: ["*"], apiVersions: ["*"], resources: ["buckets"], operations: ["CREATE"] },
      ],
    },
  },
});

const live = (forProvider: JsonObject, extra: JsonObject = {}): JsonObject => ({
  ...bucket(forProvider, { name: "store-abcde", namespace: "team-a", ...extra }),
});

const rows: Record<string, { reason: string; request: TestRequest; want: Want }> = {
  Compliant: {
    reason: "Nothing to say: a condition and no events.",
    request: { input: guardrails([noPublic]), desired: { a: bucket() } },
    want: { resources: ["a"], compliant: "True/Compliant", results: [], compositeReady: undefined },
  },
  NewViolating: {
    reason: "A new violating resource waits, the others go on, the composite is not ready.",
    request: {
      input: guardrails([noPublic]),
      desired: { a: bucket(), b: bucket({ acl: "public" }) },
    },
    want: {
      resources: ["a"],
      compliant: "False/Held",
      results: [2],
      compositeReady: 2,
      message: ["b: public buckets are not allowed (ValidatingPolicy/no-public)", "not created"],
    },
  },
  ExistingViolating: {
    reason: "An existing resource is never left out, for that would delete it.",
    request: {
      input: guardrails([noPublic]),
      observed: { a: live({}) },
      desired: { a: bucket({ acl: "public" }) },
    },
    want: { resources: ["a"], compliant: "False/Held", compositeReady: 2, results: [2] },
  },
  ExistingUnchanged: {
    reason: "A policy tightened later reports and holds nothing; the composite may stay ready.",
    request: {
      input: guardrails([noPublic]),
      observed: { a: live({ acl: "public" }) },
      desired: { a: bucket({ acl: "public" }) },
    },
    want: {
      resources: ["a"],
      compliant: "False/Violated",
      compositeReady: undefined,
      results: [2],
      message: ["exists already"],
    },
  },
  OnlyLiveViolates: {
    reason:
      "The effective object counts: somebody else's field breaks the policy although the desired state is silent.",
    request: {
      input: guardrails([noPublic]),
      observed: { a: live({ acl: "public" }) },
      desired: { a: bucket() },
    },
    want: { resources: ["a"], compliant: "False/Violated" },
  },
  Audit: {
    reason: "Audit reports and lets through.",
    request: {
      input: guardrails([validating("audited", "false", { action: "Audit" })]),
      desired: { a: bucket() },
    },
    want: {
      resources: ["a"],
      compliant: "False/Reported",
      results: [2],
      compositeReady: undefined,
    },
  },
  Report: {
    reason: "onViolation Report lets an enforced violation through too.",
    request: {
      input: guardrails([noPublic], { onViolation: "Report" }),
      desired: { a: bucket({ acl: "public" }) },
    },
    want: { resources: ["a"], compliant: "False/Reported", compositeReady: undefined },
  },
  Fatal: {
    reason: "onViolation Fatal ends the pipeline with everything that is wrong.",
    request: {
      input: guardrails([noPublic], { onViolation: "Fatal" }),
      desired: { a: bucket({ acl: "public" }), b: bucket({ acl: "public" }) },
    },
    want: { resources: ["a", "b"], results: [1], message: ["a: public", "b: public"] },
  },
  FatalByAnnotation: {
    reason: "A policy's own annotation outweighs the Guardrails.",
    request: {
      input: guardrails([
        validating("own", "false", { annotations: { "parapet.dev/on-violation": "Fatal" } }),
      ]),
      desired: { a: bucket() },
    },
    want: { results: [1] },
  },
  EvaluationError: {
    reason: "A policy that fails to evaluate forbids, as failurePolicy Fail says.",
    request: {
      input: guardrails([validating("broken", "object.spec.nothing.here == 1")]),
      desired: { a: bucket() },
    },
    want: { resources: [], compliant: "False/Held", message: ["cannot be judged"] },
  },
  InjectionFails: {
    reason:
      "What a policy was to inject and could not is missing: the resource waits, as at admission.",
    request: {
      input: guardrails([
        mutating(
          "tags",
          "Object{metadata: Object.metadata{labels: {'a': object.spec.nothing.here}}}",
        ),
      ]),
      desired: { a: bucket() },
    },
    want: { resources: [], compliant: "False/Held", message: ["cannot be judged"] },
  },
  ClassicInjectionFails: {
    reason: "A classic policy's action is about violations, not about what it failed to inject.",
    request: { input: guardrails([failingInjection("Fail")]), desired: { a: bucket() } },
    want: { resources: [], compliant: "False/Held", message: ["ClusterPolicy/inject"] },
  },
  ClassicInjectionMayFail: {
    reason: "Unless its author lets failures be: then it is told.",
    request: { input: guardrails([failingInjection("Ignore")]), desired: { a: bucket() } },
    want: { resources: ["a"], compliant: "False/Reported", message: ["ClusterPolicy/inject"] },
  },
  Unsupported: {
    reason: "A policy that cannot be evaluated here forbids what it matches, and says why.",
    request: {
      input: guardrails([imagePolicy("Deny")]),
      desired: { a: bucket(), b: { apiVersion: "v1", kind: "ConfigMap" } },
    },
    want: { resources: ["b"], compliant: "False/Held", message: ["cannot be judged", "registry"] },
  },
  UnsupportedAudit: {
    reason: "Unless it only reports: then its silence is reported.",
    request: { input: guardrails([imagePolicy("Audit")]), desired: { a: bucket() } },
    want: { resources: ["a"], compliant: "False/Reported", message: ["cannot be judged"] },
  },
  Classic: {
    reason: "A ClusterPolicy runs as it is.",
    request: {
      input: guardrails([classic]),
      desired: { a: bucket({ acl: "private" }), b: bucket({ acl: "public" }) },
    },
    want: { resources: ["a"], compliant: "False/Held", message: ["ClusterPolicy/classic"] },
  },
  Dependants: {
    reason: "Whoever refers to a resource that waits is named.",
    request: {
      input: guardrails([noPublic]),
      desired: {
        a: bucket({ acl: "public" }, { name: "main" }),
        b: bucket({ loggingRef: { name: "main" } }),
        c: bucket({ rules: [{ targetRefs: [{ name: "main" }] }] }),
        d: bucket({ otherRef: { name: "else" } }),
      },
    },
    want: {
      resources: ["b", "c", "d"],
      message: ["a: public", "not created until this is resolved; referred to by b, c"],
    },
  },
  DependantsOfOtherKinds: {
    reason: "Also those that no policy speaks about, and those that select what has no name yet.",
    request: {
      input: guardrails([noPublic]),
      desired: {
        a: bucket({ acl: "public" }, { labels: { role: "logs" } }),
        b: {
          apiVersion: "s3.aws.m.upbound.io/v1beta1",
          kind: "BucketVersioning",
          spec: { forProvider: { bucketSelector: { matchControllerRef: true } } },
        },
        c: {
          apiVersion: "s3.aws.m.upbound.io/v1beta1",
          kind: "BucketLogging",
          spec: { forProvider: { targetBucketSelector: { matchLabels: { role: "logs" } } } },
        },
        d: {
          apiVersion: "s3.aws.m.upbound.io/v1beta1",
          kind: "BucketLogging",
          spec: { forProvider: { targetBucketSelector: { matchLabels: { role: "other" } } } },
        },
      },
    },
    want: { resources: ["b", "c", "d"], message: ["resolved; referred to by b, c"] },
  },
  Followers: {
    reason:
      "What lives in a namespace that waits would be refused by the API server, and Crossplane would apply nothing more.",
    request: {
      input: guardrails([noNamespace]),
      composite: composite([], { namespace: "" }),
      desired: {
        a: { apiVersion: "v1", kind: "Namespace", metadata: { name: "orders" } },
        b: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "orders" } },
        c: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", namespace: "other" } },
        d: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "y", namespace: "orders" } },
      },
      observed: {
        d: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "y", namespace: "orders" } },
      },
    },
    want: {
      resources: ["c", "d"],
      compliant: "False/Held",
      message: ["2 resources held back. a: no namespaces", "resolved; with it wait b"],
    },
  },
  NoUser: {
    reason: "A policy about the requester cannot be judged, and says why.",
    request: {
      input: guardrails([validating("by-user", "'admins' in request.userInfo.groups")]),
      desired: { a: bucket() },
    },
    want: { resources: [], message: ["cannot be judged", "(a composition is told no user)"] },
  },
  OtherKinds: {
    reason: "A kind that no policy speaks about passes.",
    request: {
      input: guardrails([noPublic]),
      desired: { a: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x" } } },
    },
    want: { resources: ["a"], compliant: "True/Compliant" },
  },
  Composed: {
    reason: "A policy can look at the other composed resources.",
    request: {
      input: guardrails([
        validating(
          "has-block",
          "resource.List('s3.aws.m.upbound.io/v1beta1', 'bucketpublicaccessblocks', '').items.size() > 0",
        ),
      ]),
      desired: { a: bucket() },
    },
    want: { resources: [], compliant: "False/Held" },
  },
  ComposedFound: {
    reason: "And is satisfied when the other one is there.",
    request: {
      input: guardrails([
        validating(
          "has-block",
          "resource.List('s3.aws.m.upbound.io/v1beta1', 'bucketpublicaccessblocks', '').items.size() > 0",
        ),
      ]),
      desired: {
        a: bucket(),
        b: {
          apiVersion: "s3.aws.m.upbound.io/v1beta1",
          kind: "BucketPublicAccessBlock",
          spec: { forProvider: {} },
        },
      },
    },
    want: { resources: ["a", "b"], compliant: "True/Compliant" },
  },
  ComposedByName: {
    reason: "One of them by its name, whatever else is in the cluster.",
    request: {
      input: guardrails([
        validating(
          "settings",
          "resource.Get('v1', 'configmaps', 'team-a', 'settings').data.mode == 'live'",
        ),
      ]),
      desired: {
        a: bucket(),
        b: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "settings" },
          data: { mode: "live" },
        },
      },
    },
    want: { resources: ["a", "b"], compliant: "True/Compliant" },
  },
  ComposedByCall: {
    reason: "Classic rules look at the composed set by apiCall.",
    request: {
      input: guardrails([byCall]),
      desired: { a: bucket(), b: bucket() },
    },
    want: {
      resources: [],
      compliant: "False/Held",
      message: ["a: one bucket is enough, there are 2", "b: one bucket is enough"],
    },
  },
  ComposedByCallAlone: {
    reason: "And the one under review is a part of it.",
    request: { input: guardrails([byCall]), desired: { a: bucket() } },
    want: { resources: ["a"], compliant: "True/Compliant" },
  },
  ComposedNamespace: {
    reason: "Labels of a namespace that the composition makes itself select, before it exists.",
    request: {
      input: guardrails([byTier]),
      composite: composite([], { namespace: "" }),
      desired: {
        a: bucket({}, { name: "a", namespace: "orders" }),
        b: {
          apiVersion: "v1",
          kind: "Namespace",
          metadata: { name: "orders", labels: { tier: "prod" } },
        },
      },
    },
    want: { resources: ["b"], compliant: "False/Held", message: ["a: not in prod"] },
  },
  ComposedNamespaceByName: {
    reason: "Also by the label that the API server gives every namespace.",
    request: {
      input: guardrails([
        validating("by-name", "false", {
          message: "not in orders",
          spec: {
            matchConstraints: {
              namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "orders" } },
              resourceRules: [
                {
                  apiGroups: ["*"],
                  apiVersions: ["*"],
                  resources: ["buckets"],
                  operations: ["CREATE"],
                },
              ],
            },
          },
        }),
      ]),
      composite: composite([], { namespace: "" }),
      desired: {
        a: bucket({}, { name: "a", namespace: "orders" }),
        b: { apiVersion: "v1", kind: "Namespace", metadata: { name: "orders" } },
      },
    },
    want: { resources: ["b"], compliant: "False/Held", message: ["a: not in orders"] },
  },
  ComposedInjected: {
    reason: "The others are seen with what is injected into them.",
    request: {
      input: guardrails([
        mutating("tag", "Object{metadata: Object.metadata{labels: {'tagged': 'yes'}}}"),
        validating(
          "all-tagged",
          `resource.List('s3.aws.m.upbound.io/v1beta1', 'buckets', 'team-a', {'tagged': 'yes'})
            .items.size() == 2`,
        ),
      ]),
      desired: { a: bucket(), b: bucket() },
    },
    want: { resources: ["a", "b"], compliant: "True/Compliant" },
  },
  ClassicOperation: {
    reason: "Operations of classic rules: an existing resource is no creation.",
    request: {
      input: guardrails([onCreateOnly]),
      desired: { a: bucket(), b: bucket() },
      observed: { a: live({}) },
    },
    want: { resources: ["a"], compliant: "False/Held", message: ["b: no new buckets"] },
  },
  Composite: {
    reason: "The composite is a variable of its own.",
    request: {
      input: guardrails([validating("by-composite", "composite.metadata.namespace == 'team-b'")]),
      desired: { a: bucket() },
    },
    want: { resources: [], compliant: "False/Held" },
  },
  Namespace: {
    reason: "The namespace that Crossplane will set is already there to be judged.",
    request: {
      input: guardrails([
        validating(
          "rendered",
          "object.metadata.namespace == 'team-a' && object.metadata.labels['crossplane.io/composite'] == 'store'",
        ),
      ]),
      desired: { a: bucket() },
    },
    want: { resources: ["a"], compliant: "True/Compliant" },
  },
  Update: {
    reason: "An existing resource is an UPDATE with the live object as oldObject.",
    request: {
      input: guardrails([
        validating(
          "update",
          "request.operation == 'UPDATE' && oldObject.spec.forProvider.region == 'eu-west-1'",
        ),
      ]),
      observed: { a: live({}) },
      desired: { a: bucket({ region: "eu-west-2" }) },
    },
    want: { resources: ["a"], compliant: "True/Compliant" },
  },
};

describe("verdicts", () => {
  test.each(Object.entries(rows))("%s", (_, { request, want }) => check(request, want));
});

describe("injection", () => {
  const tags = mutating(
    "tags",
    "Object{spec: Object.spec{forProvider: Object.spec.forProvider{tags: {'team': 'a'}}}}",
  );

  test("states what is injected and nothing that Crossplane adds", () => {
    const { response } = run({
      input: guardrails([tags]),
      desired: { a: bucket() },
      ready: { a: 1 },
    });
    expect(response.desired?.resources["a"]?.resource).toEqual(bucket({ tags: { team: "a" } }));
    expect(response.desired?.resources["a"]?.ready).toBe(1);
  });

  test("is the same on the second call, when the resource exists", () => {
    const first = run({ input: guardrails([tags]), desired: { a: bucket() } });
    const second = run({
      input: guardrails([tags]),
      desired: { a: bucket() },
      observed: { a: live({ tags: { team: "a" } }) },
    });
    expect(second.response.desired).toEqual(first.response.desired);
  });

  test("a policy for creations only is not taken back after the creation", () => {
    const once = mutating(
      "once",
      "Object{spec: Object.spec{forProvider: Object.spec.forProvider{tags: {'team': 'a'}}}}",
      {
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: ["*"],
              apiVersions: ["*"],
              resources: ["buckets"],
              operations: ["CREATE"],
            },
          ],
        },
      },
    );
    const { response } = run({
      input: guardrails([once]),
      desired: { a: bucket() },
      observed: { a: live({ tags: { team: "a" } }) },
    });
    expect(response.desired?.resources["a"]?.resource).toEqual(bucket({ tags: { team: "a" } }));
  });

  test("a pinned connection secret is the resource's own, and the same before and after it exists", () => {
    const secretOf = (observed: Record<string, JsonObject>, desired: Record<string, JsonObject>) =>
      Object.values(
        run({
          input: guardrails([noPublic], { pin: ["writeConnectionSecretToRef"] }),
          desired,
          observed,
        }).response.desired?.resources ?? {},
      ).map(({ resource }): unknown => at(resource ?? {}, ["spec", "writeConnectionSecretToRef"]));
    const cluster = { apiVersion: "s3.aws.upbound.io/v1beta1", kind: "Bucket" };
    const desired = { a: bucket(), b: bucket(), c: { ...cluster, spec: { forProvider: {} } } };
    const [a, b, c] = secretOf({}, desired);
    const name: unknown = expect.stringMatching(/^parapet-[0-9a-f]{24}$/);
    expect([a, b, c]).toEqual([{ name }, { name }, { name, namespace: "crossplane-system" }]);
    expect(a).not.toEqual(b);
    const mine = { writeConnectionSecretToRef: { name: "mine" } };
    const stolen = { ...live({}), spec: { forProvider: {}, ...mine } };
    expect(secretOf({ a: stolen }, { a: bucket() })).toEqual([a]);
    const own = {
      ...bucket(),
      spec: { forProvider: {}, writeConnectionSecretToRef: { name: "x" } },
    };
    expect(secretOf({}, { a: own })).toEqual([{ name: "x" }]);
  });

  test("pins are stated in managed resources only, and only where the composition is silent", () => {
    const { response } = run({
      input: guardrails([noPublic], {
        pin: ["managementPolicies", "paused", "deletionPolicy", "providerConfigRef"],
      }),
      desired: {
        a: bucket(),
        b: { ...bucket(), spec: { forProvider: {}, managementPolicies: ["Observe"] } },
        c: { apiVersion: "s3.aws.upbound.io/v1beta1", kind: "Bucket", spec: { forProvider: {} } },
        d: { apiVersion: "v1", kind: "ConfigMap", data: {} },
      },
    });
    const spec = (name: string): unknown => response.desired?.resources[name]?.resource?.["spec"];
    expect(spec("a")).toEqual({
      forProvider: { region: "eu-west-1" },
      managementPolicies: ["*"],
      providerConfigRef: { kind: "ClusterProviderConfig", name: "default" },
    });
    expect(response.desired?.resources["a"]?.resource?.["metadata"]).toEqual({
      annotations: { "crossplane.io/paused": "false" },
    });
    expect(spec("b")).toMatchObject({ managementPolicies: ["Observe"] });
    expect(spec("c")).toMatchObject({
      deletionPolicy: "Delete",
      providerConfigRef: { name: "default" },
    });
    expect(response.desired?.resources["d"]?.resource).toEqual({
      apiVersion: "v1",
      kind: "ConfigMap",
      data: {},
    });
  });
});

describe("injection of the time and of chance", () => {
  const stamped = classicRule("stamped", {
    mutate: {
      patchStrategicMerge: {
        metadata: {
          annotations: { "created-at": "{{ time_now_utc() }}", token: "{{ random('[a-z]{12}') }}" },
        },
      },
    },
  });
  const written = { managedFields: [{ operation: "Update", time: "2026-05-01T10:00:00Z" }] };
  const callAt = (ms: number, observed: Record<string, JsonObject> = {}) => {
    const handler = makeHandler({ now: () => ms, log: () => undefined, approvalNamespace: "" });
    const bytes = encodeRequest({
      input: guardrails([stamped]),
      desired: { a: bucket(), b: bucket() },
      observed,
      composite: composite([], written),
    });
    const resources = RunFunctionResponse.decode(handler(bytes)).desired?.resources;
    return (name: string): unknown =>
      at(resources?.[name]?.resource ?? {}, ["metadata", "annotations"]);
  };

  test("is the same in every call, and another for every resource", () => {
    const [first, later] = [callAt(nowMs), callAt(nowMs + 60_000)];
    expect(later("a")).toEqual(first("a"));
    expect(first("a")).toMatchObject({ "created-at": "2026-05-01T10:00:00Z" });
    expect(first("a")).not.toEqual(first("b"));
  });

  test("keeps the time of the creation afterwards", () => {
    const a = live({}, { creationTimestamp: "2026-05-01T10:00:03Z", uid: "u" });
    const [one, two] = [callAt(nowMs, { a }), callAt(nowMs + 60_000, { a })];
    expect(one("a")).toMatchObject({ "created-at": "2026-05-01T10:00:03Z" });
    expect(two("a")).toEqual(one("a"));
  });
});

describe("companions", () => {
  const block = generating("block", [
    {
      expression: `generator.Apply("team-a", [{
          "apiVersion": dyn("s3.aws.m.upbound.io/v1beta1"), "kind": dyn("BucketPublicAccessBlock"),
          "metadata": dyn({"labels": {"of": "bucket"}}),
          "spec": dyn({"forProvider": {"region": object.spec.forProvider.region, "blockPublicAcls": true}})
        }])`,
    },
  ]);
  const name = "a--block--bucketpublicaccessblock";

  test("are added with a stable name, their subject, and a readiness of their own", () => {
    const { response } = run({ input: guardrails([block]), desired: { a: bucket() } });
    const companion = response.desired?.resources[name];
    expect(companion?.resource).toMatchObject({
      kind: "BucketPublicAccessBlock",
      metadata: { annotations: { "parapet.dev/companion-of": "a" } },
      spec: { forProvider: { region: "eu-west-1", blockPublicAcls: true } },
    });
    expect(companion?.ready).toBe(2);
  });

  const existing = (status: string): JsonObject => ({
    apiVersion: "s3.aws.m.upbound.io/v1beta1",
    kind: "BucketPublicAccessBlock",
    metadata: { name: "x", uid: "u", annotations: { "parapet.dev/companion-of": "a" } },
    spec: { forProvider: { region: "eu-west-1", blockPublicAcls: true } },
    status: { conditions: [{ type: "Ready", status }] },
  });

  test("are ready when they say so", () => {
    for (const [status, ready] of [
      ["True", 1],
      ["False", 2],
    ] as const) {
      const { response } = run({
        input: guardrails([block]),
        desired: { a: bucket() },
        observed: { [name]: existing(status) },
      });
      expect(response.desired?.resources[name]?.ready).toBe(ready);
    }
  });

  test("stay when their policy is gone, and go when their subject is", () => {
    const observed = { [name]: existing("True") };
    const stays = run({ input: guardrails([noPublic]), desired: { a: bucket() }, observed });
    expect(stays.response.desired?.resources[name]?.resource?.["spec"]).toEqual(
      existing("True")["spec"],
    );
    expect(stays.response.desired?.resources[name]?.ready).toBe(1);
    const goes = run({ input: guardrails([noPublic]), desired: { b: bucket() }, observed });
    expect(Object.keys(goes.response.desired?.resources ?? {})).toEqual(["b"]);
  });

  test("of a resource of which a change is held belong to what it is, not to what it asks for", () => {
    const regional = generating("regional", [
      {
        expression: `generator.Apply("team-a", [{
          "apiVersion": dyn("s3.aws.m.upbound.io/v1beta1"), "kind": dyn("BucketVersioning"),
          "spec": dyn({"forProvider": {"region": object.spec.forProvider.region}})
        }])`,
      },
    ]);
    const { response } = run({
      input: guardrails([
        regional,
        validating("here", "object.spec.forProvider.region == 'eu-west-1'"),
      ]),
      desired: { a: bucket({ region: "us-east-1" }) },
      observed: { a: live({}) },
    });
    const region = (of: string): unknown =>
      at(response.desired?.resources[of]?.resource ?? {}, ["spec", "forProvider", "region"]);
    expect(region("a")).toBe("eu-west-1");
    expect(region("a--regional--bucketversioning")).toBe("eu-west-1");
  });

  test("of a resource that waits wait with it", () => {
    const { response } = run({
      input: guardrails([block, noPublic]),
      desired: { a: bucket({ acl: "public" }) },
    });
    expect(Object.keys(response.desired?.resources ?? {})).toEqual([]);
  });
});

describe("what is told", () => {
  const violating = { input: guardrails([noPublic]), desired: { b: bucket({ acl: "public" }) } };
  const conditionOf = (request: TestRequest): JsonObject => {
    const { condition } = run(request);
    return {
      type: "PolicyCompliant",
      status: statuses[condition?.status ?? 0] ?? "",
      reason: condition?.reason ?? "",
      message: condition?.message ?? "",
    };
  };

  test("events only on transitions", () => {
    expect(run(violating).response.results).toHaveLength(1);
    const known = conditionOf(violating);
    expect(run({ ...violating, composite: composite([known]) }).response.results).toEqual([]);
    const two = { ...violating, desired: { ...violating.desired, c: bucket({ acl: "public" }) } };
    const { results } = run({ ...two, composite: composite([known]) }).response;
    expect(results.map(({ message }) => message.slice(0, 10))).toEqual(["c: public "]);
    const resolved = run({
      ...violating,
      desired: { b: bucket() },
      composite: composite([known]),
    }).response;
    expect(resolved.results.map(({ severity, reason }) => [severity, reason])).toEqual([
      [3, "Compliant"],
    ]);
  });

  test("a message is the same from call to call, in whatever order the keys of objects come", () => {
    const quoting = classicRule("quoting", {
      validate: { message: "found {{ keys(request.object.spec.forProvider) }}", deny: {} },
    });
    const input = guardrails([quoting], { writeStatus: true });
    const ask = (forProvider: JsonObject, known?: readonly JsonObject[], status?: JsonObject) => {
      const base = composite(known ?? []);
      const object = { ...base, status: { ...base.status, ...(status && { parapet: status }) } };
      const desired = { b: { ...bucket(), spec: { forProvider } } };
      return run({ input, desired, composite: object });
    };
    const first = ask({ one: 1, two: 2, three: 3 });
    const message = first.condition?.message ?? "";
    expect(message).toContain("found");
    const known = [{ type: "PolicyCompliant", status: "False", reason: "Held", message }];
    const status = at(first.response.desired?.composite?.resource ?? {}, ["status", "parapet"]);
    const again = ask({ three: 3, one: 1, two: 2 }, known, isObject(status) ? status : {});
    expect([again.condition?.message, again.response.results]).toEqual([message, []]);
    expect(at(again.response.desired?.composite?.resource ?? {}, ["status", "parapet"])).toEqual(
      status,
    );
    const other = ask({ three: 3, one: 1, four: 4 }, known);
    expect(other.condition?.message).not.toBe(message);
    expect(other.response.results).toHaveLength(1);
  });

  const callAt = (ms: number, request: TestRequest) => {
    const spec = { now: () => ms, log: () => undefined, approvalNamespace: "" };
    return RunFunctionResponse.decode(makeHandler(spec)(encodeRequest(request)));
  };
  const clock = validating("clock", "false", {
    spec: {
      validations: [
        {
          expression: "false",
          messageExpression: "object.metadata.name + ' at ' + string(time.now())",
        },
      ],
    },
  });
  const sizeChange = validating("size", "object.spec.forProvider.size == 1", {
    spec: {
      validations: [
        {
          expression: "object.spec.forProvider.size == 1",
          messageExpression: "'size is ' + string(object.spec.forProvider.size)",
        },
      ],
    },
  });
  const toldBy = (response: RunFunctionResponse) => {
    const [told] = response.conditions;
    const { type = "", reason = "", message = "" } = told ?? {};
    const parapet = at(response.desired?.composite?.resource ?? {}, ["status", "parapet"]) ?? {};
    const base = composite([{ type, status: "False", reason, message }]);
    return { ...base, status: { ...base.status, parapet } };
  };

  test("nor does it tell the time again and again", () => {
    const input = guardrails([clock], { writeStatus: true });
    const desired = { a: bucket({}, { name: "a" }), b: bucket({}, { name: "b" }) };
    const first = callAt(nowMs, { input, desired });
    expect(first.conditions[0]?.message).toContain("b at 2026-06-01T00:00:00Z");
    const later = callAt(nowMs + 5_000, { input, desired, composite: toldBy(first) });
    expect([later.conditions, later.results]).toEqual([first.conditions, []]);
    expect(later.desired?.composite?.resource).toEqual(first.desired?.composite?.resource);
  });

  test("not where it ends the pipeline either", () => {
    const input = guardrails([clock], { onViolation: "Fatal" });
    const first = callAt(nowMs, { input, desired: { a: bucket() } });
    const desired = { a: bucket() };
    const later = callAt(nowMs + 5_000, { input, desired, composite: toldBy(first) });
    expect(first.conditions[0]?.message).toContain("2026-06-01T00:00:00Z");
    expect([later.conditions, later.results]).toEqual([first.conditions, first.results]);
  });

  test("but every other number, also beside one that tells the time", () => {
    const input = guardrails([clock, sizeChange]);
    const ask = (ms: number, size: number, known?: JsonObject) =>
      callAt(ms, {
        input,
        desired: { a: bucket({ size }, { name: "a" }) },
        ...(known === undefined ? {} : { composite: known }),
      });
    const first = ask(nowMs, 5);
    const later = ask(nowMs + 5_000, 7, toldBy(first));
    expect(later.conditions[0]?.message).toContain("a at 2026-06-01T00:00:00Z");
    expect(later.results.map(({ message }) => message)).toEqual([
      expect.stringContaining("a: size is 7"),
    ]);
    const back = validating(
      "back",
      "object.spec.forProvider.size == oldObject.spec.forProvider.size",
      {
        spec: {
          validations: [
            {
              expression: "object.spec.forProvider.size == oldObject.spec.forProvider.size",
              messageExpression:
                "'size goes from ' + string(oldObject.spec.forProvider.size) + ' to ' + string(object.spec.forProvider.size)",
            },
          ],
        },
      },
    );
    const change = (from: number, to: number, known: JsonObject) =>
      callAt(nowMs, {
        input: guardrails([back]),
        desired: { a: bucket({ size: to }) },
        observed: { a: bucket({ size: from }) },
        composite: known,
      });
    const grown = change(1, 2, composite());
    const shrunk = change(2, 1, toldBy(grown));
    expect(shrunk.conditions[0]?.message).toContain("size goes from 2 to 1");
    expect(shrunk.results).toHaveLength(1);
  });

  test("many violations are counted, and the message is bounded", () => {
    const desired = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`b${i}`, bucket({ acl: "public" })]),
    );
    const { condition, response } = run({ ...violating, desired });
    expect(condition?.message).toContain("300 resources held back");
    expect(condition?.message).toContain("and 280 more");
    expect(condition?.message?.length).toBeLessThan(20_000);
    expect(response.results).toHaveLength(11);
  });

  test("a policy that is bound twice says the same once, and forbids where one binding does", () => {
    const kinds = { apiVersion: "admissionregistration.k8s.io/v1" };
    const bound = (name: string, action: string): JsonObject => ({
      ...kinds,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: "private", validationActions: [action] },
    });
    const policy: JsonObject = {
      ...kinds,
      kind: "ValidatingAdmissionPolicy",
      metadata: { name: "private" },
      spec: {
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: ["s3.aws.m.upbound.io"],
              apiVersions: ["*"],
              resources: ["buckets"],
              operations: ["*"],
            },
          ],
        },
        validations: [{ expression: "!has(object.spec.forProvider.acl)", message: "no acl" }],
      },
    };
    const desired = { a: bucket({ acl: "public" }) };
    const input = (...actions: string[]) =>
      guardrails([policy, ...actions.map((action, index) => bound(`b${index}`, action))]);
    const twice = run({ input: input("Deny", "Deny"), desired });
    expect(twice.condition?.message?.split("no acl")).toHaveLength(2);
    const warned = run({ input: input("Deny", "Warn"), desired });
    expect(warned.condition?.reason).toBe("Held");
  });

  test("a claim's owner is told too", () => {
    const labels = {
      "crossplane.io/composite": "store",
      "crossplane.io/claim-name": "store",
      "crossplane.io/claim-namespace": "team-a",
    };
    const { condition, response } = run({ ...violating, composite: composite([], { labels }) });
    expect([condition?.target, response.results[0]?.target]).toEqual([2, 2]);
  });

  test("the same request gives the same bytes", () => {
    const [a, b] = [call(violating).bytes, makeCaller()(violating).bytes];
    expect(a.equals(b)).toBe(true);
  });

  const labels = Object.fromEntries(["c", "a", "e", "b", "d"].map((key) => [key, "x"]));
  const maps = ["team-c", "team-a", "team-b"].map((namespace) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "limits", namespace },
  }));
  test.each([
    [
      "keys of a map",
      "object.metadata.labels.map(key, key).join(',')",
      "a,b,c,d,e,crossplane.io/composite",
    ],
    [
      "objects of a list",
      "dyn(resource.List('v1', 'configmaps', '').items).map(each, each.metadata.namespace).join(',')",
      "team-a,team-b,team-c",
    ],
    [
      "composed objects of a list",
      "dyn(resource.List('s3.aws.m.upbound.io/v1beta1', 'buckets', 'team-a').items).map(each, each.metadata.name).join(',')",
      "a,b,c",
    ],
  ])(
    "a policy sees the %s in one order, whatever order the request has",
    (_, messageExpression, want) => {
      const spec = { validations: [{ expression: "false", messageExpression }] };
      const { condition } = run({
        input: guardrails([validating("told", "false", { spec })]),
        desired: {
          c: bucket({}, { name: "a", labels }),
          a: bucket({}, { name: "c", labels }),
          b: bucket({}, { name: "b", labels }),
        },
        required: { "list/v1/configmaps//": maps },
      });
      expect(condition?.message).toContain(`a: ${want} (`);
    },
  );

  test("status.parapet is written when asked for, beside the status of others", () => {
    const { response } = run({
      ...violating,
      input: guardrails([noPublic], { writeStatus: true }),
      desiredStatus: { own: 1 },
    });
    expect(response.desired?.composite?.resource).toMatchObject({
      status: {
        own: 1,
        parapet: { violationCount: 1, held: [{ resource: "b", paths: [] }] },
      },
    });
  });

  test("tag, context and readiness of others pass through", () => {
    const { response } = run({
      input: guardrails([noPublic]),
      desired: { a: bucket() },
      ready: { a: 1 },
      context: { key: { deep: [1, null] } },
    });
    expect(response.meta?.tag).toBe("tag");
    expect(response.meta?.ttl?.seconds).toBe(60);
    expect(response.context).toEqual({ key: { deep: [1, null] } });
    expect(response.desired?.resources["a"]?.ready).toBe(1);
  });

  test("values of Secrets are not shown, whatever a policy says about them", () => {
    const leaky: JsonObject = {
      apiVersion: "policies.kyverno.io/v1",
      kind: "ValidatingPolicy",
      metadata: { name: "leaky" },
      spec: {
        validationActions: ["Deny"],
        matchConstraints: {
          resourceRules: [
            { apiGroups: [""], apiVersions: ["v1"], resources: ["secrets"], operations: ["*"] },
          ],
        },
        validations: [{ expression: "false", messageExpression: "'found ' + object.data.key" }],
      },
    };
    const { bytes, log } = call({
      input: guardrails([leaky]),
      desired: {
        s: {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: "s" },
          data: { key: "aHVudGVyMg==" },
        },
      },
    });
    expect(bytes.includes("aHVudGVyMg==")).toBe(false);
    expect(log.join("\n")).not.toContain("aHVudGVyMg==");
  });
});

describe("memory of earlier calls", () => {
  // One caller for all calls of a test: what it remembers must never show.
  const answer = (caller: ReturnType<typeof makeCaller>, request: TestRequest): string => {
    const { response } = caller(request);
    return `${response.conditions[0]?.reason} ${Object.keys(response.desired?.resources ?? {})
      .sort()
      .join(",")}`;
  };
  const base: TestRequest = {
    input: guardrails([noPublic]),
    desired: { a: bucket() },
    observed: { a: live({}) },
  };
  const changes: Record<string, { reason: string; request: TestRequest; want: string }> = {
    Same: { reason: "The same state has the same verdict.", request: base, want: "Compliant a" },
    Desired: {
      reason: "Another desired state of the same encoded length is another question.",
      request: { ...base, desired: { a: bucket({ acl: "public" }) } },
      want: "Held a",
    },
    Observed: {
      reason: "So is another live object.",
      request: { ...base, observed: { a: live({ acl: "public" }) } },
      want: "Violated a",
    },
    Policy: {
      reason: "So are other policies.",
      request: { ...base, input: guardrails([validating("never", "false")]) },
      want: "Violated a",
    },
    Gone: {
      reason: "So is a resource that no longer exists.",
      request: { ...base, observed: {} },
      want: "Compliant a",
    },
    Composite: {
      reason: "And another composite.",
      request: { ...base, composite: composite([], { uid: "2", namespace: "team-b" }) },
      want: "Compliant a",
    },
  };
  test.each(Object.entries(changes))("%s", (_, { request, want }) => {
    const caller = makeCaller();
    for (let i = 0; i < 3; i++) expect(answer(caller, base)).toBe("Compliant a");
    expect(answer(caller, request)).toBe(want);
    expect(answer(caller, base)).toBe("Compliant a");
  });

  test("gives the same bytes as a fresh process, injections and companions included", () => {
    const request = {
      ...base,
      input: guardrails([
        mutating(
          "tags",
          "Object{spec: Object.spec{forProvider: Object.spec.forProvider{tags: {'a': 'b'}}}}",
        ),
        generating("block", [
          {
            expression: `generator.Apply("team-a", [{"apiVersion": dyn("v1"), "kind": dyn("ConfigMap"),
              "data": dyn({"of": string(object.kind)})}])`,
          },
        ]),
      ]),
    };
    const caller = makeCaller();
    const [first, second, third] = [caller(request), caller(request), caller(request)];
    expect(second?.bytes.equals(first?.bytes ?? Buffer.alloc(0))).toBe(true);
    expect(third?.bytes.equals(makeCaller()(request).bytes)).toBe(true);
  });

  test("does not cover policies that look at other resources or at the composite", () => {
    const byOthers = validating(
      "by-others",
      "resource.List('v9.example.org/v1', 'others', '').items.size() == 0",
    );
    const byComposite = validating("by-composite", "composite.spec.?open.orValue(true) == true");
    const caller = makeCaller();
    const request = { ...base, input: guardrails([byOthers, byComposite]) };
    expect(answer(caller, request)).toBe("Compliant a");
    const closed = { ...composite(), spec: { open: false } };
    expect(answer(caller, { ...request, composite: closed })).toBe("Violated a");
    const other = { apiVersion: "v9.example.org/v1", kind: "Other", metadata: { name: "o" } };
    expect(answer(caller, { ...request, desired: { a: bucket(), o: other } })).toBe("Violated a,o");
    expect(answer(caller, request)).toBe("Compliant a");
  });
});

describe("limits", () => {
  test("an answer above 4 MiB becomes a Fatal result that says so", () => {
    const desired = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`b${i}`, bucket({ note: "x".repeat(90_000) })]),
    );
    const { response, bytes } = call({ input: guardrails([noPublic]), desired });
    expect(response.results[0]?.message).toContain("larger than the 4194304");
    expect(bytes.length).toBeLessThan(10_000);
  });

  test("an answer just below 4 MiB goes through", () => {
    const desired = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`b${i}`, bucket({ note: "x".repeat(100_000) })]),
    );
    const { response, bytes } = call({ input: guardrails([noPublic]), desired });
    expect(bytes.length).toBeGreaterThan(4_000_000);
    expect(Object.keys(response.desired?.resources ?? {})).toHaveLength(40);
  });

  test("bytes that are no request are refused, and never judged", () => {
    const bytes = encodeRequest({ input: guardrails([noPublic]), desired: { a: bucket() } });
    const handler = makeHandler({ now: () => nowMs, log: () => undefined, approvalNamespace: "" });
    for (const cut of [1, 50, bytes.length - 1]) {
      expect(() => handler(bytes.subarray(0, cut))).toThrow(WireError);
    }
  });

  test("an unexpected error ends the pipeline, and nobody hears what it said", () => {
    const log: string[] = [];
    const broken = makeHandler({
      now: () => {
        throw new Error("password hunter2");
      },
      log: (level, message, fields) => log.push(`${level} ${message} ${JSON.stringify(fields)}`),
      approvalNamespace: "",
    });
    const request = encodeRequest({ input: guardrails([noPublic]), desired: { a: bucket() } });
    const { results, desired } = RunFunctionResponse.decode(broken(request));
    expect(results.map(({ severity, reason }) => [severity, reason])).toEqual([
      [1, "InternalError"],
    ]);
    expect(Object.keys(desired?.resources ?? {})).toEqual(["a"]);
    expect(`${JSON.stringify(results)} ${log.join(" ")}`).not.toContain("hunter2");
    expect(log[0]).toContain("run.test.ts");
  });

  const nested = (depth: number): JsonObject => {
    let value: JsonObject = {};
    for (let i = 0; i < depth; i++) value = { a: value };
    return value;
  };

  test("objects nested far deeper than the SDK reads are judged", () => {
    const bytes = handMade({ ...bucket({ acl: "public" }), deep: nested(200) });
    expect(Object.keys(decodeNames(bytes))).toEqual([]);
  });

  test("nesting without end is a Fatal result that names the resource", () => {
    // The SDK cannot read this answer, as it gives the deep object back; Crossplane's Go codec can.
    const answer = handle(handMade({ ...bucket(), deep: nested(300) }));
    expect(answer.includes("CannotJudge")).toBe(true);
    expect(answer.includes("deep: the object is nested deeper than 256 levels")).toBe(true);
  });

  test("names and keys that objects treat specially are judged and kept like others", () => {
    const proto = parseJson('{"__proto__":"a","constructor":"b"}');
    const bytes = handMade({ ...bucket({ tags: proto }), kind: "Bucket" }, "__proto__");
    const answer = answerOf(bytes);
    expect(answer.conditions[0]?.reason).toBe("Compliant");
    const { desired } = decodeRequest(bytes);
    const whole = desired.whole;
    if (whole === undefined) throw new Error("no desired state");
    expect(handle(bytes).includes(whole.bytes.subarray(whole.start, whole.end))).toBe(true);
  });
});

const handle = makeHandler({ now: () => nowMs, log: () => undefined, approvalNamespace: "" });
const answerOf = (bytes: Buffer) => RunFunctionResponse.decode(handle(bytes));
const decodeNames = (bytes: Buffer) => answerOf(bytes).desired?.resources ?? {};

/** A request with one resource that the SDK's codec could not write: by our own writer. */
function handMade(object: JsonObject, name = "deep"): Buffer {
  const base = encodeRequest({ input: guardrails([noPublic]) });
  const writer = makeWriter(1024);
  putStruct(writer, object);
  putHead(writer, 1, 0);
  putHead(writer, 2, 0);
  putText(writer, 1, name);
  putHead(writer, 2, 0);
  putHead(writer, 3, 0);
  const { desired } = decodeRequest(base);
  if (desired.whole === undefined) throw new Error("the base has a desired state");
  // The base's own desired state is empty: two bytes, tag and length.
  const before = base.subarray(0, desired.whole.start - 2);
  return Buffer.concat([before, base.subarray(desired.whole.end), finish(writer)]);
}
