// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { pod, validateRule, verdict } from "#policy/kyverno/classic/testing";
import { workedMs } from "#test/support/cpu-time";

const passed = "pass: Validation rule 'r' passed.";

const judge = (level: string, exclude: readonly JsonObject[], object: JsonObject): string => {
  const rule = validateRule({ podSecurity: { level, version: "latest", exclude } });
  return verdict(rule, object).replace(
    `fail: Validation rule 'r' failed. It violates PodSecurity "${level}:latest": `,
    "fail: ",
  );
};

const c = (name: string, image: string, securityContext: JsonObject): JsonObject => ({
  name,
  image,
  securityContext,
});

const adds = (...add: readonly string[]): JsonObject => ({ capabilities: { add } });

const two = (one: JsonObject, other: JsonObject): JsonObject =>
  pod({ containers: [c("a", "x:1", one), c("b", "y:1", other)] });

const capabilities = (index: number, ...values: readonly string[]): string =>
  `fail: (Forbidden reason: non-default capabilities, field error list: [spec.containers[${index}].securityContext.capabilities.add is forbidden, forbidden values found: [${values.join(" ")}]])`;

const field = "spec.containers[*].securityContext.capabilities.add";
const Capabilities = { controlName: "Capabilities" };

const rows: readonly {
  readonly reason: string;
  readonly exclude: readonly JsonObject[];
  readonly object: JsonObject;
  readonly want: string;
}[] = [
  {
    reason: "nothing is left out",
    exclude: [],
    object: two(adds("NET_RAW"), {}),
    want: capabilities(0, "NET_RAW"),
  },
  {
    reason: "a control for an image",
    exclude: [{ ...Capabilities, images: ["x*"] }],
    object: two(adds("NET_RAW"), {}),
    want: passed,
  },
  {
    reason: "not for another image",
    exclude: [{ ...Capabilities, images: ["x*"] }],
    object: two(adds("NET_RAW"), adds("SYS_TIME")),
    want: capabilities(1, "SYS_TIME"),
  },
  {
    reason: "one control for several images by several entries",
    exclude: [
      { ...Capabilities, images: ["x*"] },
      { ...Capabilities, images: ["y*"] },
    ],
    object: two(adds("NET_RAW"), adds("SYS_TIME")),
    want: passed,
  },
  {
    reason: "without images only what the pod itself states",
    exclude: [Capabilities],
    object: two(adds("NET_RAW"), {}),
    want: capabilities(0, "NET_RAW"),
  },
  {
    reason: "the pod's own fields",
    exclude: [{ controlName: "Host Namespaces" }],
    object: pod({ hostPID: true, containers: [] }),
    want: passed,
  },
  {
    reason: "a field and the values that it may have",
    exclude: [{ ...Capabilities, images: ["*"], restrictedField: field, values: ["NET_*"] }],
    object: two(adds("NET_RAW"), {}),
    want: passed,
  },
  {
    reason: "one value of several is not among them",
    exclude: [{ ...Capabilities, images: ["*"], restrictedField: field, values: ["NET_*"] }],
    object: two(adds("NET_RAW", "SYS_TIME"), {}),
    want: capabilities(0, "NET_RAW", "SYS_TIME"),
  },
  {
    reason: "another field",
    exclude: [
      {
        ...Capabilities,
        images: ["*"],
        restrictedField: "spec.initContainers[*].securityContext.capabilities.add",
        values: ["NET_*"],
      },
    ],
    object: two(adds("NET_RAW"), {}),
    want: capabilities(0, "NET_RAW"),
  },
];

describe("podSecurity with exclusions", () => {
  test.each(rows)("$reason", ({ exclude, object, want }) => {
    expect(judge("baseline", exclude, object)).toBe(want);
  });

  test("many containers take no longer than they have to", () => {
    const names = Array.from({ length: 5_000 }, (_, index) => `c${index}`);
    const containers = names.map((name) => c(name, "x", adds("NET_RAW")));
    const started = workedMs();
    expect(judge("baseline", [{ ...Capabilities, images: ["x"] }], pod({ containers }))).toBe(
      passed,
    );
    expect(workedMs() - started).toBeLessThan(5_000);
  });
});

describe("what podSecurity looks at", () => {
  const rule = validateRule(
    { podSecurity: { level: "baseline" } },
    { match: { any: [{ resources: { kinds: ["*"] } }] } },
  );
  const spec = { hostPID: true, containers: [] };
  const of = (kind: string, inner: JsonObject): JsonObject => ({
    ...pod(),
    apiVersion: "x/v1",
    kind,
    spec: inner,
  });
  const failed = (path: string): string =>
    `fail: Validation rule 'r' failed. It violates PodSecurity "baseline:": (Forbidden reason: host namespaces, field error list: [${path} is forbidden, forbidden values found: true])`;

  const kinds: readonly {
    readonly kind: string;
    readonly inner: JsonObject;
    readonly want: string;
  }[] = [
    { kind: "Pod", inner: spec, want: failed("spec.hostPID") },
    { kind: "Job", inner: { template: { spec } }, want: failed("spec.template.spec.hostPID") },
    {
      kind: "CronJob",
      inner: { jobTemplate: { spec: { template: { spec } } } },
      want: failed("spec.jobTemplate.spec.template.spec.hostPID"),
    },
    {
      kind: "Service",
      inner: spec,
      want: "error: Error while getting new resource: could not find correct resource type",
    },
    {
      kind: "Pod",
      inner: { hostPID: "yes" },
      want: "error: Error while getting new resource: spec.hostPID must be of type boolean, got string",
    },
  ];
  test.each(kinds)("$kind", ({ kind, inner, want }) => {
    expect(verdict(rule, of(kind, inner))).toBe(want);
  });
});
