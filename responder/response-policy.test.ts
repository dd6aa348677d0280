// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { at, isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { type Alert, toAlert } from "#responder/intake/alert";
import { approvalSpec } from "#responder/record/approval-record";
import { allow } from "#responder/budget";
import { driftExceptionSpec } from "#responder/drift/exception";
import type { ExactJson } from "#responder/exact-json";
import { mask } from "#responder/mask";
import { remediationSpec, remediationStatus } from "#responder/record/remediation-record";
import {
  matchesDrift,
  parseResponsePolicy,
  preselects,
  responsePolicySpec,
  whenHolds,
} from "#responder/response-policy";
import { exampleRemediation } from "#test/support/example-remediation";
import { repository } from "#test/support/shared";

const policy = (spec: JsonObject): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "p", generation: 3 },
  spec: { match: { falco: {} }, do: [{ isolate: {} }], ...spec },
});

const wrong = [
  { reason: "Nothing to do is no policy.", spec: { do: [] }, path: "spec.do" },
  {
    reason: "An unknown action is not passed over.",
    spec: { do: [{ explode: {} }] },
    path: "spec.do.0",
  },
  {
    reason: "Nor is an unknown parameter (Talon ignores them).",
    spec: { do: [{ isolate: { allows: [] } }] },
    path: "spec.do.0",
  },
  { reason: "A misspelt field.", spec: { mod: "Propose" }, path: "spec" },
  { reason: "An unknown mode.", spec: { mode: "automatic" }, path: "spec.mode" },
  {
    reason: "No such priority.",
    spec: { match: { falco: { priority: ">=High" } } },
    path: "spec.match",
  },
  {
    reason: "An endless isolation.",
    spec: { do: [{ isolate: { ttl: "9000h" } }] },
    path: "spec.do.0",
  },
  {
    reason: "A time that never is.",
    spec: { do: [{ isolate: { ttl: "0s" } }] },
    path: "spec.do.0",
  },
  {
    reason: "An address is no network.",
    spec: { do: [{ isolate: { allow: [{ cidr: "10.0.0.1" }] } }] },
    path: "spec.do.0",
  },
  {
    reason: "Both alert and drift.",
    spec: { match: { falco: {}, drift: {} } },
    path: "spec.match",
  },
  { reason: "A drift cannot be isolated.", spec: { match: { drift: {} } }, path: "spec.do" },
  {
    reason: "CEL that does not parse.",
    spec: { when: "alert.pod.namespace ==" },
    path: "spec.when",
  },
  { reason: "CEL that is no condition.", spec: { when: "'yes'" }, path: "spec.when" },
  {
    reason: "CEL about something that is not there.",
    spec: { when: "request.user == 'x'" },
    path: "spec.when",
  },
] as const;

describe("a ResponsePolicy", () => {
  it.each(wrong)("is refused by path: $reason", ({ spec, path }) => {
    const parsed = parseResponsePolicy(policy(spec));
    expect(parsed.ok).toBe(false);
    expect(parsed.ok ? [] : parsed.problems.map((one) => one.path).join(" ")).toContain(path);
  });

  it("has safe defaults", () => {
    const parsed = parseResponsePolicy(policy({}));
    expect(parsed.ok && parsed.policy).toMatchObject({
      name: "p",
      generation: 3,
      mode: "Propose",
      spec: {
        limits: { perWorkload: 1, perNamespace: 5, cooldown: 600_000 },
        proposalTtl: 86_400_000,
      },
    });
    expect(parsed.ok && parsed.policy.spec.do[0]).toEqual({
      isolate: {
        ttl: 3_600_000,
        allow: [],
        detach: false,
        onResidualAllows: "Act",
        onOpenConnections: "Report",
      },
    });
  });
});

const alert = (more: Record<string, ExactJson> = {}): Alert => {
  const made = toAlert({
    rule: "Terminal shell in container",
    priority: "Warning",
    source: "syscall",
    tags: ["shell", "container"],
    output_fields: {
      "k8s.ns.name": "shop",
      "k8s.pod.name": "web",
      "proc.name": null,
      "evt.num": 9007199254740993n,
      big: 18446744073670260079n,
    },
    ...more,
  });
  if (typeof made === "string") throw new Error(made);
  return made;
};

const matches = [
  { reason: "An empty match is any alert.", match: {}, want: true },
  { reason: "By rule.", match: { rules: ["Other", "Terminal shell in container"] }, want: true },
  { reason: "Rules are whole names.", match: { rules: ["Terminal shell"] }, want: false },
  { reason: "As urgent or more.", match: { priority: ">=Warning" }, want: true },
  { reason: "More urgent.", match: { priority: ">Warning" }, want: false },
  { reason: "Less urgent.", match: { priority: "<Error" }, want: true },
  { reason: "Exactly.", match: { priority: "Warning" }, want: true },
  { reason: "All tags.", match: { tags: ["shell", "container"] }, want: true },
  { reason: "Not one is enough.", match: { tags: ["shell", "host"] }, want: false },
  { reason: "By source.", match: { sources: ["k8s_audit"] }, want: false },
  {
    reason: "falcosidekick writes syscalls for syscall.",
    match: { sources: ["syscall"] },
    alert: { source: "syscalls" },
    want: true,
  },
  {
    reason: "Of unknown urgency nothing is true.",
    match: { priority: "<=Emergency" },
    alert: { priority: "Odd" },
    want: false,
  },
  {
    reason: "The normalised view.",
    when: "alert.pod.namespace == 'shop' && alert.process.name == ''",
    want: true,
  },
  {
    reason: "Absent is '', so a negative is no trap.",
    when: "alert.pod.namespace != '' && alert.container.id != 'host'",
    want: true,
  },
  {
    reason: "Raw fields with every digit.",
    when: "alert.output_fields['evt.num'] == 9007199254740993",
    want: true,
  },
  {
    reason: "A number beyond int is a double.",
    when: "alert.output_fields.big > 1.0e19",
    want: true,
  },
  {
    reason: "A raw field that is not there is an error, and an error is no match.",
    when: "alert.output_fields.nothing == ''",
    want: false,
  },
  {
    reason: "Without a pod an expression about it is no match.",
    when: "pod.metadata.name == 'web'",
    want: false,
  },
  { reason: "Membership.", when: "'shell' in alert.tags", want: true },
] as const;

const nothingAround = { pod: null, owner: null, namespace: null };

describe("matching", () => {
  it.each(matches)("$reason", (row) => {
    const spec = {
      ...("match" in row ? { match: { falco: row.match } } : {}),
      ...("when" in row ? { when: row.when } : {}),
    };
    const parsed = parseResponsePolicy(policy(spec));
    expect(parsed).toMatchObject({ ok: true });
    const one = alert("alert" in row ? row.alert : {});
    const holds =
      parsed.ok &&
      preselects(parsed.policy, one).matches &&
      whenHolds(parsed.policy, one, nothingAround).matches;
    expect(holds).toBe(row.want);
  });

  it.each([
    {
      reason: "An address outside of the cluster's.",
      when: "isIP(alert.output_fields['fd.rip']) && !cidr('10.0.0.0/8').containsIP(alert.output_fields['fd.rip'])",
      want: true,
    },
    {
      reason: "No address: not taken for one.",
      when: "isIP(alert.rule) && cidr('10.0.0.0/8').containsIP(alert.rule)",
      want: false,
    },
    {
      reason: "A pattern, in linear time.",
      when: "alert.output_fields['proc.cmdline'].matches('^(curl|wget) .*\\\\|')",
      want: true,
    },
  ])("has Kubernetes' functions: $reason", ({ when, want }) => {
    const one = alert({
      output_fields: { "fd.rip": "203.0.113.9", "proc.cmdline": "curl http://x | sh" },
    });
    const parsed = parseResponsePolicy(policy({ when }));
    expect(parsed.ok ? whenHolds(parsed.policy, one, nothingAround).matches : parsed).toBe(want);
  });

  it("may look at the namespace, whose own name is a reserved word in CEL", () => {
    const when = "namespaceObject.metadata.labels.team == 'shop'";
    const parsed = parseResponsePolicy(policy({ when }));
    const holdsFor = (team: string): boolean => {
      const namespace = { metadata: { labels: { team } } };
      return (
        parsed.ok && whenHolds(parsed.policy, alert({}), { ...nothingAround, namespace }).matches
      );
    };
    expect([holdsFor("shop"), holdsFor("other")]).toEqual([true, false]);
  });

  it.each([
    {
      reason: "The workload's own labels, which its pods may not carry.",
      when: "owner.kind == 'Deployment' && owner.metadata.labels.tier == 'edge'",
      want: true,
    },
    { reason: "The pod's labels.", when: "pod.metadata.labels['app'] == 'web'", want: true },
    {
      reason: "A label that is not there is asked for by has().",
      when: "has(pod.metadata.labels.team) && pod.metadata.labels.team == 'x'",
      want: false,
    },
    {
      reason: "What is known of containers.",
      when: "pod.spec.containers.all(c, c.image.startsWith('registry.example/'))",
      want: true,
    },
    {
      reason: "Optional labels without has().",
      when: "pod.metadata.labels[?'team'].orValue('none') == 'none'",
      want: true,
    },
    {
      reason: "Kubernetes' own functions are there.",
      when: "quantity(pod.spec.containers[0].resources.limits.memory).isLessThan(quantity('1Gi'))",
      want: true,
    },
  ])("may look at the pod and its workload: $reason", ({ when, want }) => {
    const parsed = parseResponsePolicy(policy({ when }));
    const pod = {
      metadata: { labels: { app: "web" } },
      spec: {
        containers: [
          { image: "registry.example/web:1", resources: { limits: { memory: "512Mi" } } },
        ],
      },
    };
    const owner = { kind: "Deployment", metadata: { labels: { tier: "edge" } } };
    const around = { ...nothingAround, pod, owner };
    expect(parsed.ok && whenHolds(parsed.policy, alert({}), around).matches).toBe(want);
    // Without them nothing is done on a guess.
    expect(parsed.ok && whenHolds(parsed.policy, alert({}), nothingAround).matches).toBe(false);
  });

  it("of drift is by kind and condition", () => {
    const drift = { namespace: "shop", paths: ["data.x"], managers: ["kubectl-edit"] };
    const holds = (spec: JsonObject, kind: string): boolean => {
      const parsed = parseResponsePolicy(policy({ do: [{ rollback: {} }], ...spec }));
      return parsed.ok && matchesDrift(parsed.policy, kind, drift).matches;
    };
    expect(holds({ match: { drift: { kinds: ["ConfigMap"] } } }, "ConfigMap")).toBe(true);
    expect(holds({ match: { drift: { kinds: ["ConfigMap"] } } }, "Secret")).toBe(false);
    expect(
      holds(
        { match: { drift: {} }, when: "drift.managers.exists(m, m.startsWith('kubectl'))" },
        "X",
      ),
    ).toBe(true);
  });
});

const limits = { perWorkload: 1, perNamespace: 2, cooldown: 1 };
const base = {
  mode: "Automatic",
  policy: "isolate-shells",
  namespace: "prod",
  workload: "ReplicaSet/new",
  limits,
  others: [],
  isStale: false,
  isProtected: false,
  stopped: false,
} as const;
const inForce = exampleRemediation({ name: "x", state: "Realised" });
const other = (more: Partial<typeof inForce> = {}) => ({
  ...inForce,
  workload: "ReplicaSet/old",
  ...more,
});

const allowances = [
  { reason: "Within all limits.", question: {}, want: "Automatic" },
  { reason: "A policy that proposes never acts.", question: { mode: "Propose" }, want: "Propose" },
  {
    reason: "A protected namespace is only watched.",
    question: { isProtected: true },
    want: "Observe",
  },
  { reason: "An old alert is for review.", question: { isStale: true }, want: "Propose" },
  { reason: "The global stop.", question: { stopped: true }, want: "Propose" },
  { reason: "One other workload leaves room.", question: { others: [other()] }, want: "Automatic" },
  {
    reason: "The namespace is at its limit.",
    question: { others: [other(), other()] },
    want: "Propose",
  },
  {
    reason: "What has ended does not count.",
    question: { others: [other(), other({ status: { ...inForce.status, state: "Undone" } })] },
    want: "Automatic",
  },
  {
    reason: "Nor does another policy's.",
    question: { others: [other(), other({ policy: "else" })] },
    want: "Automatic",
  },
  {
    reason: "The workload is at its limit.",
    question: { others: [other({ workload: "ReplicaSet/new" })] },
    want: "Propose",
  },
  {
    reason: "Bare pods have no workload in common.",
    question: { workload: "", others: [other({ workload: "" })] },
    want: "Automatic",
  },
] as const;

describe("how far a response goes by itself", () => {
  it.each(allowances)("$want: $reason", ({ question, want }) => {
    expect(allow({ ...base, ...question }).mode).toBe(want);
  });
});

describe("masking", () => {
  it.each([
    ["curl -H 'Authorization: Bearer abcdefghijkl'", "abcdefghijkl"],
    ["mysql --password=hunter2 -u root", "hunter2"],
    ["export AWS_SECRET_ACCESS_KEY=AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"],
    ["git clone https://me:s3cr3t@example.org/x", "s3cr3t"],
    ['{"token": "eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc"}', "eyJzdWIiOiIx"],
    ["api_key: 0123456789", "0123456789"],
  ])("%s", (text, secret) => {
    expect(mask(text)).not.toContain(secret);
  });
  it("leaves the rest", () => {
    expect(mask("A shell was spawned (user=root cmdline=sh -c ls)")).toBe(
      "A shell was spawned (user=root cmdline=sh -c ls)",
    );
    expect(mask("x".repeat(200_000))).toHaveLength(200_000);
  });
});

/** Paths of all members of a JSON schema, as `spec.target.uid`; items of lists under `[]`. Free-form parts end there. */
function members(schema: Json | undefined, path: string, into: Set<string>): void {
  const items = at(schema, ["items"]);
  if (items !== undefined && isObject(items)) members(items, `${path}[]`, into);
  const either = at(schema, ["anyOf"]);
  for (const one of isArray(either) ? either : []) members(one, path, into);
  const properties = at(schema, ["properties"]);
  if (!isObject(properties)) return;
  for (const [name, below] of Object.entries(properties)) {
    into.add(`${path}.${name}`);
    members(below, `${path}.${name}`, into);
  }
}

describe("the definitions of our kinds", () => {
  const crd = (file: string): Json | undefined => {
    const parsed: unknown = parse(readFileSync(join(repository, "package/crds", file), "utf8"));
    const schema = ["spec", "versions", 0, "schema", "openAPIV3Schema", "properties"];
    return isObject(parsed) ? at(parsed, schema) : undefined;
  };
  const read = (schema: z.ZodType): Json => {
    const made: unknown = JSON.parse(
      JSON.stringify(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })),
    );
    return isObject(made) ? made : {};
  };
  it.each([
    {
      what: "Remediation spec",
      file: "parapet.dev_remediations.yaml",
      part: "spec",
      schema: remediationSpec,
      only: [],
    },
    // For people and printer columns: written, never read back.
    {
      what: "Remediation status",
      file: "parapet.dev_remediations.yaml",
      part: "status",
      schema: remediationStatus,
      only: [".reason", ".message"],
    },
    {
      what: "ResponsePolicy spec",
      file: "parapet.dev_responsepolicies.yaml",
      part: "spec",
      schema: responsePolicySpec,
      only: [],
    },
    {
      what: "DriftException spec",
      file: "parapet.dev_driftexceptions.yaml",
      part: "spec",
      schema: driftExceptionSpec,
      only: [],
    },
    // The function's part of an Approval, which the responder does not read.
    {
      what: "Approval spec",
      file: "parapet.dev_approvals.yaml",
      part: "spec",
      schema: approvalSpec,
      only: [
        ".for.composite",
        ".for.composite.apiVersion",
        ".for.composite.digest",
        ".for.composite.kind",
        ".for.composite.name",
        ".for.composite.resource",
      ],
    },
  ])(
    "have the members that the code reads, and no others: $what",
    ({ file, part, schema, only }) => {
      const [defined, used] = [new Set<string>(), new Set<string>()];
      members(at(crd(file), [part]), "", defined);
      members(read(schema), "", used);
      expect([...defined].filter((one) => !used.has(one)).sort()).toEqual([...only].sort());
      expect([...used].filter((one) => !defined.has(one))).toEqual([]);
    },
  );
});
