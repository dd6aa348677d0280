// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import { validate } from "#policy/evaluate";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { RuleResult } from "#policy/report/result";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "team" },
  spec: { containers: [{ name: "c", image: "registry.example/app:1" }] },
};
const podRules = [
  { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] },
];
const policy = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "images", ...metadata },
  spec: { matchConstraints: { resourceRules: podRules }, ...spec },
});
const exception = (spec: JsonObject, name = "e", labels: JsonObject = {}): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "PolicyException",
  metadata: { name, namespace: "exceptions", labels },
  spec: { policyRefs: [{ name: "images", kind: "ValidatingPolicy" }], ...spec },
});
const judge = (
  documents: readonly JsonObject[],
  object: JsonObject = pod,
  world: World = emptyWorld(0),
): readonly RuleResult[] => {
  const { set, problems } = compile(documents);
  expect(problems).toEqual([]);
  return validate(set, reviewOf(object), world);
};
const short = (results: readonly RuleResult[]) =>
  results.map(({ rule, result, message }) => [rule, result, message]);
const no = { expression: "false", message: "no" };

type Row = {
  readonly reason: string;
  readonly documents: readonly JsonObject[];
  readonly want: readonly (readonly string[])[];
};
const rows: Readonly<Record<string, Row>> = {
  pass: {
    reason: "One result for the policy.",
    documents: [policy({ validations: [{ expression: "true" }] })],
    want: [["", "pass", "success"]],
  },
  "first failure": {
    reason: "Later validations are not reached.",
    documents: [
      policy({
        validations: [{ expression: "true" }, no, { expression: "object.nothing == 1" }],
      }),
    ],
    want: [["", "fail", "no"]],
  },
  "no message": {
    reason: "Kyverno's own words.",
    documents: [policy({ validations: [{ expression: "false" }] })],
    want: [["", "fail", "CEL expression validation failed at index 0"]],
  },
  "error in a validation": {
    reason: "An error, whatever failurePolicy says.",
    documents: [
      policy({
        failurePolicy: "Ignore",
        validations: [{ expression: "object.spec.nothing == 1" }],
      }),
    ],
    want: [["", "error", "error: no such key: nothing"]],
  },
  "error in a message": {
    reason: "The failure stands and the message says what went wrong.",
    documents: [
      policy({
        validations: [{ expression: "false", messageExpression: "string(object.spec.x)" }],
      }),
    ],
    want: [["", "fail", "failed to evaluate message expression: no such key: x"]],
  },
  "false condition": {
    reason: "Skipped.",
    documents: [
      policy({ matchConditions: [{ name: "c", expression: "false" }], validations: [no] }),
    ],
    want: [["", "skip", "skip"]],
  },
  "error in a condition": {
    reason: "Nothing is false: the evaluation has no context.",
    documents: [
      policy({ matchConditions: [{ name: "c", expression: "object.x == 1" }], validations: [no] }),
    ],
    want: [["evaluation", "error", "failed to load context: no such key: x"]],
  },
  "error in a condition, Ignore": {
    reason: "Skipped.",
    documents: [
      policy({
        failurePolicy: "Ignore",
        matchConditions: [{ name: "c", expression: "object.x == 1" }],
        validations: [no],
      }),
    ],
    want: [["", "skip", "skip"]],
  },
  "absent old object": {
    reason: "An empty map in Kyverno, not null.",
    documents: [
      policy({ validations: [{ expression: "oldObject != null && !has(oldObject.metadata)" }] }),
    ],
    want: [["", "pass", "success"]],
  },
  "full exception": {
    reason: "Decides before the policy's own conditions.",
    documents: [
      policy({ matchConditions: [{ name: "c", expression: "false" }], validations: [no] }),
      exception({}),
    ],
    want: [["exception", "skip", "rule is skipped due to policy exception: exceptions/e"]],
  },
  "exception that reports pass": {
    reason: "reportResult.",
    documents: [policy({ validations: [no] }), exception({ reportResult: "pass" })],
    want: [["exception", "pass", "rule is passed due to policy exception: exceptions/e"]],
  },
  "priority of exceptions": {
    reason: "The label decides which reportResult counts.",
    documents: [
      policy({ validations: [no] }),
      exception({}, "a"),
      exception({ reportResult: "pass" }, "b", { "polex.kyverno.io/priority": "5" }),
    ],
    want: [
      ["exception", "pass", "rule is passed due to policy exception: exceptions/a, exceptions/b"],
    ],
  },
  "exception for others": {
    reason: "Its conditions do not hold.",
    documents: [
      policy({ validations: [no] }),
      exception({ matchConditions: [{ name: "c", expression: "object.metadata.name == 'x'" }] }),
    ],
    want: [["", "fail", "no"]],
  },
  "exception for another policy": {
    reason: "Name and kind must both agree.",
    documents: [
      policy({ validations: [no] }),
      exception({ policyRefs: [{ name: "images", kind: "MutatingPolicy" }] }),
    ],
    want: [["", "fail", "no"]],
  },
  "expired exception": {
    reason: "The World's clock is at 1970.",
    documents: [policy({ validations: [no] }), exception({ expiresAt: "1969-12-31T23:59:59Z" })],
    want: [["", "fail", "no"]],
  },
  "exception for values": {
    reason: "Not exempt: expressions see what is allowed.",
    documents: [
      policy({
        validations: [
          {
            expression:
              "exceptions.allowedImages.exists(i, object.spec.containers[0].image.startsWith(i)) && 'v' in exceptions.allowedValues",
          },
        ],
      }),
      exception({ images: ["registry.example/"], allowedValues: ["v"] }),
    ],
    want: [["", "pass", "success"]],
  },
};

describe("ValidatingPolicy", () => {
  for (const [name, row] of Object.entries(rows)) {
    test(`${name}: ${row.reason}`, () => expect(short(judge(row.documents))).toEqual(row.want));
  }

  test("the index of the failed validation is a property", () => {
    const [result] = judge([policy({ validations: [{ expression: "true" }, no] })]);
    expect(result?.properties).toEqual({ "cel.validationIndex": "1" });
  });

  test("audit annotations are properties of pass and fail", () => {
    const auditAnnotations = [{ key: "name", valueExpression: "string(object.metadata.name)" }];
    const [result] = judge([policy({ auditAnnotations, validations: [no] })]);
    expect(result?.properties).toEqual({ "cel.validationIndex": "0", name: "p" });
  });

  test("variables are computed once, when first read", () => {
    let asked = 0;
    const world: World = {
      ...emptyWorld(0),
      get: () => {
        asked += 1;
        return { kind: "found", value: { data: { a: "b" } } };
      },
    };
    const variables = [
      { name: "cm", expression: "resource.Get('v1', 'configmaps', 'n', 'c')" },
      { name: "unused", expression: "resource.Get('v1', 'configmaps', 'n', 'd')" },
    ];
    const validations = [
      { expression: "variables.cm.data.a == 'b' && variables.cm.data.a != 'c'" },
    ];
    expect(short(judge([policy({ variables, validations })], pod, world))[0]?.[1]).toBe("pass");
    expect(asked).toBe(1);
  });

  test("what the World cannot know is unsupported, by name", () => {
    const validations = [
      { expression: "resource.Get('v1', 'configmaps', 'n', 'c').data.a == 'b'" },
    ];
    const [result] = judge([policy({ validations })]);
    expect([result?.result, result?.action, typeof result?.unsupported]).toEqual([
      "error",
      "Enforce",
      "string",
    ]);
  });

  test("the composite is there for who composes, and null for all others", () => {
    const spec = {
      validations: [{ expression: "composite != null && composite.spec.size == 'small'" }],
    };
    const world = { ...emptyWorld(0), composite: { spec: { size: "small" } } };
    expect(judge([policy(spec)], pod, world)[0]?.result).toBe("pass");
    expect(judge([policy(spec)])[0]?.result).toBe("fail");
  });

  test("actions: the strictest counts, Deny is the default", () => {
    const action = (validationActions: Json | undefined) =>
      judge([
        policy({
          validations: [no],
          ...(validationActions === undefined ? {} : { validationActions }),
        }),
      ])[0]?.action;
    expect([
      action(undefined),
      action(["Audit"]),
      action(["Audit", "Warn"]),
      action(["Audit", "Deny"]),
    ]).toEqual(["Enforce", "Audit", "Warn", "Enforce"]);
  });

  test("a namespaced policy judges its own namespace", () => {
    const document = (namespace: string) => ({
      ...policy({ validations: [no] }, { namespace }),
      kind: "NamespacedValidatingPolicy",
    });
    expect(judge([document("team")])).toHaveLength(1);
    expect(judge([document("other")])).toHaveLength(0);
  });

  test("JSON mode judges any document; modes over requests judge none", () => {
    const evaluation = { mode: "JSON" };
    const spec = { evaluation, validations: [{ expression: "object.bucket == 'private'" }] };
    expect(short(judge([policy(spec)], { bucket: "private" }))).toEqual([["", "pass", "success"]]);
    const answer = { expression: "http.Denied('no').Response()" };
    expect(judge([policy({ evaluation: { mode: "HTTP" }, validations: [answer] })])).toEqual([]);
  });
});

describe("rules derived for the controllers of pods", () => {
  const spec = {
    validations: [
      {
        expression: "object.spec.containers.all(c, !c.image.endsWith(':latest'))",
        messageExpression:
          "object.metadata.?name.orValue('none') + ' in ' + object.metadata.namespace",
      },
    ],
  };
  const template = { spec: { containers: [{ name: "c", image: "x:latest" }] } };
  const controller = (kind: string, apiVersion: string, body: JsonObject): JsonObject => ({
    apiVersion,
    kind,
    metadata: { name: "w", namespace: "team" },
    spec: body,
  });

  test("paths go into the template, but the namespace stays", () => {
    const deployment = controller("Deployment", "apps/v1", {
      template: { ...template, metadata: { name: "t" } },
    });
    expect(short(judge([policy(spec)], deployment))).toEqual([["", "fail", "t in team"]]);
  });
  test("a CronJob's template is deeper", () => {
    const cron = controller("CronJob", "batch/v1", {
      jobTemplate: { spec: { template: { ...template, metadata: {} } } },
    });
    expect(short(judge([policy(spec)], cron))).toEqual([["", "fail", "none in team"]]);
  });
  test("only the listed controllers", () => {
    const only = { ...spec, autogen: { podControllers: { controllers: ["jobs"] } } };
    const job = controller("Job", "batch/v1", { template });
    const set = controller("StatefulSet", "apps/v1", { template });
    expect(judge([policy(only)], job)).toHaveLength(1);
    expect(judge([policy(only)], set)).toHaveLength(0);
  });
  test("none for a policy that names more than pods", () => {
    const constraints = { resourceRules: podRules, objectSelector: { matchLabels: { a: "b" } } };
    const deployment = controller("Deployment", "apps/v1", { template });
    expect(judge([policy({ ...spec, matchConstraints: constraints })], deployment)).toHaveLength(0);
  });
});

test("an explanation says what every part gave, in the order of evaluation", () => {
  const { set } = compile([
    policy({
      matchConditions: [{ name: "named", expression: "object.metadata.name == 'p'" }],
      variables: [{ name: "n", expression: "size(object.spec.containers)" }],
      validations: [
        { expression: "variables.n == 2", messageExpression: "'found ' + string(variables.n)" },
      ],
    }),
  ]);
  const explained = set.policies[0]?.explain?.(reviewOf(pod), emptyWorld(0)) ?? [];
  expect(explained.map(({ part, value, failed }) => [part, value, failed])).toEqual([
    ["matchConditions[0] named", "true", false],
    ["variables.n", "1", false],
    ["validations[0]", "false", false],
    ["validations[0].messageExpression", '"found 1"', false],
  ]);
  expect(explained[1]?.steps.map(({ source }) => source)).toContain("object.spec.containers");
  const service = reviewOf({ apiVersion: "v1", kind: "Service", metadata: { name: "s" } });
  expect(set.policies[0]?.explain?.(service, emptyWorld(0))[0]?.part).toBe("matchConstraints");
});
