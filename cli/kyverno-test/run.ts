// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { field, isArray, isObject } from "#policy/json";
import type { CompiledPolicy } from "#policy/policy-set";
import type { Operation } from "#policy/review";
import { evaluateResource } from "../evaluate.ts";
import type { Response } from "../evaluate.ts";
import { keyOf } from "../input/resources.ts";
import type { ResourceKey } from "../input/resources.ts";
import type { LoadedTest } from "./load.ts";

/** A resource of a test with all that the policies said about it. */
export type RunEntry = {
  readonly key: ResourceKey;
  readonly responses: readonly Response[];
  /** The resource after all mutations. */
  readonly object: JsonObject;
};

/** Everything of a test evaluated, under the test's own operation or under a given one. */
export type TestRun = (operation: Operation | undefined) => readonly RunEntry[];

/** Evaluates a test when a result asks for it, once for each operation. */
export function runTest(loaded: LoadedTest): TestRun {
  const runs = new Map<Operation | undefined, readonly RunEntry[]>();
  return (operation) => {
    const known = runs.get(operation);
    if (known !== undefined) return known;
    const entries = evaluateAll(loaded, operation);
    runs.set(operation, entries);
    return entries;
  };
}

function evaluateAll(loaded: LoadedTest, operation: Operation | undefined): readonly RunEntry[] {
  const { set } = loaded.compilation;
  const options = { ...loaded.options, operation };
  const silent = silentPolicies(loaded.policies);
  const isSilent = (policy: CompiledPolicy): boolean =>
    silent.has(policyKey(policy.ref)) || onlyGenerates(policy);
  const resources = loaded.resources.map((resource): RunEntry => {
    const { responses, object } = evaluateResource(set, resource, options);
    const heard = responses.filter(
      // Policies that delete answer no request: a run for an operation does not ask them.
      ({ results, policy }) =>
        results.length > 0 && (operation === undefined || policy.deletion === undefined),
    );
    const quiet = set.policies
      .filter((policy) => !isSilent(policy) && !heard.some((one) => one.policy === policy))
      .map((policy): Response => ({
        policy,
        results: [],
        before: resource,
        after: object,
        generated: [],
        targets: [],
      }));
    return { key: keyOf(resource), responses: [...heard, ...quiet], object };
  });
  const payloads = [...loaded.payloads].map(([name, payload]): RunEntry => {
    const { responses, object } = evaluateResource(set, payload, options);
    return { key: { apiVersion: "", kind: "", namespace: "", name }, responses, object };
  });
  const targets = loaded.targets.map((target) => targetEntry(target, resources));
  return [...resources, ...payloads, ...authorize(loaded), ...targets];
}

/** What policies over requests to services say of each. */
function authorize({ compilation, requests, options }: LoadedTest): readonly RunEntry[] {
  const world = options.celWorld ?? options.world;
  return [...requests].map(([name, request]): RunEntry => {
    const { payload } = request;
    const asked = { before: payload, after: payload, generated: [], targets: [] };
    const responses = compilation.set.policies
      .map((policy) => ({ ...asked, policy, results: policy.authorize?.(request, world) ?? [] }))
      .filter(({ results }) => results.length > 0);
    return { key: { apiVersion: "", kind: "", namespace: "", name }, responses, object: payload };
  });
}

/** An existing object with the responses of those policies that changed it because of another one. */
function targetEntry(target: JsonObject, triggers: readonly RunEntry[]): RunEntry {
  const name = formatIdentity(target);
  const responses = triggers.flatMap((trigger) =>
    trigger.responses.flatMap((response) =>
      response.targets
        .filter(({ before }) => formatIdentity(before) === name)
        .map(({ before, after }) => ({ ...response, before, after })),
    ),
  );
  return { key: keyOf(target), responses, object: responses.at(-1)?.after ?? target };
}

const formatIdentity = (object: JsonObject): string => JSON.stringify(keyOf(object));

/** A classic policy with nothing but generate rules answers only where one of them matched. */
const onlyGenerates = ({ validate, mutate, generate }: CompiledPolicy): boolean =>
  generate !== undefined && validate === undefined && mutate === undefined;

const policyKey = (ref: Omit<ResourceKey, "apiVersion">): string =>
  `${ref.kind}/${ref.namespace}/${ref.name}`;

/**
 * Policies of which Kyverno's command line hears nothing at all about a resource that they do not match, so that a test
 * of them is "not found" and fails. The others answer without any rule, which passes as excluded
 * (cmd/cli/kubectl-kyverno/processor/policy_processor.go, hasSelector and IsEmpty).
 */
function silentPolicies(documents: readonly JsonObject[]): ReadonlySet<string> {
  return new Set(documents.filter(hasPlainMatch).map((document) => policyKey(keyOf(document))));
}

function hasPlainMatch(document: JsonObject): boolean {
  const { kind } = keyOf(document);
  if (/(Generating|Deleting)Policy$/.test(kind) || kind === "MutatingAdmissionPolicy") return true;
  if (!/^(Namespaced)?(Validating|Mutating)Policy$/.test(kind)) return false;
  const constraints = field(field(document, "spec"), "matchConstraints");
  if (constraints === undefined) return false;
  const rules = listOf(field(constraints, "resourceRules"));
  return (
    isEmptySelector(field(constraints, "namespaceSelector")) &&
    isEmptySelector(field(constraints, "objectSelector")) &&
    listOf(field(constraints, "excludeResourceRules")).length === 0 &&
    rules.length === 1 &&
    listOf(field(rules[0], "resourceNames")).length === 0
  );
}

const listOf = (value: unknown): readonly JsonObject[] =>
  isArray(value) ? value.filter(isObject) : [];

function isEmptySelector(selector: unknown): boolean {
  if (!isObject(selector)) return true;
  const labels = selector["matchLabels"];
  const hasLabels = isObject(labels) && Object.keys(labels).length > 0;
  return !hasLabels && listOf(selector["matchExpressions"]).length === 0;
}
