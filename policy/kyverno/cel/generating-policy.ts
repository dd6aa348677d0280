// SPDX-License-Identifier: Apache-2.0
import {
  boolOnly,
  compileAt,
  compileConditions,
  compileVariables,
  listAt,
  matchConditions,
  report,
  unsupportedReason,
} from "#policy/admission/expressions";
import type { ExpressionScope, NamedProgram, Variables } from "#policy/admission/expressions";
import { explained, record, recordAll, recordVariables } from "#policy/admission/recording";
import type { Log } from "#policy/admission/recording";
import { compileAnnotations } from "#policy/admission/validating-policy";
import { makeBudget } from "#policy/cel/budget";
import type { Budget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { CelError } from "#policy/cel/values";
import type { CompileContext } from "#policy/compile-context";
import { documentName } from "#policy/document";
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { readMatchConstraints } from "#policy/kubernetes/match-constraints";
import type { MatchConstraints } from "#policy/kubernetes/match-constraints";
import { baseActivation, withVariables } from "#policy/kyverno/cel/activation";
import { kyvernoEnvironment } from "#policy/kyverno/cel/environment";
import {
  exceptionResult,
  exceptionsFor,
  findExceptions,
  recordExceptions,
} from "#policy/kyverno/cel/exceptions";
import type { Exception } from "#policy/kyverno/cel/exceptions";
import { compileTemplate } from "#policy/kyverno/cel/template";
import { nothingCompiled } from "#policy/kyverno/kind-compilation";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import type { CompiledPolicy, Generation } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import { requiredObject } from "#policy/required-object";
import { makeResult, policyMeta } from "#policy/report/policy-meta";
import type { PolicyMeta } from "#policy/report/policy-meta";
import type { Result, RuleResult } from "#policy/report/result";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

/** Most resources that one policy may add for one trigger. */
const generatedMax = 1_000;

/** One entry of `spec.generate`: adds to what is generated, or says why it cannot. */
type Generator = {
  /** Undefined for a template. */
  readonly program: Program | undefined;
  readonly run: (
    program: Program | undefined,
    activation: Activation,
    budget: Budget,
    add: (namespace: string, objects: readonly JsonObject[]) => CelError | undefined,
  ) => CelError | undefined;
};

type Parts = {
  readonly meta: PolicyMeta;
  readonly constraints: MatchConstraints;
  readonly conditions: readonly NamedProgram[];
  readonly variables: Variables;
  readonly generators: readonly Generator[];
  readonly annotations: readonly NamedProgram[];
  readonly exceptions: readonly Exception[];
  readonly ignoreErrors: boolean;
};

/**
 * Compiles a GeneratingPolicy or NamespacedGeneratingPolicy (pkg/cel/policies/gpol): its expressions call
 * `generator.Apply`, its templates are YAML. What is generated is returned, never written; who asks decides what
 * becomes of it.
 */
export function compileGeneratingPolicy(
  document: JsonObject,
  context: CompileContext,
): KindCompilation {
  const problems: Problem[] = [];
  const parts = compileParts(document, context, problems);
  if (parts === undefined || problems.length > 0) return { ...nothingCompiled, problems };
  const policy: CompiledPolicy = {
    ref: parts.meta.ref,
    annotations: parts.meta.annotations,
    index: parts.constraints.plurals,
    generate: (review, world) => generate(parts, review, world),
    explain: (review, world) => explained((log) => generate(recorded(parts, log), review, world)),
  };
  return { policies: [policy], problems: [], unsupported: [] };
}

const recorded = (parts: Parts, log: Log): Parts => ({
  ...parts,
  exceptions: recordExceptions(parts.exceptions, log),
  conditions: recordAll(parts.conditions, "matchConditions", log),
  variables: recordVariables(parts.variables, log),
  generators: parts.generators.map((generator, index) => ({
    ...generator,
    program: generator.program && record(generator.program, `generate[${index}]`, log),
  })),
  annotations: recordAll(parts.annotations, "auditAnnotations", log),
});

function compileParts(
  document: JsonObject,
  context: CompileContext,
  problems: Problem[],
): Parts | undefined {
  const name = documentName(document);
  const spec = requiredObject(document, "spec", problems);
  if (spec === undefined) return undefined;
  if (requiredObject(document, "spec.matchConstraints", problems) === undefined) return undefined;
  const constraints = readMatchConstraints(name, spec, problems);
  if (constraints === undefined) return undefined;
  const meta = policyMeta(document, "KyvernoGeneratingPolicy");
  const environment = kyvernoEnvironment({
    kind: "generating",
    namespaced: meta.ref.namespace !== "",
  });
  const scope: ExpressionScope = { document: name, environment, problems };
  const variables = compileVariables(scope, spec, "kyverno.variables");
  const full = { ...scope, environment: variables.environment };
  return {
    meta,
    constraints: constraints,
    conditions: compileConditions(scope, spec, "matchConditions"),
    variables,
    generators: compileGenerators(full, spec),
    annotations: compileAnnotations(full, spec),
    exceptions: exceptionsFor(document, context.exceptions, environment, problems),
    ignoreErrors: textAt(spec, ["failurePolicy"]) === "Ignore",
  };
}

function compileGenerators(scope: ExpressionScope, spec: JsonObject): readonly Generator[] {
  const entries = listAt(scope, spec, "generate");
  if (entries.length === 0) report(scope, "spec.generate", "must have at least one entry");
  return entries.flatMap((entry, index) => {
    const path = `spec.generate[${index}]`;
    const template = field(entry, "template");
    const generator =
      template === undefined
        ? expressionGenerator(scope, entry, `${path}.expression`)
        : templateGenerator(scope, template, `${path}.template.value`);
    return generator === undefined ? [] : [generator];
  });
}

function expressionGenerator(
  scope: ExpressionScope,
  entry: Json,
  path: string,
): Generator | undefined {
  const program = compileAt(scope, field(entry, "expression"), path, boolOnly);
  if (program === undefined) return undefined;
  return {
    program,
    run: (now, activation, budget) => {
      const value = now?.evaluate(activation, budget);
      return value instanceof CelError ? value : undefined;
    },
  };
}

function templateGenerator(
  scope: ExpressionScope,
  template: Json,
  path: string,
): Generator | undefined {
  const interpolate = textAt(template, ["interpolate"]) === "cel";
  const compiled = compileTemplate(scope, field(template, "value"), interpolate, path);
  if (compiled === undefined) return undefined;
  return {
    program: undefined,
    run: (_, activation, budget, add) => {
      const objects = compiled(activation, budget);
      if (objects instanceof CelError) return objects;
      for (const object of objects) {
        const error = add(textAt(object, ["metadata", "namespace"]), [object]);
        if (error !== undefined) return error;
      }
      return undefined;
    },
  };
}

const nothing: Generation = { resources: [], results: [] };

function generate(parts: Parts, review: Review, world: World): Generation {
  const { namespace } = parts.meta.ref;
  if (namespace !== "" && review.namespace !== namespace) return nothing;
  if (parts.constraints.match(review, world) !== "match") return nothing;
  const resources: JsonObject[] = [];
  const add = (into: string, objects: readonly JsonObject[]): CelError | undefined => {
    const target = namespace === "" ? into : namespace;
    resources.push(...objects.flatMap(unpackList).map((object) => inNamespace(object, target)));
    if (resources.length <= generatedMax) return undefined;
    return new CelError(`more than ${generatedMax} generated resources`, "budget");
  };
  const budget = makeBudget();
  const base = baseActivation(review, world, { namespace, generate: add });
  const exempted = findExceptions(parts, base, budget, world);
  if (exempted.is === "exempt") {
    const result = exceptionResult(parts.meta, "Generation", exempted.exceptions);
    return { resources: [], results: [result] };
  }
  if (exempted.is === "error") return failed(parts, exempted.errors[0]?.error);
  const activation = withVariables(base, exempted, parts.variables, budget);
  const matched = matchConditions(parts.conditions, activation, budget);
  if (matched.is === "no match") return nothing;
  if (matched.is === "error") return failed(parts, matched.errors[0]?.error);
  for (const generator of parts.generators) {
    const error = generator.run(generator.program, activation, budget, add);
    if (error !== undefined) return failed(parts, error);
  }
  return annotate(parts, activation, budget, resources);
}

function annotate(
  parts: Parts,
  activation: Activation,
  budget: Budget,
  resources: readonly JsonObject[],
): Generation {
  const properties: [string, string][] = [];
  for (const { name, program } of parts.annotations) {
    const value = program.evaluate(activation, budget);
    if (value instanceof CelError) return failed(parts, value);
    if (typeof value === "string" && value !== "") properties.push([name, value]);
  }
  const message = "policy evaluated successfully";
  return {
    resources,
    results: [makeOutcome(parts, "pass", message, Object.fromEntries(properties))],
  };
}

function failed(parts: Parts, error: CelError | undefined): Generation {
  const message = `failed to evaluate policy: ${error?.message ?? ""}`;
  const unsupported = error === undefined ? undefined : unsupportedReason(error);
  return { resources: [], results: [{ ...makeOutcome(parts, "error", message, {}), unsupported }] };
}

function makeOutcome(
  parts: Parts,
  result: Result,
  message: string,
  properties: Readonly<Record<string, string>>,
): RuleResult {
  return makeResult(parts.meta, {
    rule: parts.meta.ref.name,
    type: "Generation",
    result,
    message,
    action: result === "error" && parts.ignoreErrors ? "Audit" : "Enforce",
    properties,
  });
}

function unpackList(object: JsonObject): readonly JsonObject[] {
  const items = field(object, "items");
  if (!textAt(object, ["kind"]).endsWith("List") || !isArray(items)) return [object];
  return items.filter(isObject);
}

/** Puts an object into a namespace, or into none; a copy of an object of the cluster loses its version. */
function inNamespace(object: JsonObject, namespace: string): JsonObject {
  const found = at(object, ["metadata"]);
  const { namespace: _, resourceVersion: __, ...metadata } = isObject(found) ? found : {};
  return { ...object, metadata: namespace === "" ? metadata : { ...metadata, namespace } };
}
