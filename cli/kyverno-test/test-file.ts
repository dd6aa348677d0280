// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { Operation } from "#policy/review";
import { parseOperation } from "../input/values.ts";
import { suggest } from "../suggest.ts";

/** One expectation of a test: that a policy's rule gives a result on these resources. */
export type ExpectedResult = {
  /** `name`, or `namespace/name` for a namespaced policy. */
  readonly policy: string;
  readonly rule: string;
  readonly kind: string;
  readonly result: string;
  /** `name` or `namespace/name`; empty for every resource of the test. */
  readonly resources: readonly string[];
  readonly resourceSpecs: readonly ResourceSpec[];
  /** Asks for an evaluation of its own under this operation. */
  readonly operation: Operation | undefined;
  /** File with the resources as they should be after mutation; '' for no expectation. */
  readonly patchedResources: string;
  /** File with the resources that should be generated; '' for no expectation. */
  readonly generatedResource: string;
  readonly cloneSourceResource: string;
  readonly failOnMissingResources: boolean;
  /** One of the `is...Policy` flags is set: the rule's name does not matter. */
  readonly ruleless: boolean;
};

export type ResourceSpec = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
};

/** One document of a kyverno-test.yaml; paths are as written, relative to the file's folder. */
export type TestCase = {
  readonly name: string;
  readonly policies: readonly string[];
  readonly resources: readonly string[];
  readonly targetResources: readonly string[];
  readonly paramResources: readonly string[];
  readonly exceptions: readonly string[];
  readonly clusterResources: readonly string[];
  readonly jsonPayloads: readonly string[];
  readonly httpPayloads: readonly string[];
  readonly envoyPayloads: readonly string[];
  readonly variables: string;
  readonly values: Json | undefined;
  readonly userInfo: string;
  readonly context: string;
  readonly apiCallResponses: readonly Json[];
  readonly globalContextEntries: readonly Json[];
  readonly results: readonly ExpectedResult[];
  /** Assertions on rule responses, beside the results. */
  readonly assertions: readonly Json[];
};

export type ParsedTest =
  | { readonly ok: true; readonly test: TestCase }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Takes a document as a Test of cli.kyverno.io; every problem is named by its path. */
export function parseTest(document: Json): ParsedTest {
  const problems: string[] = [];
  if (!isObject(document)) return { ok: false, problems: ["a test is an object"] };
  if (textAt(document, ["kind"]) !== "Test" && field(document, "kind") !== undefined) {
    return { ok: false, problems: [`kind: must be Test, got ${textAt(document, ["kind"])}`] };
  }
  const unknown = unknownKeys(document, testFields);
  problems.push(...unknown.map(({ key, message }) => `${key}: ${message}`));
  const read = makeReader(document, problems);
  const results = read.list("results").map((result, index) =>
    parseResult(result, (key, message) => {
      problems.push(`results[${index}].${key}: ${message}`);
    }),
  );
  const single = read.text("jsonPayload");
  const test: TestCase = {
    name: textAt(document, ["metadata", "name"]) || read.text("name"),
    policies: read.texts("policies"),
    resources: read.texts("resources"),
    targetResources: read.texts("targetResources"),
    paramResources: read.texts("paramResources"),
    exceptions: read.texts("exceptions"),
    clusterResources: read.texts("clusterResources"),
    jsonPayloads: [...(single === "" ? [] : [single]), ...read.texts("jsonPayloads")],
    httpPayloads: read.texts("httpPayloads"),
    envoyPayloads: read.texts("envoyPayloads"),
    variables: read.text("variables"),
    values: document["values"],
    userInfo: read.text("userinfo"),
    context: read.text("context"),
    apiCallResponses: read.list("apiCallResponses"),
    globalContextEntries: read.list("globalContextEntries"),
    results,
    assertions: read.list("checks"),
  };
  return problems.length === 0 ? { ok: true, test } : { ok: false, problems };
}

/** `name`, `checks` and `status`, `resource`, `namespace`, `patchedResource` below are fields of older command lines. */
const testFields =
  "apiVersion kind metadata name policies resources jsonPayload jsonPayloads httpPayloads envoyPayloads targetResources variables paramResources userinfo results values exceptions context clusterResources apiCallResponses globalContextEntries checks".split(
    " ",
  );
const resultFields =
  "policy rule isValidatingAdmissionPolicy isMutatingAdmissionPolicy isValidatingPolicy isDeletingPolicy isImageValidatingPolicy isGeneratingPolicy isMutatingPolicy result kind operation patchedResources generatedResource cloneSourceResource failOnMissingResources resources resourceSpecs generatedResources status resource namespace patchedResource".split(
    " ",
  );

/** Kyverno reads tests strictly, and names whatever their case: `isMUtatingPolicy` is in tests in the wild. */
function unknownKeys(
  value: Json,
  known: readonly string[],
): readonly { readonly key: string; readonly message: string }[] {
  if (!isObject(value)) return [];
  const names = new Set(known.map((name) => name.toLowerCase()));
  return Object.keys(value)
    .filter((key) => !names.has(key.toLowerCase()))
    .map((key) => {
      const near = suggest(key, known);
      return {
        key,
        message: `unknown field${near === undefined ? "" : `, did you mean ${near}?`}`,
      };
    });
}

type Reader = {
  readonly text: (key: string) => string;
  readonly texts: (key: string) => readonly string[];
  readonly list: (key: string) => readonly Json[];
};

/** Reads fields of the expected type, and notes those of another one. */
function makeReader(document: JsonObject, problems: string[]): Reader {
  const list = (key: string): readonly Json[] => {
    const value = field(document, key) ?? null;
    if (value === null) return [];
    if (isArray(value)) return value;
    problems.push(`${key}: must be a list`);
    return [];
  };
  const text = (key: string): string => {
    const value = field(document, key) ?? "";
    if (typeof value === "string") return value;
    problems.push(`${key}: must be a string`);
    return "";
  };
  const texts = (key: string): readonly string[] =>
    list(key).flatMap((value, index) => {
      if (typeof value === "string") return [value];
      problems.push(`${key}[${index}]: must be a string`);
      return [];
    });
  return { text, texts, list };
}

const resultWords = ["pass", "fail", "skip", "warn", "error"];

function parseResult(
  value: Json,
  complain: (key: string, message: string) => void,
): ExpectedResult {
  const text = (key: string): string => textAt(value, [key]);
  for (const { key, message } of unknownKeys(value, resultFields)) complain(key, message);
  // `status`, `resource`, `namespace` and `patchedResource` are the fields of old tests.
  const result = text("result") || text("status");
  if (!resultWords.includes(result)) {
    complain("result", `must be one of ${resultWords.join(", ")}, got "${result}"`);
  }
  if (text("policy") === "") complain("policy", "must name a policy");
  const operation = parseOperation(field(value, "operation"));
  if (operation === undefined && field(value, "operation") !== undefined) {
    complain("operation", "must be CREATE, UPDATE, DELETE or CONNECT");
  }
  const resources = field(value, "resources");
  const specs = field(value, "resourceSpecs");
  return {
    policy: text("policy"),
    rule: text("rule"),
    kind: text("kind"),
    result,
    resources: isArray(resources) ? resources.map(String) : oldResource(value),
    resourceSpecs: isArray(specs) ? specs.map(parseSpec) : [],
    operation,
    patchedResources: text("patchedResources") || text("patchedResource"),
    generatedResource: text("generatedResource") || text("generatedResources"),
    cloneSourceResource: text("cloneSourceResource"),
    failOnMissingResources: field(value, "failOnMissingResources") === true,
    ruleless: hasPolicyFlag(value),
  };
}

function oldResource(value: Json): readonly string[] {
  const name = textAt(value, ["resource"]);
  const namespace = textAt(value, ["namespace"]);
  if (name === "") return [];
  return [namespace === "" ? name : `${namespace}/${name}`];
}

const parseSpec = (value: Json): ResourceSpec => ({
  group: textAt(value, ["group"]),
  version: textAt(value, ["version"]),
  kind: textAt(value, ["kind"]),
  namespace: textAt(value, ["namespace"]),
  name: textAt(value, ["name"]),
});

/** `isValidatingPolicy` and the like, in any case: a test in the wild spells isMUtatingPolicy. */
const policyFlag =
  /^is(validatingadmission|mutatingadmission|validating|mutating|generating|imagevalidating|deleting)policy$/i;

const hasPolicyFlag = (value: Json): boolean =>
  isObject(value) && Object.keys(value).some((key) => policyFlag.test(key) && value[key] === true);
