// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { pod, validate, validateRule, verdict } from "#policy/kyverno/classic/testing";
import type { RunOptions } from "#policy/kyverno/classic/testing";

const rule = validateRule({ message: "m", pattern: { spec: { x: 1 } } });
const failed = "fail: validation error: m. rule r failed at path /spec/x/";
const granted = "skip: rule is skipped due to policy exceptionsops/e";

const pods = { any: [{ resources: { kinds: ["Pod"] } }] };

const exception = (spec: JsonObject, name = "e"): JsonObject => ({
  apiVersion: "kyverno.io/v2",
  kind: "PolicyException",
  metadata: { name, namespace: "ops" },
  spec: { exceptions: [{ policyName: "p", ruleNames: ["r"] }], match: pods, ...spec },
});

const whenHost = (value: Json): JsonObject => ({
  conditions: { all: [{ key: "{{ request.object.spec.host }}", operator: "Equals", value }] },
});

describe("exceptions", () => {
  const rows: readonly {
    readonly reason: string;
    readonly spec: JsonObject;
    readonly options?: RunOptions;
    readonly want: string;
  }[] = [
    { reason: "the rule and the resource are named", spec: {}, want: granted },
    {
      reason: "rules by wildcards",
      spec: { exceptions: [{ policyName: "p", ruleNames: ["x", "?"] }] },
      want: granted,
    },
    {
      reason: "another rule",
      spec: { exceptions: [{ policyName: "p", ruleNames: ["x"] }] },
      want: failed,
    },
    {
      reason: "policies have no wildcards",
      spec: { exceptions: [{ policyName: "*", ruleNames: ["r"] }] },
      want: failed,
    },
    {
      reason: "a namespaced policy goes by both its names",
      spec: { exceptions: [{ policyName: "default/p", ruleNames: ["r"] }] },
      options: { kind: "Policy", namespace: "default" },
      want: granted,
    },
    {
      reason: "its own name alone is another policy",
      spec: {},
      options: { kind: "Policy", namespace: "default" },
      want: failed,
    },
    {
      reason: "other resources",
      spec: { match: { any: [{ resources: { kinds: ["Pod"], names: ["x"] } }] } },
      want: failed,
    },
    {
      reason: "all blocks of all",
      spec: { match: { all: [...pods.any, { resources: { names: ["x"] } }] } },
      want: failed,
    },
    { reason: "a match that says nothing", spec: { match: {} }, want: failed },
    {
      reason: "for somebody, and nobody is known",
      spec: { match: { any: [{ subjects: [{ kind: "User", name: "*" }] }] } },
      want: failed,
    },
    { reason: "conditions that hold", spec: whenHost("a"), want: granted },
    { reason: "conditions that do not", spec: whenHost("b"), want: failed },
    {
      reason: "conditions that cannot be evaluated grant nothing",
      spec: { conditions: { all: [{ key: "{{ x.y }}", operator: "Equals", value: "a" }] } },
      want: failed,
    },
  ];
  test.each(rows)("$reason", ({ spec, options, want }) => {
    const exceptions = [exception(spec)];
    expect(verdict(rule, pod({ host: "a" }), { ...options, exceptions })).toBe(want);
  });

  test("all that apply are named", () => {
    const exceptions = [exception({}), exception({}, "f")];
    const [result] = validate([rule], pod(), { exceptions });
    expect(result).toMatchObject({ result: "skip", exceptions: ["ops/e", "ops/f"] });
  });

  test("a rule that would pass is skipped as well", () => {
    expect(verdict(rule, pod({ x: 1 }), { exceptions: [exception({})] })).toBe(granted);
  });

  test("preconditions come first", () => {
    const preconditions = { all: [{ key: "a", operator: "Equals", value: "b" }] };
    const guarded = { ...rule, preconditions };
    const want = "skip: preconditions not met";
    expect(verdict(guarded, pod(), { exceptions: [exception({})] })).toBe(want);
  });
});

describe("exceptions from controls of the Pod Security Standards", () => {
  const baseline = validateRule({ podSecurity: { level: "baseline", version: "latest" } });
  const hostNetwork = pod({ hostNetwork: true, containers: [{ name: "a", image: "nginx:1" }] });
  const both = pod({
    hostNetwork: true,
    containers: [{ name: "a", image: "nginx:1", securityContext: { privileged: true } }],
  });
  const allow = (...podSecurity: readonly JsonObject[]): RunOptions => ({
    exceptions: [exception({ podSecurity })],
  });
  const rows: readonly {
    readonly reason: string;
    readonly object: JsonObject;
    readonly options: RunOptions;
    readonly want: string;
  }[] = [
    {
      reason: "without controls the whole rule is skipped, in words of its own",
      object: hostNetwork,
      options: { exceptions: [exception({})] },
      want: "skip: rule is skipped due to policy exception ops/e",
    },
    {
      reason: "the control that is violated",
      object: hostNetwork,
      options: allow({ controlName: "Host Namespaces" }),
      want: "skip: rule is skipped due to policy exceptions ops/e",
    },
    {
      reason: "another control",
      object: hostNetwork,
      options: allow({ controlName: "Sysctls" }),
      want: `fail: Validation rule 'r' failed. It violates PodSecurity "baseline:latest": (Forbidden reason: host namespaces, field error list: [spec.hostNetwork is forbidden, forbidden values found: true])`,
    },
    {
      reason: "one of two",
      object: both,
      options: allow({ controlName: "Host Namespaces" }),
      want: `fail: Validation rule 'r' failed. It violates PodSecurity "baseline:latest": (Forbidden reason: privileged, field error list: [spec.containers[0].securityContext.privileged is forbidden, forbidden values found: true])`,
    },
    {
      reason: "both, the second for its image",
      object: both,
      options: allow(
        { controlName: "Host Namespaces" },
        { controlName: "Privileged Containers", images: ["nginx*"] },
      ),
      want: "skip: rule is skipped due to policy exceptions ops/e",
    },
    {
      reason: "a pod that violates nothing passes",
      object: pod({ containers: [] }),
      options: allow({ controlName: "Host Namespaces" }),
      want: "pass: Validation rule 'r' passed.",
    },
  ];
  test.each(rows)("$reason", ({ object, options, want }) => {
    expect(verdict(baseline, object, options)).toBe(want);
  });
});
