// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, textAt } from "#policy/json";
import { withAutogenRules } from "#policy/kyverno/classic/autogen";
import { mutate, validate, validateRule, verdict } from "#policy/kyverno/classic/testing";

const annotation = "pod-policies.kyverno.io/autogen-controllers";
const rule = validateRule({ message: "m", pattern: { spec: { x: 1 } } });

const generated = (one: JsonObject, stated?: string): readonly JsonObject[] =>
  withAutogenRules([one], stated === undefined ? {} : { [annotation]: stated }).slice(1);

const only = (one: JsonObject, name: string): JsonObject => {
  const found = generated(one).find((made) => made["name"] === name);
  if (found === undefined) throw new Error(`no rule ${name}`);
  return found;
};

const kindsOf = (made: Json): Json | undefined =>
  at(made, ["match", "any", 0, "resources", "kinds"]);

describe("which rules are generated", () => {
  const all = [
    "DaemonSet",
    "Deployment",
    "Job",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
  ];
  const rows: readonly {
    readonly reason: string;
    readonly stated?: string;
    readonly want: readonly (readonly [name: string, kinds: readonly string[]])[];
  }[] = [
    {
      reason: "no annotation: all",
      want: [
        ["autogen-r", all],
        ["autogen-cronjob-r", ["CronJob"]],
      ],
    },
    { reason: "none", stated: "none", want: [] },
    { reason: "some", stated: "Job,DaemonSet", want: [["autogen-r", ["DaemonSet", "Job"]]] },
    { reason: "CronJob alone", stated: "CronJob", want: [["autogen-cronjob-r", ["CronJob"]]] },
    {
      reason: "both",
      stated: "Deployment,CronJob",
      want: [
        ["autogen-r", ["Deployment"]],
        ["autogen-cronjob-r", ["CronJob"]],
      ],
    },
    {
      reason: "all",
      stated: "all",
      want: [
        ["autogen-r", all],
        ["autogen-cronjob-r", ["CronJob"]],
      ],
    },
  ];
  test.each(rows)("$reason", ({ stated, want }) => {
    expect(generated(rule, stated).map((made) => [made["name"], kindsOf(made)])).toEqual(want);
  });

  test("names are cut to 63 characters", () => {
    const long = { ...rule, name: "n".repeat(63) };
    const lengths = generated(long).map((made) => textAt(made, ["name"]).length);
    expect(lengths).toEqual([63, 63]);
  });

  test("rules that are called like generated ones make way for them", () => {
    const rules = withAutogenRules([rule, { ...rule, name: "autogen-x" }], {});
    expect(rules.map(({ name }) => name)).toEqual(["r", "autogen-r", "autogen-cronjob-r"]);
  });

  test("one rule that cannot be generated keeps all others from it", () => {
    const named = {
      ...rule,
      name: "s",
      match: { any: [{ resources: { kinds: ["Pod"], name: "x" } }] },
    };
    expect(withAutogenRules([rule, named], {})).toHaveLength(2);
  });
});

describe("what is in them", () => {
  const template = { spec: { template: { spec: { x: 1 } } } };

  test("a pattern is put under the pod template", () => {
    expect(at(only(rule, "autogen-r"), ["validate", "pattern"])).toEqual(template);
    expect(at(only(rule, "autogen-cronjob-r"), ["validate", "pattern"])).toEqual({
      spec: { jobTemplate: { spec: { template: { spec: { x: 1 } } } } },
    });
  });

  test("so is each of anyPattern", () => {
    const many = validateRule({ anyPattern: [{ spec: { x: 1 } }, { spec: { y: 1 } }] });
    const patterns = at(only(many, "autogen-r"), ["validate", "anyPattern"]);
    expect(patterns).toEqual([template, { spec: { template: { spec: { y: 1 } } } }]);
  });

  const rewritten: readonly {
    readonly reason: string;
    readonly text: string;
    readonly want: string;
    readonly cron: string;
  }[] = [
    {
      reason: "the spec",
      text: "{{request.object.spec.x}}",
      want: "{{request.object.spec.template.spec.x}}",
      cron: "{{request.object.spec.jobTemplate.spec.template.spec.x}}",
    },
    {
      reason: "the metadata",
      text: "{{ request.object.metadata.labels }}",
      want: "{{ request.object.spec.template.metadata.labels }}",
      cron: "{{ request.object.spec.jobTemplate.spec.template.metadata.labels }}",
    },
    {
      reason: "of the old object",
      text: "{{request.oldObject.spec}}",
      want: "{{request.oldObject.spec.template.spec}}",
      cron: "{{request.oldObject.spec.jobTemplate.spec.template.spec}}",
    },
    {
      reason: "nothing else",
      text: "{{request.namespace}}",
      want: "{{request.namespace}}",
      cron: "{{request.namespace}}",
    },
  ];
  test.each(rewritten)("variables look there: $reason", ({ text, want, cron }) => {
    const one = validateRule({
      message: text,
      deny: { conditions: { all: [{ key: text, operator: "Equals", value: "" }] } },
    });
    const read = (name: string): readonly (Json | undefined)[] => [
      at(only(one, name), ["validate", "message"]),
      at(only(one, name), ["validate", "deny", "conditions", "all", 0, "key"]),
    ];
    expect(read("autogen-r")).toEqual([want, want]);
    expect(read("autogen-cronjob-r")).toEqual([cron, cron]);
  });

  test("actions, context and preconditions come along, what is about the pod's kind does not", () => {
    const full = {
      ...validateRule({ failureAction: "Enforce", pattern: { spec: { x: 1 } } }),
      context: [{ name: "a", variable: { value: 1 } }],
      preconditions: { all: [] },
      exclude: { any: [{ resources: { kinds: ["Pod"], namespaces: ["kube-system"] } }] },
    };
    const made = only(full, "autogen-r");
    expect(made).toMatchObject({ context: full.context, preconditions: full.preconditions });
    expect(at(made, ["validate", "failureAction"])).toBe("Enforce");
    const excluded = at(made, ["exclude", "any", 0, "resources"]);
    expect(at(excluded, ["namespaces"])).toEqual(["kube-system"]);
    const kinds = at(excluded, ["kinds"]);
    expect(isArray(kinds) && kinds.includes("Deployment")).toBe(true);
  });
});

describe("what they answer", () => {
  const annotations = { [annotation]: "Deployment,CronJob" };
  const deployment = (spec: JsonObject): JsonObject => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d", namespace: "default" },
    spec: { template: { spec } },
  });

  test("a deployment is judged by its pod template", () => {
    const want = "fail: validation error: m. rule autogen-r failed at path /spec/template/spec/x/";
    expect(verdict(rule, deployment({}), { annotations })).toBe(want);
    expect(verdict(rule, deployment({ x: 1 }), { annotations })).toContain("pass");
  });

  test("podSecurity tells the fields of the template", () => {
    const baseline = validateRule({ podSecurity: { level: "baseline" } });
    const [result] = validate([baseline], deployment({ hostPID: true, containers: [] }), {
      annotations,
    });
    expect(result?.message).toContain("[spec.template.spec.hostPID is forbidden");
  });

  test("a mutation reaches the template", () => {
    const one = {
      name: "r",
      match: { any: [{ resources: { kinds: ["Pod"] } }] },
      mutate: { patchStrategicMerge: { spec: { y: 2 } } },
    };
    const { object } = mutate([one], deployment({ x: 1 }), { annotations });
    expect(at(object, ["spec", "template", "spec"])).toEqual({ x: 1, y: 2 });
  });

  test("a loop that mutates does too", () => {
    const one = {
      name: "r",
      match: { any: [{ resources: { kinds: ["Pod"] } }] },
      mutate: {
        foreach: [
          {
            list: "request.object.spec.containers",
            patchStrategicMerge: {
              spec: { containers: [{ name: "{{element.name}}", tty: true }] },
            },
          },
        ],
      },
    };
    const before = deployment({ containers: [{ name: "a" }, { name: "b" }] });
    const { object } = mutate([one], before, { annotations });
    const after = [
      { name: "a", tty: true },
      { name: "b", tty: true },
    ];
    expect(at(object, ["spec", "template", "spec", "containers"])).toEqual(after);
  });
});
