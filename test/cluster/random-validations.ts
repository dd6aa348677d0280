// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Case } from "#test/cluster/admission-cases";
import { makeRandom } from "#test/conformance/cel-spec-generate";
import type { Random } from "#test/conformance/cel-spec-generate";

const truths = [
  "true",
  "object.metadata.name != ''",
  "variables.good.size() == 2",
  "oldObject == null",
  "request.operation == 'CREATE'",
  "namespaceObject.metadata.name == 'judged'",
  "has(object.spec.nodeSelector)",
  "object.spec.containers.exists(c, c.name == 'app')",
  "variables.bad == 1 || true",
] as const;
const lies = [
  "false",
  "object.spec.containers.all(c, has(c.args))",
  "'b' in object.metadata.labels",
  "variables.good.size() > 2",
  "\n  object.metadata.name ==\n  'other'  ",
  "variables.bad == 1 && false",
] as const;
const errors = [
  "object.spec.nothing == 1",
  "variables.bad == 1",
  "variables.worse",
  "object.metadata.labels['absent'] == 'x'",
  "[1, 2][object.spec.containers.size()] == 1",
] as const;
const messages = [undefined, "no", "  trimmed  ", "no", undefined] as const;
const messageExpressions = [
  "'found ' + object.metadata.name",
  "string(object.metadata.labels['absent'])",
  "''",
  "'  '",
  "'two\\nlines'",
  "variables.good.join(',')",
  "string(variables.bad)",
] as const;
const reasons = [undefined, undefined, "Forbidden", "Invalid"] as const;

/** What the API server does not take. */
const refusals: readonly JsonObject[] = [
  { message: "several\nlines" },
  { message: "  " },
  { messageExpression: " " },
  { reason: "Unauthorised" },
  { messageExpression: "object.metadata.name" },
  { messageExpression: "params" },
  { expression: "object.metadata.name" },
  { expression: "" },
];

const pick = <T>(random: Random, from: readonly T[]): T | undefined =>
  from[Math.floor(random() * from.length)];

function condition(random: Random): string {
  const roll = random();
  return pick(random, roll < 0.45 ? truths : roll < 0.75 ? lies : errors) ?? "";
}

/** Match conditions see no variables: most of those that name one would only be refused. */
function matchCondition(random: Random): string {
  const found = condition(random);
  return found.includes("variables") && random() < 0.95 ? "true" : found;
}

/** Without what is undefined, as the API has no such thing. */
const stated = (fields: Readonly<Record<string, JsonObject[string] | undefined>>): JsonObject =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );

function ruleOf(random: Random, operations: readonly string[]): JsonObject {
  return stated({
    apiGroups: [...(pick(random, [[""], ["*"], ["", "apps"], ["apps"]]) ?? [])],
    apiVersions: [...(pick(random, [["v1"], ["*"], ["v2", "v1"]]) ?? [])],
    resources: [...(pick(random, [["pods"], ["*"], ["*/*"], ["pods/*"], ["pods/status"]]) ?? [])],
    operations: [...operations],
    scope: pick(random, [undefined, "*", "Namespaced", "Cluster"]),
    resourceNames: random() < 0.85 ? undefined : [pick(random, ["web", "other"]) ?? ""],
  });
}

function constraintsOf(random: Random): JsonObject {
  // The first rule is the one by which most policies apply at all.
  const pods = { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["*"] };
  return stated({
    resourceRules: [random() < 0.7 ? pods : ruleOf(random, ["CREATE", "UPDATE"])],
    excludeResourceRules: random() < 0.2 ? [ruleOf(random, ["CREATE"])] : undefined,
    matchPolicy: pick(random, [undefined, "Exact", "Equivalent"]),
    objectSelector:
      random() < 0.75
        ? undefined
        : {
            matchExpressions: [
              pick<JsonObject>(random, [
                { key: "team", operator: "In", values: ["a", "b"] },
                { key: "team", operator: "NotIn", values: ["a"] },
                { key: "absent", operator: "NotIn", values: ["a"] },
                { key: "team", operator: "Exists" },
                { key: "absent", operator: "DoesNotExist" },
              ]) ?? {},
            ],
          },
    namespaceSelector:
      random() < 0.85
        ? undefined
        : {
            matchLabels: {
              "kubernetes.io/metadata.name": pick(random, ["judged", "free"]) ?? "",
            },
          },
  });
}

function specOf(random: Random): JsonObject {
  const conditions = Array.from({ length: pick(random, [0, 0, 0, 1, 2]) ?? 0 }, (_, index) =>
    stated({ name: `c${index}`, expression: matchCondition(random) }),
  );
  const validations = Array.from({ length: pick(random, [1, 1, 2, 3]) ?? 1 }, () =>
    stated({
      expression: condition(random),
      message: pick(random, messages),
      messageExpression: random() < 0.4 ? pick(random, messageExpressions) : undefined,
      reason: pick(random, reasons),
    }),
  );
  const [first] = validations;
  if (first !== undefined && random() < 0.1)
    validations[0] = { ...first, ...pick(random, refusals) };
  return stated({
    matchConstraints: random() < 0.6 ? undefined : constraintsOf(random),
    failurePolicy: pick(random, [undefined, "Fail", "Ignore"]),
    matchConditions: conditions.length === 0 ? undefined : conditions,
    variables: [
      { name: "good", expression: "object.spec.containers.map(c, c.name)" },
      { name: "bad", expression: "object.spec.nothing" },
      { name: "worse", expression: "variables.bad == variables.good" },
    ],
    validations,
    auditAnnotations:
      random() < 0.8
        ? undefined
        : [
            {
              key: "k",
              valueExpression: pick(random, ["'x'", "null", "string(variables.bad)"]) ?? "",
            },
          ],
  });
}

/** Policies that hold, fail, err, do not match or are refused in random ways, the same for the same seed. */
export function randomValidations(seed: number, count: number): Readonly<Record<string, Case>> {
  const random = makeRandom(seed);
  const cases = Array.from({ length: count }, (_, index): readonly [string, Case] => {
    const spec = specOf(random);
    return [`judge-${seed}-${index}`, { reason: JSON.stringify(spec), spec }];
  });
  return Object.fromEntries(cases);
}
