// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import type { CompileOptions } from "#policy/compile-context";
import { validate } from "#policy/evaluate";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { ReviewOptions } from "#policy/kubernetes/kinds";
import type { RuleResult } from "#policy/report/result";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

const deployment: JsonObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace: "team" },
  spec: { replicas: 5 },
};
const policy = (spec: JsonObject): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicy",
  metadata: { name: "replicas" },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: ["apps"], apiVersions: ["v1"], resources: ["deployments"], operations: ["*"] },
      ],
    },
    ...spec,
  },
});
const binding = (spec: JsonObject, name = "b"): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicyBinding",
  metadata: { name },
  spec: { policyName: "replicas", validationActions: ["Deny"], ...spec },
});
const configMap = (name: string, max: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "team", labels },
  data: { max },
});

type Setup = {
  readonly documents: readonly JsonObject[];
  readonly options?: CompileOptions;
  readonly review?: ReviewOptions;
  readonly world?: World;
};
function judge({ documents, options, review, world }: Setup): readonly RuleResult[] {
  const { set, problems } = compile(documents, options);
  expect(problems).toEqual([]);
  return validate(set, reviewOf(deployment, review), world ?? emptyWorld(0));
}
const short = (results: readonly RuleResult[]): readonly (readonly string[])[] =>
  results.map(({ result, message, action }) => [result, message, action]);

const few = { expression: "object.spec.replicas <= 3", message: "too many replicas" };
const wrong = { expression: "object.spec.nothing == 1" };

type Row = {
  readonly reason: string;
  readonly spec: JsonObject;
  readonly want: readonly (readonly string[])[];
};
const rows: Readonly<Record<string, Row>> = {
  pass: {
    reason: "All validations hold; the message is empty as in the API server's decision.",
    spec: { validations: [{ expression: "object.spec.replicas > 0" }] },
    want: [["pass", "", "Enforce"]],
  },
  fail: {
    reason: "The first denial is the result.",
    spec: { validations: [{ expression: "true" }, few, { expression: "false", message: "later" }] },
    want: [["fail", "too many replicas", "Enforce"]],
  },
  "no message": {
    reason: "The expression itself is the message, trimmed.",
    spec: { validations: [{ expression: " object.spec.replicas < 1 " }] },
    want: [["fail", "failed expression: object.spec.replicas < 1", "Enforce"]],
  },
  "message expression": {
    reason: "It wins over the message and sees variables.",
    spec: {
      variables: [{ name: "n", expression: "object.spec.replicas" }],
      validations: [{ ...few, messageExpression: "' found ' + string(variables.n) + ' '" }],
    },
    want: [["fail", "found 5", "Enforce"]],
  },
  "message expression of two lines": {
    reason: "Multi-line messages are dropped.",
    spec: { validations: [{ ...few, messageExpression: "'a\\nb'" }] },
    want: [["fail", "too many replicas", "Enforce"]],
  },
  "message expression with an error": {
    reason: "An error in it never changes the verdict.",
    spec: { validations: [{ ...few, messageExpression: "string(object.spec.nothing)" }] },
    want: [["fail", "too many replicas", "Enforce"]],
  },
  "error, failurePolicy Fail": {
    reason: "The default: what cannot be judged is denied.",
    spec: { validations: [wrong] },
    want: [
      [
        "error",
        "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing",
        "Enforce",
      ],
    ],
  },
  "ignored error before a violation": {
    reason: "Ignoring what cannot be judged hides nothing of what can.",
    spec: { failurePolicy: "Ignore", validations: [wrong, few] },
    want: [["fail", "too many replicas", "Enforce"]],
  },
  "the same error in several match conditions": {
    reason: "The API server names each error once.",
    spec: {
      matchConditions: [
        { name: "a", ...wrong },
        { name: "b", ...wrong },
      ],
      validations: [few],
    },
    want: [
      [
        "error",
        "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing",
        "Enforce",
      ],
    ],
  },
  "error, failurePolicy Ignore": {
    reason: "Reported, but it blocks nothing.",
    spec: { failurePolicy: "Ignore", validations: [wrong] },
    want: [
      [
        "error",
        "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing",
        "Audit",
      ],
    ],
  },
  "error in a variable": {
    reason: "The variable is named.",
    spec: {
      variables: [{ name: "v", expression: "object.spec.nothing" }],
      validations: [{ expression: "variables.v == 1" }],
    },
    want: [
      [
        "error",
        `expression 'variables.v == 1' resulted in error: composited variable "v" fails to evaluate: no such key: nothing`,
        "Enforce",
      ],
    ],
  },
  "match condition false after an error": {
    reason: "A false condition decides, whatever the others are.",
    spec: {
      matchConditions: [
        { name: "e", expression: "object.spec.nothing == 1" },
        { name: "f", expression: "false" },
      ],
      validations: [few],
    },
    want: [["skip", "match conditions aren't met", "Enforce"]],
  },
  "match condition with an error": {
    reason: "Nothing is false, so the failure policy decides: deny.",
    spec: {
      matchConditions: [{ name: "e", expression: "object.spec.nothing == 1" }],
      validations: [few],
    },
    want: [
      [
        "error",
        "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing",
        "Enforce",
      ],
    ],
  },
  "match condition with an error, Ignore": {
    reason: "The policy is skipped.",
    spec: {
      failurePolicy: "Ignore",
      matchConditions: [{ name: "e", expression: "object.spec.nothing == 1" }],
      validations: [few],
    },
    want: [["skip", "match conditions aren't met", "Enforce"]],
  },
  "the authorizer": {
    reason: "Nobody here can answer it: an error, never a pass.",
    spec: {
      validations: [{ expression: "authorizer.group('').resource('pods').check('get').allowed()" }],
    },
    want: [["error", expect.stringContaining("authorizer"), "Enforce"]],
  },
  "an absent old object": {
    reason: "null on CREATE, as in the API server.",
    spec: { validations: [{ expression: "oldObject == null && request.operation == 'CREATE'" }] },
    want: [["pass", "", "Enforce"]],
  },
  "the user": {
    reason: "Unknown here: fields are absent, not empty.",
    spec: { validations: [{ expression: "!has(request.userInfo.username)" }] },
    want: [["pass", "", "Enforce"]],
  },
};

describe("ValidatingAdmissionPolicy", () => {
  for (const [name, row] of Object.entries(rows)) {
    test(`${name}: ${row.reason}`, () => {
      expect(short(judge({ documents: [policy(row.spec)] }))).toEqual(row.want);
    });
  }

  test("audit annotations are properties of a pass", () => {
    const auditAnnotations = [
      { key: "replicas", valueExpression: "string(object.spec.replicas)" },
      { key: "none", valueExpression: "null" },
    ];
    const [result] = judge({ documents: [policy({ auditAnnotations })] });
    expect(result?.properties).toEqual({ replicas: "5" });
  });

  test("the API server's own configuration is exempt: a policy cannot lock itself in", () => {
    const everything = policy({ matchConstraints: {}, validations: [{ expression: "false" }] });
    const { set } = compile([everything]);
    expect(validate(set, reviewOf(everything), emptyWorld(0))).toEqual([]);
    expect(validate(set, reviewOf(deployment), emptyWorld(0))).toHaveLength(1);
  });

  test("another version of the resource is unsupported, not passed over", () => {
    const { set } = compile([policy({ validations: [few] })]);
    const old = { ...deployment, apiVersion: "apps/v1beta2" };
    const [result] = validate(set, reviewOf(old), emptyWorld(0));
    expect([result?.result, result?.unsupported]).toEqual([
      "error",
      expect.stringContaining("matchPolicy Equivalent"),
    ]);
  });
});

describe("bindings", () => {
  const bound = policy({ validations: [few] });
  test("none: the policy is taken to be bound, unless a binding is required", () => {
    expect(judge({ documents: [bound] })).toHaveLength(1);
    expect(judge({ documents: [bound], options: { bindings: "required" } })).toHaveLength(0);
  });
  test("each that matches gives a result with its own action", () => {
    const elsewhere = {
      namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "other" } },
    };
    const documents = [
      bound,
      binding({ validationActions: ["Audit"] }, "audit"),
      binding({ validationActions: ["Audit", "Warn"] }, "warn"),
      binding({ matchResources: elsewhere }, "elsewhere"),
    ];
    const results = judge({ documents });
    expect(results.map(({ action, properties }) => [action, properties["binding"]])).toEqual([
      ["Audit", "audit"],
      ["Warn", "warn"],
    ]);
  });
  test("Deny and Warn together are refused, as the API refuses them", () => {
    const { problems } = compile([bound, binding({ validationActions: ["Deny", "Warn"] })]);
    expect(problems.map(({ document, path }) => [document, path])).toEqual([
      ["ValidatingAdmissionPolicyBinding/b", "spec.validationActions"],
    ]);
  });
});

describe("params", () => {
  const withParams = policy({
    paramKind: { apiVersion: "v1", kind: "ConfigMap" },
    validations: [
      { expression: "object.spec.replicas <= int(params.data.max)", message: "over the limit" },
    ],
  });
  const named = (more: JsonObject = {}): JsonObject =>
    binding({ paramRef: { name: "limits", ...more } });
  const world = (found: Readonly<Record<string, JsonObject>>): World => ({
    ...emptyWorld(0),
    get: ({ namespace, name }) => {
      const value: Json | undefined = found[`${namespace}/${name}`];
      return value === undefined ? { kind: "absent" } : { kind: "found", value };
    },
  });

  test("by name, in the namespace of the object", () => {
    const documents = [withParams, named()];
    expect(
      short(judge({ documents, world: world({ "team/limits": configMap("limits", "9") }) })),
    ).toEqual([["pass", "", "Enforce"]]);
    expect(
      short(judge({ documents, world: world({ "team/limits": configMap("limits", "2") }) })),
    ).toEqual([["fail", "over the limit", "Enforce"]]);
  });
  test("from the documents that came along, before the World is asked", () => {
    const options = { params: [configMap("limits", "1")] };
    expect(short(judge({ documents: [withParams, named()], options }))[0]?.[0]).toBe("fail");
  });
  test("not found: nothing to do, or an error where Deny is asked for", () => {
    expect(judge({ documents: [withParams, named()], world: world({}) })).toEqual([]);
    const deny = named({ parameterNotFoundAction: "Deny" });
    expect(short(judge({ documents: [withParams, deny], world: world({}) }))).toEqual([
      [
        "error",
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
        "Enforce",
      ],
    ]);
  });
  test("a World that cannot know is unsupported, never not found", () => {
    const [result] = judge({ documents: [withParams, named()] });
    expect([result?.result, result?.unsupported]).toEqual([
      "error",
      expect.stringContaining("limits"),
    ]);
  });
  test("by selector: one evaluation for each", () => {
    const params = [
      configMap("a", "9", { use: "yes" }),
      configMap("b", "1", { use: "yes" }),
      configMap("c", "1"),
    ];
    const documents = [
      withParams,
      binding({ paramRef: { selector: { matchLabels: { use: "yes" } } } }),
    ];
    expect(judge({ documents, options: { params } }).map(({ result }) => result)).toEqual([
      "pass",
      "fail",
    ]);
  });
});

const refused: Readonly<Record<string, readonly [entry: JsonObject, path: string]>> = {
  "message of two lines": [{ message: "a\nb" }, "message"],
  "blank message": [{ message: " " }, "message"],
  "blank message expression": [{ messageExpression: " " }, "messageExpression"],
  "unknown reason": [{ reason: "Unauthorized" }, "reason"],
};
for (const [name, [entry, path]] of Object.entries(refused)) {
  test(`${name}: refused, as the API server refuses it`, () => {
    const { problems } = compile([policy({ validations: [{ expression: "true", ...entry }] })]);
    expect(problems.map((problem) => problem.path)).toEqual([`spec.validations[0].${path}`]);
  });
}
