// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { compileClassicPolicy } from "#policy/kyverno/classic/compile";
import {
  compileRules,
  mutate,
  pod,
  policyOf,
  validate,
  validateRule,
  verdict,
} from "#policy/kyverno/classic/testing";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";

/** The mistakes that whoever builds this engine anew makes first, one group each; every row says why it is there. */

const image = (...images: readonly string[]): JsonObject => ({
  containers: images.map((name, index) => ({ name: `c${index}`, image: name })),
});

const deny = (conditions: Json): JsonObject =>
  validateRule({ message: "no", deny: { conditions } });

const all = (key: Json, operator: string, value: Json): JsonObject =>
  deny({ all: [{ key, operator, value }] });

type Row = {
  readonly reason: string;
  readonly rule: JsonObject;
  readonly object?: JsonObject;
  readonly want: string;
};

const passed = "pass: validation rule 'r' passed.";

function check(rows: readonly Row[]): void {
  test.each(rows)("$reason", ({ rule, object, want }) => {
    expect(verdict(rule, object ?? pod(image("nginx")))).toBe(want);
  });
}

describe("skip, pass, fail and error are four things", () => {
  const pattern = { spec: { containers: [{ "(image)": "*:latest", imagePullPolicy: "Always" }] } };
  check([
    {
      reason: "nothing that the condition speaks about: skip",
      rule: validateRule({ pattern }),
      want: "skip: conditional anchor mismatch: resource value 'nginx' does not match '*:latest' at path /spec/containers/0/image/",
    },
    {
      reason: "the condition holds and the rest does not: fail",
      rule: validateRule({ message: "m", pattern }),
      object: pod(image("nginx:latest")),
      want: "fail: validation error: m. rule r failed at path /spec/containers/0/imagePullPolicy/",
    },
    {
      reason: "without a message the text is another",
      rule: validateRule({ pattern }),
      object: pod(image("nginx:latest")),
      want: "fail: validation error: rule r failed at path /spec/containers/0/imagePullPolicy/",
    },
    {
      reason: "a failure without a path: error",
      rule: validateRule({
        pattern: { metadata: { "^(finalizers)": [{ a: 1 }] }, spec: { x: 1 } },
      }),
      want: "error: validation error: rule r execution error: resource value '<nil>' does not match '1' at path /spec/x/",
    },
    {
      reason: "preconditions that do not hold: skip",
      rule: validateRule(
        { pattern: { kind: "Job" } },
        { preconditions: { all: [{ key: "a", operator: "Equals", value: "b" }] } },
      ),
      want: "skip: preconditions not met",
    },
    {
      reason: "a rule that does not match says nothing",
      rule: validateRule(
        { pattern: { kind: "Job" } },
        { match: { any: [{ resources: { kinds: ["Job"] } }] } },
      ),
      want: "nothing",
    },
    {
      reason: "anyPattern with only skips: skip",
      rule: validateRule({ anyPattern: [{ "(a)": 1 }, { "(b)": 1 }] }),
      want: "skip: rule r[0] skipped: conditional anchor mismatch: conditional anchor key doesn't exist in the resource rule r[1] skipped: conditional anchor mismatch: conditional anchor key doesn't exist in the resource",
    },
    {
      reason: "anyPattern with a failure and a skip: fail, and the skip is not told",
      rule: validateRule({ message: "m", anyPattern: [{ "(a)": 1 }, { spec: { b: 1 } }] }),
      want: "fail: validation error: m. rule r[1] failed at path /spec/b/",
    },
    {
      reason: "anyPattern: variables in the message are filled in, as since v1.19 at the latest",
      rule: validateRule({
        message: "{{ request.object.kind }} needs b",
        anyPattern: [{ spec: { b: 1 } }],
      }),
      want: "fail: validation error: Pod needs b. rule r[0] failed at path /spec/b/",
    },
    {
      reason: "anyPattern: the first that passes decides",
      rule: validateRule({ anyPattern: [{ spec: { b: 1 } }, { kind: "Pod" }] }),
      want: "pass: validation rule 'r' anyPattern[1] passed.",
    },
  ]);
});

describe("an empty list passes", () => {
  check([
    {
      reason: "a pattern on its items has nothing to fail on",
      rule: validateRule({ pattern: { spec: { containers: [{ image: "x" }] } } }),
      object: pod({ containers: [] }),
      want: passed,
    },
    {
      reason: "an existence anchor does",
      rule: validateRule({ pattern: { spec: { "^(containers)": [{ image: "x" }] } } }),
      object: pod({ containers: [] }),
      want: "fail: validation error: rule r failed at path /spec/containers/",
    },
  ]);
});

describe("NotEquals with a missing key", () => {
  check([
    {
      reason: "an unknown key is an error, not a difference",
      rule: all("{{ request.object.spec.a }}", "NotEquals", "x"),
      want: 'error: failed to check deny conditions: failed to substitute variables in condition key: failed to resolve request.object.spec.a at path : JMESPath query failed: Unknown key "a" in path',
    },
    {
      reason: "null is false for NotEquals too: nothing is denied",
      rule: all("{{ request.object.spec.a || `null` }}", "NotEquals", "x"),
      want: passed,
    },
    {
      reason: "with a default it is a difference",
      rule: all("{{ request.object.spec.a || '' }}", "NotEquals", "x"),
      want: "fail: no",
    },
  ]);
});

describe("the direction of wildcards", () => {
  check([
    {
      reason: "Equals: the value is the pattern",
      rule: all("nginx:1", "Equals", "nginx*"),
      want: "fail: no",
    },
    { reason: "Equals: the key is not", rule: all("nginx*", "Equals", "nginx:1"), want: passed },
    { reason: "AnyIn: both are", rule: all("nginx*", "AnyIn", ["nginx:1"]), want: "fail: no" },
    {
      reason: "AnyIn: both are, the other way",
      rule: all("nginx:1", "AnyIn", ["nginx*"]),
      want: "fail: no",
    },
    {
      reason: "a pattern's text is the pattern",
      rule: validateRule({ pattern: { metadata: { name: "po?" } } }),
      want: passed,
    },
    {
      reason: "a resource's text is not",
      rule: validateRule({ pattern: { metadata: { name: "pod" } } }),
      object: pod({}, { name: "po?" }),
      want: "fail: validation error: rule r failed at path /metadata/name/",
    },
  ]);
});

describe("plain texts that are quantities", () => {
  check([
    {
      reason: "equal amounts in other units are equal",
      rule: validateRule({ pattern: { metadata: { labels: { a: "1000m" } } } }),
      object: pod({}, { labels: { a: "1" } }),
      want: passed,
    },
    {
      reason: "a text that is no amount compares as text",
      rule: validateRule({ pattern: { metadata: { labels: { a: "1x" } } } }),
      object: pod({}, { labels: { a: "1" } }),
      want: "fail: validation error: rule r failed at path /metadata/labels/a/",
    },
    { reason: "in conditions as well", rule: all("1Gi", "Equals", "1024Mi"), want: "fail: no" },
  ]);
});

describe("unknown keys in JMESPath", () => {
  check([
    {
      reason: "an unknown key at the end of a path is an error",
      rule: all("{{ request.object.spec.nodeName }}", "Equals", "x"),
      want: 'error: failed to check deny conditions: failed to substitute variables in condition key: failed to resolve request.object.spec.nodeName at path : JMESPath query failed: Unknown key "nodeName" in path',
    },
    {
      reason: "|| swallows it",
      rule: all("{{ request.object.spec.nodeName || 'x' }}", "Equals", "x"),
      want: "fail: no",
    },
    {
      reason: "a projection swallows it",
      rule: all("{{ request.object.spec.containers[].none }}", "AnyIn", ["x"]),
      want: passed,
    },
    {
      reason: "in preconditions it is an error as well, not a skip",
      rule: validateRule(
        { pattern: { kind: "Pod" } },
        {
          preconditions: {
            all: [{ key: "{{ request.object.a.b }}", operator: "Equals", value: "b" }],
          },
        },
      ),
      want: 'error: failed to evaluate preconditions: failed to substitute variables in condition key: failed to resolve request.object.a.b at path : JMESPath query failed: Unknown key "a" in path',
    },
  ]);
});

describe('"*" is not "?*"', () => {
  check([
    {
      reason: '"*" takes the empty text',
      rule: validateRule({ pattern: { metadata: { labels: { a: "*" } } } }),
      object: pod({}, { labels: { a: "" } }),
      want: passed,
    },
    {
      reason: '"?*" does not',
      rule: validateRule({ pattern: { metadata: { labels: { a: "?*" } } } }),
      object: pod({}, { labels: { a: "" } }),
      want: "fail: validation error: rule r failed at path /metadata/labels/a/",
    },
    {
      reason: '"*" on an absent key fails one step higher',
      rule: validateRule({ pattern: { metadata: { labels: { a: "*" } } } }),
      object: pod({}, { labels: {} }),
      want: "fail: validation error: rule r failed at path /metadata/labels/",
    },
    {
      reason: '"?*" on an absent key fails at the key',
      rule: validateRule({ pattern: { metadata: { labels: { a: "?*" } } } }),
      object: pod({}, { labels: {} }),
      want: "fail: validation error: rule r failed at path /metadata/labels/a/",
    },
  ]);
});

describe("the order of anchors", () => {
  check([
    {
      reason: "anchors are looked at before the keys beside them",
      rule: validateRule({ pattern: { spec: { a: 1, "(hostNetwork)": true } } }),
      want: "skip: conditional anchor mismatch: conditional anchor key doesn't exist in the resource",
    },
    {
      reason: "keys with anchors inside before those without",
      rule: validateRule({ pattern: { apiVersion: "v2", spec: { "(hostNetwork)": true } } }),
      want: "skip: conditional anchor mismatch: conditional anchor key doesn't exist in the resource",
    },
    {
      reason: "a global anchor is not among the first, but among those with anchors inside",
      rule: validateRule({
        pattern: { spec: { "=(volumes)": [{ x: 1 }], "<(containers)": [{ image: "y" }] } },
      }),
      object: pod({ ...image("x"), volumes: [{ x: 2 }] }),
      want: "fail: validation error: rule r failed at path /spec/volumes/0/x/",
    },
  ]);
});

describe("foreach and its element", () => {
  const foreach = (entry: JsonObject): JsonObject =>
    validateRule({ message: "m", foreach: [{ list: "request.object.spec.containers", ...entry }] });
  const failed = "fail: validation failure: validation error: m. rule r failed at path /image/";
  check([
    {
      reason: "the pattern is held against the element",
      rule: foreach({ pattern: { image: "x" } }),
      want: failed,
    },
    {
      reason: "with elementScope false against the resource",
      rule: foreach({ elementScope: false, pattern: { kind: "Pod" } }),
      want: "pass: rule passed",
    },
    {
      reason: "elements that are no maps leave the resource",
      rule: validateRule({
        foreach: [{ list: "request.object.spec.containers[].image", pattern: { kind: "Pod" } }],
      }),
      want: "pass: rule passed",
    },
    {
      reason: "elementScope true on such an element is an error",
      rule: validateRule({
        foreach: [
          {
            list: "request.object.spec.containers[].image",
            elementScope: true,
            pattern: { kind: "Pod" },
          },
        ],
      }),
      want: "error: validation failure: failed to process foreach: cannot use elementScope=true foreach rules for elements that are not maps, expected type=map got type=string",
    },
    {
      reason: "no element applied: no response",
      rule: foreach({
        preconditions: { all: [{ key: "{{ element.name }}", operator: "Equals", value: "zz" }] },
        pattern: { image: "x" },
      }),
      want: "nothing",
    },
    {
      reason: "a list that cannot be evaluated is passed over",
      rule: validateRule({
        foreach: [{ list: "request.object.nothing.there", pattern: { kind: "Job" } }],
      }),
      want: "nothing",
    },
    {
      reason: "an error counts only at the last element",
      rule: foreach({
        deny: {
          conditions: { all: [{ key: "{{ element.image }}", operator: "Equals", value: "bad" }] },
        },
      }),
      object: pod({ containers: [{ name: "a" }, { name: "b", image: "good" }] }),
      want: "pass: rule passed",
    },
    {
      reason: "and there it does",
      rule: foreach({
        deny: {
          conditions: { all: [{ key: "{{ element.image }}", operator: "Equals", value: "bad" }] },
        },
      }),
      object: pod({ containers: [{ name: "b", image: "good" }, { name: "a" }] }),
      want: 'error: validation failure: failed to check deny conditions: failed to substitute variables in condition key: failed to resolve element.image at path : JMESPath query failed: Unknown key "image" in path',
    },
  ]);
});

describe("the order of a mutating foreach", () => {
  const rule = (more: JsonObject): JsonObject => ({
    name: "r",
    match: { any: [{ resources: { kinds: ["Pod"] } }] },
    mutate: {
      foreach: [{ list: "request.object.metadata.annotations.names | split(@, ',')", ...more }],
    },
  });
  const merge = {
    patchStrategicMerge: { spec: { imagePullSecrets: [{ name: "{{ element }}" }] } },
  };
  const names = (more: JsonObject): Json =>
    mutate([rule(more)], pod({}, { annotations: { names: "a,b,c" } })).object["spec"] ?? null;
  const secrets = (...list: readonly string[]): Json => ({
    imagePullSecrets: list.map((name) => ({ name })),
  });
  test("a strategic merge starts with the last element, so that the list has their order", () => {
    expect(names(merge)).toEqual(secrets("a", "b", "c"));
  });
  test("stated order counts", () => {
    expect(names({ ...merge, order: "Ascending" })).toEqual(secrets("c", "b", "a"));
  });
  test("a JSON patch starts with the first element", () => {
    const patch = '- {op: add, path: "/spec/imagePullSecrets/-", value: {name: "{{ element }}"}}';
    expect(names({ patchesJson6902: patch })).toEqual(secrets("a", "b", "c"));
  });
});

describe("a mutation that changes nothing is a skip", () => {
  const rule = (patch: JsonObject): JsonObject => ({
    name: "r",
    match: { any: [{ resources: { kinds: ["Pod"] } }] },
    mutate: { patchStrategicMerge: patch },
  });
  const rows = [
    {
      reason: "the value is there already",
      patch: { kind: "Pod" },
      want: "skip: no patches applied",
    },
    {
      reason: "a condition does not hold",
      patch: { metadata: { "(name)": "x", labels: { a: "b" } } },
      want: "skip: no patches applied",
    },
    {
      reason: "+() of a key that is there",
      patch: { metadata: { "+(name)": "x" } },
      want: "skip: no patches applied",
    },
    {
      reason: "something changes",
      patch: { metadata: { labels: { a: "b" } } },
      want: "pass: mutated Pod/pod in namespace default",
    },
  ];
  test.each(rows)("$reason", ({ patch, want }) => {
    const object = pod();
    const done = mutate([rule(patch)], object);
    expect(done.results.map(({ result, message }) => `${result}: ${message}`)).toEqual([want]);
    expect(done.object === object).toBe(want.startsWith("skip"));
  });
});

describe("rules for pod controllers come all or not at all", () => {
  const pattern = { pattern: { spec: { containers: [{ image: "x" }] } } };
  const kinds = { any: [{ resources: { kinds: ["Pod"] } }] };
  const named = (name: string, more: JsonObject): JsonObject => ({
    name,
    match: kinds,
    validate: pattern,
    ...more,
  });
  const rows = [
    { reason: "pods alone: generated", rules: [named("a", {})], want: true },
    {
      reason: "a rule with a selector: none",
      rules: [
        named("a", {}),
        named("b", { match: { any: [{ resources: { kinds: ["Pod"], selector: {} } }] } }),
      ],
      want: false,
    },
    {
      reason: "a rule with names: none",
      rules: [
        named("a", {}),
        named("b", { match: { any: [{ resources: { kinds: ["Pod"], names: ["x"] } }] } }),
      ],
      want: false,
    },
    {
      reason: "an exclusion with annotations: none",
      rules: [named("a", { exclude: { any: [{ resources: { annotations: { x: "y" } } }] } })],
      want: false,
    },
    {
      reason: "pods beside other kinds: none",
      rules: [
        named("a", {}),
        named("b", { match: { any: [{ resources: { kinds: ["Pod", "Job"] } }] } }),
      ],
      want: false,
    },
    {
      reason: "a generate rule: none",
      rules: [
        named("a", {}),
        {
          name: "g",
          match: kinds,
          generate: { apiVersion: "v1", kind: "ConfigMap", name: "x", data: {} },
        },
      ],
      want: false,
    },
    {
      reason: "a JSON patch: none",
      rules: [
        named("a", {}),
        { name: "m", match: kinds, mutate: { patchesJson6902: "- {op: remove, path: /x}" } },
      ],
      want: false,
    },
    {
      reason: "namespaces in a match do not matter",
      rules: [
        named("a", { match: { any: [{ resources: { kinds: ["Pod"], namespaces: ["x"] } }] } }),
      ],
      want: true,
    },
  ];
  test.each(rows)("$reason", ({ rules, want }) => {
    const { policies, problems } = compileClassicPolicy(
      { ...policyOf(rules), metadata: { name: "p" } },
      [],
    );
    expect(problems).toEqual([]);
    const index = policies[0]?.index ?? [];
    expect(index.includes("deployment")).toBe(want);
    expect(index.includes("cronjob")).toBe(want);
  });
});

describe("generated rules are rewritten by text, messages included", () => {
  test("a variable in a message and in a condition", () => {
    const rule = validateRule({
      message:
        "host network of {{ request.object.metadata.name }} is {{ request.object.spec.hostNetwork }}",
      deny: {
        conditions: {
          all: [
            {
              key: "{{ request.object.spec.hostNetwork || `false` }}",
              operator: "Equals",
              value: true,
            },
          ],
        },
      },
    });
    const { policies } = compileClassicPolicy({ ...policyOf([rule]), metadata: { name: "p" } }, []);
    const template = { metadata: { name: "inner" }, spec: { hostNetwork: true, containers: [] } };
    const job = {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "outer", namespace: "n" },
      spec: { template },
    };
    const cron = { ...job, kind: "CronJob", spec: { jobTemplate: { spec: { template } } } };
    const answers = [job, cron].map((object) =>
      policies[0]
        ?.validate?.(reviewOf(object), emptyWorld(0))
        .map(({ rule: name, message }) => `${name}: ${message}`),
    );
    expect(answers).toEqual([
      ["autogen-r: host network of inner is true"],
      ["autogen-cronjob-r: host network of inner is true"],
    ]);
  });
});

describe("names of what has none yet", () => {
  const rule = validateRule(
    { pattern: { kind: "Pod" } },
    { match: { any: [{ resources: { kinds: ["Pod"], names: ["web-*"] } }] } },
  );
  check([
    {
      reason: "generateName stands in for the name",
      rule,
      object: pod({}, { name: "", generateName: "web-" }),
      want: passed,
    },
    {
      reason: "a name counts before generateName",
      rule,
      object: pod({}, { name: "db", generateName: "web-" }),
      want: "nothing",
    },
  ]);
});

describe("kinds without a group", () => {
  const rule = (kind: string): JsonObject =>
    validateRule(
      { pattern: { kind: "Bucket" } },
      { match: { any: [{ resources: { kinds: [kind] } }] } },
    );
  const bucket = (apiVersion: string): JsonObject => ({
    apiVersion,
    kind: "Bucket",
    metadata: { name: "b" },
  });
  check([
    {
      reason: "a kind alone is of any group",
      rule: rule("Bucket"),
      object: bucket("s3.aws.upbound.io/v1beta1"),
      want: passed,
    },
    {
      reason: "of another group as well",
      rule: rule("Bucket"),
      object: bucket("storage.gcp.upbound.io/v1beta2"),
      want: passed,
    },
    {
      reason: "a version narrows it",
      rule: rule("v1beta1/Bucket"),
      object: bucket("storage.gcp.upbound.io/v1beta2"),
      want: "nothing",
    },
    {
      reason: "group and version do",
      rule: rule("s3.aws.upbound.io/*/Bucket"),
      object: bucket("s3.aws.upbound.io/v1beta1"),
      want: passed,
    },
    {
      reason: "another group does not match",
      rule: rule("s3.aws.upbound.io/*/Bucket"),
      object: bucket("storage.gcp.upbound.io/v1beta2"),
      want: "nothing",
    },
    {
      reason: "case counts",
      rule: rule("bucket"),
      object: bucket("s3.aws.upbound.io/v1beta1"),
      want: "nothing",
    },
  ]);
});

describe("AnyNotIn means: some key is not in the value", () => {
  check([
    { reason: "one of two is missing", rule: all(["a", "b"], "AnyNotIn", ["a"]), want: "fail: no" },
    { reason: "both are there", rule: all(["a", "b"], "AnyNotIn", ["a", "b"]), want: passed },
    {
      reason: "AllNotIn wants none to be there",
      rule: all(["a", "b"], "AllNotIn", ["a"]),
      want: passed,
    },
    { reason: "no key at all: not AnyNotIn", rule: all([], "AnyNotIn", ["a"]), want: passed },
    { reason: "no key at all: AllNotIn", rule: all([], "AllNotIn", ["a"]), want: "fail: no" },
  ]);
});

describe("an error in preconditions", () => {
  const broken = { all: [{ key: "{{ element.nothing }}", operator: "Equals", value: "b" }] };
  check([
    {
      reason: "of a foreach element that is not the last: passed over",
      rule: validateRule({
        foreach: [
          {
            list: "request.object.spec.containers",
            preconditions: broken,
            pattern: { image: "*" },
          },
        ],
      }),
      object: pod({ containers: [{ image: "x" }, { image: "y", nothing: "b" }] }),
      want: "pass: rule passed",
    },
    {
      reason: "of a rule: an error, not a skip",
      rule: validateRule({ pattern: { kind: "Pod" } }, { preconditions: broken }),
      want: 'error: failed to evaluate preconditions: failed to substitute variables in condition key: failed to resolve element.nothing at path : JMESPath query failed: Unknown key "element" in path',
    },
  ]);
});

describe("every answer is the same the second time", () => {
  test("a policy keeps nothing of a resource", () => {
    const policy = compileRules([
      validateRule({
        message: "{{ request.object.metadata.name }}",
        pattern: { metadata: { name: "{{ request.object.spec.wanted }}" } },
      }),
    ]);
    const ask = (name: string, wanted: string): string | undefined =>
      policy.validate?.(reviewOf(pod({ wanted }, { name })), emptyWorld(0))[0]?.result;
    expect([ask("a", "a"), ask("a", "b"), ask("b", "b"), ask("a", "a")]).toEqual([
      "pass",
      "fail",
      "pass",
      "pass",
    ]);
    expect(validate([validateRule({ pattern: { kind: "Pod" } })], pod())).toHaveLength(1);
  });
});
