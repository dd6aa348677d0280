// SPDX-License-Identifier: Apache-2.0
import { compileAt, listAt, report } from "#policy/admission/expressions";
import type { ExpressionScope } from "#policy/admission/expressions";
import {
  applyConfigurationType,
  jsonPatchesType,
  toConfiguration,
  toOperations,
} from "#policy/admission/patch-types";
import type { Budget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { CelError } from "#policy/cel/values";
import type { CelValue } from "#policy/cel/values";
import { at, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { applyConfiguration } from "#policy/kubernetes/apply-configuration";
import { mutationPatchOptions, applyJsonPatch, sameJson } from "#policy/kubernetes/json-patch";
import { decodingProblem } from "#policy/kubernetes/strict-decoding";
import { kindOf } from "#policy/kubernetes/kinds";
import { schemaOf } from "#policy/kubernetes/schemas";
import type { World } from "#policy/world";

/** One entry of `spec.mutations`, compiled. */
export type Mutator = {
  readonly program: Program;
  readonly apply: (value: CelValue, object: JsonObject, world: World) => Patched;
};

export type Patched =
  /** `object` is the given one when nothing changed. */
  | { readonly ok: true; readonly object: JsonObject }
  | {
      readonly ok: false;
      readonly message: string;
      readonly error: CelError | undefined;
      /** The request fails whatever the policy's failurePolicy says, and no later mutation is tried. */
      readonly fatal?: true;
    };

export type MutationOptions = {
  /** Kyverno's evaluation.useServerSideApply: apply configurations may replace atomic lists and maps. */
  readonly replaceAtomics: boolean;
  /** The API server reads a patched object back as its kind, and refuses fields that the kind does not have. */
  readonly strict: boolean;
};

/** Compiles `spec.mutations`; entries with problems are left out and named. */
export function compileMutations(
  scope: ExpressionScope,
  spec: JsonObject,
  options: MutationOptions,
): readonly Mutator[] {
  const entries = listAt(scope, spec, "mutations");
  if (entries.length === 0) report(scope, "spec.mutations", "must have at least one entry");
  return entries.flatMap((entry, index) => {
    const mutator = compileMutation(scope, entry, `spec.mutations[${index}]`, options);
    return mutator === undefined ? [] : [mutator];
  });
}

function compileMutation(
  scope: ExpressionScope,
  entry: Json,
  path: string,
  options: MutationOptions,
): Mutator | undefined {
  const type = textAt(entry, ["patchType"]);
  if (type === "JSONPatch") {
    const source = at(entry, ["jsonPatch", "expression"]);
    const where = `${path}.jsonPatch.expression`;
    const program = compileAt(scope, source, where, [jsonPatchesType]);
    return program === undefined
      ? undefined
      : { program, apply: (value, object) => applyPatch(value, object, options) };
  }
  if (type === "ApplyConfiguration") {
    const source = at(entry, ["applyConfiguration", "expression"]);
    const where = `${path}.applyConfiguration.expression`;
    const program = compileAt(scope, source, where, [applyConfigurationType]);
    if (program === undefined) return undefined;
    return { program, apply: (value, object, world) => merge(value, object, world, options) };
  }
  report(scope, `${path}.patchType`, "must be JSONPatch or ApplyConfiguration");
  return undefined;
}

/** Evaluates one mutation and applies what it says. */
export function mutateOnce(
  mutator: Mutator,
  object: JsonObject,
  activation: Activation,
  budget: Budget,
  world: World,
): Patched {
  const value = mutator.program.evaluate(activation, budget);
  if (value instanceof CelError) return { ok: false, message: value.message, error: value };
  const patched = mutator.apply(value, object, world);
  if (!patched.ok || !sameJson(patched.object, object)) return patched;
  return { ok: true, object };
}

function applyPatch(value: CelValue, object: JsonObject, options: MutationOptions): Patched {
  const stated = toOperations(value);
  if (!stated.ok) return refused(stated.message);
  const outcome = applyJsonPatch(object, stated.operations, mutationPatchOptions);
  if (!outcome.ok) {
    // A failed test means: not this object, not now.
    if (outcome.reason === "test") return { ok: true, object };
    return refused(`JSON Patch: ${outcome.message}`);
  }
  const patched = outcome.value;
  if (!isObject(patched)) return refused("JSON Patch: the patched document is no object");
  const problem = options.strict ? newProblem(patched, object) : undefined;
  return problem === undefined
    ? { ok: true, object: patched }
    : { ...refused(`Internal error occurred: ${problem}`), fatal: true };
}

/** What keeps the API server from reading a patched object, unless the object was as unreadable before. */
function newProblem(patched: JsonObject, object: JsonObject): string | undefined {
  const schema = schemaOf(kindOf(object));
  const problem = decodingProblem(patched, schema);
  return problem === undefined || decodingProblem(object, schema) !== undefined
    ? undefined
    : problem;
}

function merge(
  value: CelValue,
  object: JsonObject,
  world: World,
  options: MutationOptions,
): Patched {
  const stated = toConfiguration(value);
  if (!stated.ok) return refused(stated.message);
  const kind = kindOf(object);
  const schema = world.schemaOf(kind) ?? schemaOf(kind);
  const merged = applyConfiguration(object, stated.object, schema, options);
  return merged.ok
    ? { ok: true, object: merged.object }
    : refused(`error applying patch: ${merged.message}`);
}

const refused = (message: string) => ({ ok: false, message, error: undefined }) as const;
