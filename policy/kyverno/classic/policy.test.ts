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
import type { RunOptions } from "#policy/kyverno/classic/testing";

const failing = { message: "m", pattern: { spec: { x: 1 } } };
const passing = { pattern: { kind: "Pod" } };

describe("the action", () => {
  const knows = {
    namespace: (name: string): JsonObject => ({ metadata: { name, labels: { stage: name } } }),
  };
  const inDev = [{ action: "Enforce", namespaces: ["de*"] }];
  const bySelector = [
    { action: "Enforce", namespaceSelector: { matchLabels: { stage: "default" } } },
  ];
  const rows: readonly {
    readonly reason: string;
    readonly spec?: JsonObject;
    readonly block?: JsonObject;
    readonly want: string;
  }[] = [
    { reason: "nothing stated", want: "Audit" },
    { reason: "of the policy", spec: { validationFailureAction: "Enforce" }, want: "Enforce" },
    {
      reason: "in the old spelling",
      spec: { validationFailureAction: "enforce" },
      want: "Enforce",
    },
    { reason: "of the rule", block: { failureAction: "Enforce" }, want: "Enforce" },
    {
      reason: "the rule's counts before the policy's",
      spec: { validationFailureAction: "Enforce" },
      block: { failureAction: "Audit" },
      want: "Audit",
    },
    {
      reason: "an override of the policy by namespace",
      spec: { validationFailureActionOverrides: inDev },
      want: "Enforce",
    },
    {
      reason: "an override of the policy by the namespace's labels",
      spec: { validationFailureActionOverrides: bySelector },
      want: "Enforce",
    },
    {
      reason: "an override of the policy does not touch a rule with its own action",
      spec: { validationFailureActionOverrides: inDev },
      block: { failureAction: "Audit" },
      want: "Audit",
    },
    {
      reason: "an override of the rule does",
      block: { failureAction: "Audit", failureActionOverrides: inDev },
      want: "Enforce",
    },
    {
      reason: "namespaces and selector are both asked",
      spec: {
        validationFailureActionOverrides: [{ ...bySelector[0], namespaces: ["prod"] }],
      },
      want: "Audit",
    },
    {
      reason: "an override that says neither applies nowhere",
      spec: { validationFailureActionOverrides: [{ action: "Enforce" }] },
      want: "Audit",
    },
    {
      reason: "a policy that takes no part in admission blocks nothing",
      spec: { validationFailureAction: "Enforce", admission: false },
      want: "Audit",
    },
  ];
  test.each(rows)("$reason: $want", ({ spec, block, want }) => {
    const rule = validateRule({ ...failing, ...block });
    const options: RunOptions = spec === undefined ? { knows } : { knows, spec };
    expect(validate([rule], pod(), options)[0]?.action).toBe(want);
  });

  test("a Namespace is in no namespace", () => {
    const match = { any: [{ resources: { kinds: ["Namespace"] } }] };
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } };
    const spec = { validationFailureActionOverrides: [...inDev, ...bySelector] };
    const [result] = validate([validateRule(failing, { match })], namespace, { knows, spec });
    expect(result).toMatchObject({ result: "fail", action: "Audit" });
  });

  test("verifyImages states it in its entries", () => {
    const rule = {
      name: "r",
      match: { any: [{ resources: { kinds: ["Pod"] } }] },
      verifyImages: [{ imageReferences: ["*"] }, { failureAction: "Enforce" }],
    };
    const [result] = validate([rule], pod({ containers: [{ name: "a", image: "b" }] }));
    expect(result).toMatchObject({ action: "Enforce", result: "error", type: "ImageVerify" });
  });
});

describe("allowExistingViolations", () => {
  const bad = pod({ y: 1 });
  const good = pod({ x: 1 });
  const enforce = { validationFailureAction: "Enforce" };
  const allowed = "skip: skipping the rule evaluation as pre-existing violations are allowed";
  const failed = "fail: validation error: m. rule r failed at path /spec/x/";
  const rows: readonly {
    readonly reason: string;
    readonly block?: JsonObject;
    readonly options: RunOptions;
    readonly want: string;
  }[] = [
    {
      reason: "the old object failed too",
      options: { spec: enforce, operation: "UPDATE", oldObject: bad },
      want: allowed,
    },
    {
      reason: "the old object passed",
      options: { spec: enforce, operation: "UPDATE", oldObject: good },
      want: failed,
    },
    { reason: "a creation", options: { spec: enforce }, want: failed },
    {
      reason: "under Audit all is told",
      options: { operation: "UPDATE", oldObject: bad },
      want: failed,
    },
    {
      reason: "turned off",
      block: { allowExistingViolations: false },
      options: { spec: enforce, operation: "UPDATE", oldObject: bad },
      want: failed,
    },
  ];
  test.each(rows)("$reason", ({ block, options, want }) => {
    expect(verdict(validateRule({ ...failing, ...block }), pod(), options)).toBe(want);
  });
});

describe("several rules", () => {
  const named = (name: string, block: JsonObject): JsonObject => ({ ...validateRule(block), name });
  const rules = [named("a", passing), named("b", failing)];
  const names = (spec: JsonObject): readonly string[] =>
    validate(rules, pod(), { spec }).map(({ rule }) => rule);

  test("all of them speak", () => {
    expect(names({})).toEqual(["a", "b"]);
  });

  test("applyRules One: the first that passes or fails is the only one", () => {
    expect(names({ applyRules: "One" })).toEqual(["a"]);
  });

  test("applyRules One: a rule that skips does not count", () => {
    const skipping = named("s", { pattern: { "(kind)": "Job", spec: { x: 1 } } });
    const options = { spec: { applyRules: "One" } };
    const said = validate([skipping, ...rules], pod(), options);
    expect(said.map(({ rule, result }) => `${rule} ${result}`)).toEqual(["s skip", "a pass"]);
  });

  test("mutate rules see what the ones before them made", () => {
    const set = (name: string, patch: JsonObject): Json => ({
      name,
      match: { any: [{ resources: { kinds: ["Pod"] } }] },
      mutate: { patchStrategicMerge: { metadata: { labels: patch } } },
    });
    const sets = [set("a", { x: "1" }), set("b", { y: "{{request.object.metadata.labels.x}}2" })];
    const { object } = mutate(sets, pod());
    expect(object["metadata"]).toMatchObject({ labels: { x: "1", y: "12" } });
  });
});

describe("reportProperties", () => {
  const rule = (reportProperties: JsonObject): JsonObject =>
    validateRule(failing, { reportProperties });

  test("stand in the result", () => {
    const [result] = validate([rule({ owner: "web" })], pod());
    expect(result?.properties).toMatchObject({ owner: "web" });
  });

  test("failMessage takes the place of the message", () => {
    expect(verdict(rule({ failMessage: "own words" }), pod())).toBe("fail: own words");
    expect(verdict(rule({ passMessage: "own words" }), pod())).toContain("validation error");
  });
});

describe("verifyImages without a registry", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  const rule = (...entries: readonly JsonObject[]): JsonObject => ({
    name: "r",
    match: { any: [{ resources: { kinds: ["Pod"] } }] },
    verifyImages: entries,
  });
  const offline = { imageReferences: ["docker.io/*"], mutateDigest: false, required: false };
  const required = { ...offline, required: true, verifyDigest: false };
  const of = (image: string, annotations?: JsonObject): JsonObject =>
    pod({ containers: [{ name: "a", image }] }, annotations === undefined ? {} : { annotations });
  const rows: readonly {
    readonly reason: string;
    readonly rule: JsonObject;
    readonly object: JsonObject;
    readonly want: string;
  }[] = [
    {
      reason: "a digest is there",
      rule: rule(offline),
      object: of(`nginx@${digest}`),
      want: "pass: image verified",
    },
    {
      reason: "a digest is missing",
      rule: rule(offline),
      object: of("nginx"),
      want: "fail: missing digest for docker.io/nginx:latest",
    },
    { reason: "another image", rule: rule(offline), object: of("ghcr.io/a/b"), want: "nothing" },
    {
      reason: "nothing is asked",
      rule: rule({ ...offline, verifyDigest: false }),
      object: of("nginx"),
      want: "nothing",
    },
    {
      reason: "nobody has verified it",
      rule: rule(required),
      object: of("nginx"),
      want: "fail: unverified image docker.io/nginx:latest",
    },
    {
      reason: "other annotations say nothing of images",
      rule: rule(required),
      object: of("nginx", { a: "b" }),
      want: "fail: image is not verified",
    },
    {
      reason: "whoever created the object may have written the annotation: no pass",
      rule: rule(required),
      object: of("nginx", { "kyverno.io/verify-images": '{"docker.io/nginx:latest":"pass"}' }),
      want: "error: the annotation kyverno.io/verify-images can only be trusted where Kyverno has written it",
    },
    {
      reason: "signatures are in the registry",
      rule: rule({ ...offline, attestors: [{ entries: [{ keys: { publicKeys: "x" } }] }] }),
      object: of("nginx"),
      want: "error: verifyImages needs the signatures of a registry, which the engine never calls",
    },
    {
      reason:
        "so are the digests to fill in, which is what an entry asks for unless told otherwise",
      rule: rule({ imageReferences: ["*"] }),
      object: of("nginx"),
      want: "error: verifyImages needs the signatures of a registry, which the engine never calls",
    },
    {
      reason: "which is nothing that an image has which the rule is not about",
      rule: rule({ imageReferences: ["ghcr.io/*"] }),
      object: of("nginx"),
      want: "nothing",
    },
    {
      reason: "not even when its preconditions do not hold",
      rule: {
        ...rule({ imageReferences: ["ghcr.io/*"] }),
        preconditions: { all: [{ key: "a", operator: "Equals", value: "b" }] },
      },
      object: of("nginx"),
      want: "nothing",
    },
    {
      reason: "images to pass over",
      rule: rule({
        imageReferences: ["*"],
        skipImageReferences: ["docker.io/*"],
        verifyDigest: false,
      }),
      object: of("nginx"),
      want: "skip: image skipped, skipped images: docker.io/nginx:latest",
    },
    {
      reason: "a broken reference",
      rule: rule(offline),
      object: of("UPPER"),
      want: "error: failed to extract images: invalid image 'UPPER' (bad image: docker.io/UPPER, defaultRegistry: docker.io, enableDefaultRegistryMutation: true: invalid reference format)",
    },
  ];
  test.each(rows)("$reason", ({ rule: one, object, want }) => {
    expect(verdict(one, object)).toBe(want);
  });
});

describe("what cannot be evaluated here", () => {
  const rows: readonly { readonly what: string; readonly rule: JsonObject }[] = [
    { what: "validate.manifests", rule: validateRule({ manifests: { attestors: [] } }) },
    { what: "validate.assert", rule: validateRule({ assert: { a: 1 } }) },
  ];
  test.each(rows)("$what is an error that says so", ({ what, rule }) => {
    const { unsupported } = compileClassicPolicy(policyOf([rule]), []);
    expect(unsupported.map(({ rule: name }) => name)).toEqual(["r"]);
    expect(unsupported[0]?.reason).toContain(what);
    const [result] = validate([rule], pod());
    expect(result).toMatchObject({ result: "error", unsupported: unsupported[0]?.reason });
  });
});

describe("policies that do not compile", () => {
  const deny = (conditions: Json): JsonObject => validateRule({ deny: { conditions } });
  const rows: readonly {
    readonly reason: string;
    readonly rules: readonly Json[];
    readonly path: string;
    readonly message: string;
  }[] = [
    { reason: "no rules", rules: [], path: "spec.rules", message: "1 to 1000" },
    { reason: "a rule that is none", rules: [1], path: "spec.rules[0]", message: "object" },
    {
      reason: "no name",
      rules: [{ validate: passing }],
      path: "spec.rules[0].name",
      message: "non-empty",
    },
    {
      reason: "one name twice",
      rules: [validateRule(passing), validateRule(passing)],
      path: "spec.rules[1].name",
      message: "two rules",
    },
    {
      reason: "nothing to do",
      rules: [{ name: "r", match: {} }],
      path: "spec.rules[0]",
      message: "must have",
    },
    {
      reason: "nothing to validate",
      rules: [validateRule({ message: "m" })],
      path: "spec.rules[0].validate",
      message: "must have",
    },
    {
      reason: "nothing to mutate",
      rules: [{ name: "r", match: {}, mutate: {} }],
      path: "spec.rules[0].mutate",
      message: "must have",
    },
    {
      reason: "an unknown operator",
      rules: [deny({ all: [{ key: "a", operator: "Near", value: "b" }] })],
      path: "spec.rules[0].validate.deny.conditions.all[0].operator",
      message: "Near",
    },
    {
      reason: "a broken list",
      rules: [validateRule({ foreach: [{ list: "a[", pattern: {} }] })],
      path: "spec.rules[0].validate.foreach[0].list",
      message: "",
    },
    {
      reason: "an unknown version",
      rules: [validateRule({ podSecurity: { level: "baseline", version: "v2" } })],
      path: "spec.rules[0].validate.podSecurity.version",
      message: "latest",
    },
    {
      reason: "a field that nobody knows, probably misspelt",
      rules: [validateRule({ patern: {}, pattern: {} })],
      path: "spec.rules[0].validate.patern",
      message: "unknown field",
    },
    {
      reason: "two actions: only one would run",
      rules: [{ ...validateRule(passing), generate: {} }],
      path: "spec.rules[0]",
      message: "has validate, generate",
    },
    {
      reason: "two checks: only one would run",
      rules: [validateRule({ ...passing, deny: {} })],
      path: "spec.rules[0].validate",
      message: "has pattern, deny",
    },
    {
      reason: "two patches: only one would run",
      rules: [{ name: "r", match: {}, mutate: { patchStrategicMerge: {}, patchesJson6902: "[]" } }],
      path: "spec.rules[0].mutate",
      message: "has patchStrategicMerge, patchesJson6902",
    },
    {
      reason: "an anchor that only patches have",
      rules: [validateRule({ pattern: { spec: [{ "+(a)": 1 }] } })],
      path: "spec.rules[0].validate.pattern.spec[0].+(a)",
      message: "mutate",
    },
    {
      reason: "an existence anchor on what is no list",
      rules: [validateRule({ foreach: [{ list: "a", anyPattern: [{ "^(a)": {} }] }] })],
      path: "spec.rules[0].validate.foreach[0].anyPattern[0].^(a)",
      message: "list",
    },
    {
      reason: "a name that is too long",
      rules: [{ ...validateRule(passing), name: "n".repeat(64) }],
      path: "spec.rules[0].name",
      message: "63",
    },
    {
      reason: "a JSON patch that is none",
      rules: [{ name: "r", match: {}, mutate: { patchesJson6902: "- {op: put, path: /a}" } }],
      path: "spec.rules[0].mutate.patchesJson6902",
      message: "put",
    },
    {
      reason: "a JSON patch with a path that is none",
      rules: [{ name: "r", match: {}, mutate: { patchesJson6902: "- {op: remove, path: a}" } }],
      path: "spec.rules[0].mutate.patchesJson6902",
      message: "slash",
    },
  ];
  test.each(rows)("$reason", ({ rules, path, message }) => {
    const { policies, problems } = compileClassicPolicy(policyOf(rules), []);
    expect(policies).toEqual([]);
    expect(problems.map((problem) => problem.path)).toContainEqual(expect.stringContaining(path));
    expect(problems.map((problem) => problem.message).join()).toContain(message);
  });
});

describe("the index", () => {
  test("names the kinds of all rules in lower case", () => {
    expect(compileRules([validateRule(passing)]).index).toEqual(["pod"]);
  });

  test("is any where a kind has a wildcard", () => {
    const match = { any: [{ resources: { kinds: ["*"] } }] };
    expect(compileRules([validateRule(passing, { match })]).index).toBe("any");
  });
});
