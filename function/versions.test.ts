// SPDX-License-Identifier: Apache-2.0
import {
  Severity,
  type ResourceSelector,
  type RunFunctionResponse,
} from "@crossplane-org/function-sdk-typescript";
import { Client, credentials, ServerCredentials } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { makeHandler } from "#function/handler";
import { startServer } from "#function/server";
import { at, textAt, type JsonObject } from "#policy/json";
import {
  bucket,
  encodeRequest,
  guardrails,
  makeCaller,
  noPublic,
  nowMs,
  validating,
  type TestRequest,
} from "#test/support/run-function";

// What differs between versions of Crossplane, call by call: how it is asked for more, what it understands, how often it
// asks again. The loop is that of core internal/xfn/required_resources.go (FetchingFunctionRunner) of each version.

type Version = {
  /** Capabilities that core tells; none before v2.2. */
  readonly capabilities: readonly number[];
  /** Before v2.0 requirements are `extra_resources`, and selectors know no namespace. */
  readonly isOld: boolean;
  /** v2.4 gives what was asked for last time with the first call. */
  readonly seeds: boolean;
};

const versions: Readonly<Record<string, Version>> = {
  "v2.4": { capabilities: [1, 2, 3, 4, 5], isOld: false, seeds: true },
  "v2.2": { capabilities: [1, 2, 3, 4, 5], isOld: false, seeds: false },
  "v2.0": { capabilities: [], isOld: false, seeds: false },
  "v1.20": { capabilities: [], isOld: true, seeds: false },
};

const iterationsMax = 5;

type Found = Record<string, readonly JsonObject[]>;
type Run = { readonly response: RunFunctionResponse; readonly calls: number; readonly seed: Found };

/** Calls the function as that version does, with the objects of a cluster. Throws when its requirements never settle. */
function reconcile(
  version: Version,
  request: TestRequest,
  cluster: readonly JsonObject[],
  seed: Found = {},
): Run {
  const call = makeCaller("approvals");
  let required: Found = version.seeds ? seed : {};
  let before: string | undefined;
  for (let i = 0; i <= iterationsMax; i++) {
    const given = version.isOld ? { extra: required } : { required };
    const { response } = call({ ...request, ...given, capabilities: version.capabilities });
    const asked = version.isOld
      ? response.requirements?.extraResources
      : response.requirements?.resources;
    const text = JSON.stringify(asked ?? {});
    const isFatal = response.results.some(({ severity }) => severity === Severity.SEVERITY_FATAL);
    const found = fetchAll(asked ?? {}, cluster, version);
    const isSeen = i === 0 && JSON.stringify(found) === JSON.stringify(required);
    if (isFatal || text === before || isSeen) return { response, calls: i + 1, seed: found };
    before = text;
    required = found;
  }
  throw new Error("requirements didn't stabilize after the maximum number of iterations (5)");
}

function fetchAll(
  asked: Readonly<Record<string, ResourceSelector>>,
  cluster: readonly JsonObject[],
  { isOld }: Version,
): Found {
  return Object.fromEntries(
    Object.entries(asked).map(([name, selector]) => {
      const isNamed = selector.matchName !== undefined;
      if (isOld && isNamed && selector.namespace !== undefined) {
        throw new Error("an empty namespace may not be set when a resource name is provided");
      }
      const namespace = isOld ? undefined : selector.namespace;
      return [name, cluster.filter((object) => isSelected(object, selector, namespace))];
    }),
  );
}

function isSelected(object: JsonObject, selector: ResourceSelector, namespace?: string): boolean {
  const labels = Object.entries(selector.matchLabels?.labels ?? {});
  return (
    object["apiVersion"] === selector.apiVersion &&
    object["kind"] === selector.kind &&
    (namespace === undefined || textAt(object, ["metadata", "namespace"]) === namespace) &&
    (selector.matchName === undefined ||
      textAt(object, ["metadata", "name"]) === selector.matchName) &&
    labels.every(([key, value]) => at(object, ["metadata", "labels", key]) === value)
  );
}

const labels = { "parapet.dev/composition": "enforced" };
const policyMap = (namespace: string, policies: readonly JsonObject[]): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "policies", namespace, labels },
  data: { "policies.yaml": policies.map((each) => JSON.stringify(each)).join("\n---\n") },
});
const limits = (namespace: string, allowed: string): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "limits", namespace },
  data: { allowed },
});
const fromCluster = {
  matchLabels: labels,
  kinds: [{ apiVersion: "v1", kind: "ConfigMap" }],
  namespaces: ["platform"],
};
const input = guardrails([], {}, { fromCluster });
const desired = { a: bucket(), b: bucket({ acl: "public" }) };

const summary = ({ response }: Run) => {
  const condition = response.conditions.find(({ type }) => type === "PolicyCompliant");
  return `${condition?.reason} ${Object.keys(response.desired?.resources ?? {})
    .sort()
    .join(",")}`;
};
const ttl = ({ response }: Run) => response.meta?.ttl?.seconds;

describe.each(Object.entries(versions))("Crossplane %s", (_, version) => {
  test("asks again until it has the policies, and never takes the call before for the verdict", () => {
    const run = reconcile(version, { input, desired }, [policyMap("platform", [noPublic])]);
    expect([summary(run), run.calls]).toEqual(["Held a", 2]);
    const again = reconcile(
      version,
      { input, desired },
      [policyMap("platform", [noPublic])],
      run.seed,
    );
    expect([summary(again), again.calls]).toEqual(["Held a", version.seeds ? 1 : 2]);
  });

  test("cannot be given policies from a tenant's namespace", () => {
    const cluster = [policyMap("team-a", [validating("never", "false")])];
    expect(summary(reconcile(version, { input, desired }, cluster))).toBe("Compliant a,b");
  });

  test("is not content with fewer policies that come under the same name, as a Composition may ask for", () => {
    const name = "policies/v1/ConfigMap/platform";
    const cluster = [policyMap("platform", [noPublic])];
    expect(summary(reconcile(version, { input, desired }, cluster, { [name]: [] }))).toBe("Held a");
  });

  test("looks up one object of one namespace", () => {
    const expression =
      "resource.Get('v1', 'configmaps', 'team-a', 'limits').data.allowed == 'true'";
    const request = {
      input: guardrails([validating("by-map", expression)]),
      desired: { a: bucket() },
    };
    const own = [limits("team-b", "false"), limits("team-a", "true"), limits("other", "false")];
    expect(summary(reconcile(version, request, own))).toBe("Compliant a");
    const others = [limits("team-b", "true")];
    expect(summary(reconcile(version, request, others))).toBe("Held ");
  });

  test("counts the objects of one namespace only", () => {
    const expression = "resource.List('v1', 'configmaps', 'team-a').items.size() == 1";
    const request = {
      input: guardrails([validating("by-list", expression)]),
      desired: { a: bucket() },
    };
    const own = [limits("team-a", "true"), limits("team-b", "true")];
    expect(summary(reconcile(version, request, own))).toBe("Compliant a");
  });

  const approvable = validating(
    "no-public",
    "object.spec.forProvider.?acl.orValue('private') != 'public'",
    { annotations: { "parapet.dev/on-violation": "RequireApproval" } },
  );
  const approval = (digest: string, namespace: string): JsonObject => ({
    apiVersion: "parapet.dev/v1alpha1",
    kind: "Approval",
    metadata: { name: "yes", namespace, labels: { "parapet.dev/digest": digest.slice(7, 39) } },
    spec: {
      for: {
        composite: {
          apiVersion: "example.org/v1",
          kind: "XStore",
          name: "store",
          resource: "b",
          digest,
        },
      },
      decision: "Approve",
      approvedBy: "jane",
      expiresAt: new Date(nowMs + 3_600_000).toISOString(),
    },
  });

  test("wakes up for an approval: by its watch, or within seconds by the time to live", () => {
    const request = { input: guardrails([approvable]), desired };
    const waiting = reconcile(version, request, []);
    expect([summary(waiting), ttl(waiting)]).toEqual(["Held a", 10]);
    const pending = waiting.response.conditions.find(({ type }) => type === "ApprovalPending");
    const digest = /sha256:[0-9a-f]{64}/.exec(pending?.message ?? "")?.[0] ?? "";
    const elsewhere = reconcile(version, request, [approval(digest, "team-b")], waiting.seed);
    expect(summary(elsewhere)).toBe("Held a");
    const approved = reconcile(version, request, [approval(digest, "team-a")], waiting.seed);
    expect([summary(approved), ttl(approved)]).toEqual(["Compliant a,b", 60]);
  });

  test("settles within its five iterations when policies, a lookup, a second one and an approval follow each other", () => {
    const chained = validating(
      "chained",
      `resource.Get('v1', 'configmaps', 'team-a',
        resource.Get('v1', 'configmaps', 'team-a', 'limits').data.allowed).data.allowed == 'x'`,
      { annotations: { "parapet.dev/on-violation": "RequireApproval" } },
    );
    const next = { ...limits("team-a", "y"), metadata: { name: "next", namespace: "team-a" } };
    const cluster = [policyMap("platform", [chained]), limits("team-a", "next"), next];
    const run = reconcile(version, { input, desired: { a: bucket() } }, cluster);
    expect([summary(run), run.calls]).toEqual(["Held ", 4]);
  });

  test("ends with an error, not with a verdict, when lookups follow each other without end", () => {
    const links = Array.from({ length: 9 }, (_each, i) => ({
      ...limits("team-a", `m${i + 1}`),
      metadata: { name: `m${i}`, namespace: "team-a" },
    }));
    const get = (inner: string) =>
      `resource.Get('v1', 'configmaps', 'team-a', ${inner}).data.allowed`;
    const deep = Array.from({ length: 7 }).reduce<string>((inner) => get(inner), "'m0'");
    const request = {
      input: guardrails([validating("deep", `${deep} == 'm7'`)]),
      desired: { a: bucket() },
    };
    expect(() => reconcile(version, request, links)).toThrow("didn't stabilize");
  });
});

test("a Crossplane that tells its capabilities is asked once, an older one by both names", () => {
  const call = makeCaller();
  const asked = (capabilities: readonly number[]) => {
    const { requirements } = call({ input, desired, capabilities }).response;
    return [
      Object.keys(requirements?.resources ?? {}),
      Object.keys(requirements?.extraResources ?? {}),
    ];
  };
  const name = "policies/v1/ConfigMap/platform";
  expect(asked([1])).toEqual([[name], []]);
  expect(asked([])).toEqual([[name], [name]]);
});

test("the service is there under the name that Crossplane before v1.17 and its fallback call", async () => {
  const server = await startServer("127.0.0.1:0", {
    handler: makeHandler({ now: () => nowMs, log: () => undefined, approvalNamespace: "" }),
    credentials: ServerCredentials.createInsecure(),
    receiveBytesMax: 1024 * 1024,
    clientSans: [],
    log: () => undefined,
  });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const bytes = encodeRequest({ input: guardrails([noPublic]), desired });
  const asIs = (each: Buffer) => each;
  const answers = await Promise.all(
    ["v1", "v1beta1"].map(
      (version) =>
        new Promise<Buffer>((resolve, reject) => {
          const path = `/apiextensions.fn.proto.${version}.FunctionRunnerService/RunFunction`;
          client.makeUnaryRequest(path, asIs, asIs, bytes, (error, answer) => {
            if (answer === undefined) reject(error ?? new Error("no answer"));
            else resolve(answer);
          });
        }),
    ),
  );
  client.close();
  await server.drain(100);
  const [now, before] = answers;
  expect(now?.length).toBeGreaterThan(100);
  expect(before?.equals(now ?? Buffer.alloc(0))).toBe(true);
});

test("what is answered under both names counts once, the newer first", () => {
  const name = "policies/v1/ConfigMap/platform";
  const strict = [policyMap("platform", [noPublic])];
  const call = makeCaller();
  const reason = (required: Found, extra: Found) =>
    call({ input, desired, capabilities: [], required, extra }).response.conditions[0]?.reason;
  expect(reason({ [name]: strict }, { [name]: [] })).toBe("Held");
  expect(reason({ [name]: [] }, { [name]: strict })).toBe("Compliant");
});
