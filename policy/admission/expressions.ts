// SPDX-License-Identifier: Apache-2.0
import type { Budget } from "#policy/cel/budget";
import { compileExpression } from "#policy/cel/compile";
import type { Activation, Program } from "#policy/cel/compile";
import { withVariables } from "#policy/cel/environment";
import type { Environment } from "#policy/cel/environment";
import { dynType, formatType, nullType, objectOf, sameType, stringType } from "#policy/cel/types";
import { boolType } from "#policy/cel/types";
import type { CelType } from "#policy/cel/types";
import { CelError, LazyObject } from "#policy/cel/values";
import type { CelResult } from "#policy/cel/values";
import { describe } from "#policy/document";
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json } from "#policy/json";
import type { Problem } from "#policy/problem";

/** Most expressions of one list in a policy; the API allows 64 match conditions and as many validations as fit etcd. */
const expressionsMax = 1_000;

/** What compiles the expressions of one policy and collects what is wrong with them. */
export type ExpressionScope = {
  readonly document: string;
  readonly environment: Environment;
  readonly problems: Problem[];
};

export type NamedProgram = { readonly name: string; readonly program: Program };

export const boolOnly: readonly CelType[] = [boolType];
export const stringOnly: readonly CelType[] = [stringType];
export const stringOrNull: readonly CelType[] = [stringType, nullType];

/**
 * Compiles the expression at a path. `expect` lists the types of which the result must be exactly one, as the
 * references check it (`dyn` is not enough); none given allows all.
 */
export function compileAt(
  scope: ExpressionScope,
  source: Json | undefined,
  path: string,
  expect: readonly CelType[] = [],
): Program | undefined {
  if (typeof source !== "string" || source.trim() === "") {
    report(scope, path, `must be a CEL expression, got ${describe(source)}`);
    return undefined;
  }
  const compiled = compileExpression(source, scope.environment);
  if (!compiled.ok) {
    const issues = compiled.issues.map(
      ({ line, column, message }) => `line ${line}, column ${column}: ${message}`,
    );
    report(scope, path, issues.join("; "));
    return undefined;
  }
  const { type } = compiled.program;
  if (expect.length > 0 && !expect.some((wanted) => sameType(wanted, type))) {
    const wanted = expect.map(formatType).join(" or ");
    report(scope, path, `must evaluate to ${wanted} but gives ${formatType(type)}`);
    return undefined;
  }
  return compiled.program;
}

export function report(scope: ExpressionScope, path: string, message: string): void {
  scope.problems.push({ document: scope.document, path, message });
}

/** The list at a key of the spec, empty when absent; anything else is a problem. */
export function listAt(
  scope: ExpressionScope,
  spec: Json | undefined,
  key: string,
): readonly Json[] {
  const value = field(spec, key) ?? [];
  if (isArray(value) && value.length <= expressionsMax) return value;
  const message = isArray(value)
    ? `has ${value.length} entries, at most ${expressionsMax} are allowed`
    : `must be a list, got ${describe(value)}`;
  report(scope, `spec.${key}`, message);
  return [];
}

/** Compiles a list of `{name, expression}` that give booleans, such as matchConditions. */
export function compileConditions(
  scope: ExpressionScope,
  spec: Json | undefined,
  key: string,
): readonly NamedProgram[] {
  return listAt(scope, spec, key).flatMap((entry, index) => {
    const path = `spec.${key}[${index}].expression`;
    const program = compileAt(scope, field(entry, "expression"), path, boolOnly);
    return program === undefined ? [] : [{ name: textAt(entry, ["name"]), program }];
  });
}

export type Variables = {
  /** Knows `variables` with all of its fields. */
  readonly environment: Environment;
  /** Whether there are none. */
  readonly isEmpty: boolean;
  /** The `variables` value for one evaluation: each is computed when first read, and once. */
  readonly bind: (activation: () => Activation, budget: Budget) => LazyObject;
  /** The same variables with other programs, e.g. ones that write down what they give. */
  readonly over: (change: (name: string, program: Program) => Program) => Variables;
};

/** The type of `variables` in admission policies; their errors name the variable that failed, Kyverno's do not. */
const admissionVariables = "kubernetes.variables";

/**
 * Compiles `spec.variables` in order: each may use the ones before it. `typeName` is that of the `variables` value in
 * compile errors.
 */
export function compileVariables(
  scope: ExpressionScope,
  spec: Json | undefined,
  typeName = admissionVariables,
): Variables {
  const fields = new Map<string, CelType>();
  const programs = new Map<string, Program>();
  const type = objectOf(typeName);
  const outer = scope.environment;
  const environment: Environment = {
    ...withVariables(outer, { variables: type }),
    resolveType: (name) =>
      name === typeName ? { name, field: (key) => fields.get(key) } : outer.resolveType(name),
  };
  for (const [index, variable] of listAt(scope, spec, "variables").entries()) {
    const path = `spec.variables[${index}]`;
    const name = textAt(variable, ["name"]);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      report(scope, `${path}.name`, "must be a CEL identifier: letters, digits and _");
      continue;
    }
    if (fields.has(name)) {
      // It could refer to itself through the name of the first.
      report(scope, `${path}.name`, `is a second variable named ${name}`);
      continue;
    }
    const source = field(variable, "expression");
    const program = compileAt({ ...scope, environment }, source, `${path}.expression`);
    fields.set(name, program?.type ?? dynType);
    if (program !== undefined) programs.set(name, program);
  }
  return makeVariables(environment, type, programs);
}

function makeVariables(
  environment: Environment,
  type: CelType,
  programs: ReadonlyMap<string, Program>,
): Variables {
  const named = sameType(type, objectOf(admissionVariables));
  return {
    environment,
    isEmpty: programs.size === 0,
    bind: (activation, budget) =>
      new LazyObject(type, (name) => {
        const value = programs.get(name)?.evaluate(activation(), budget);
        return named && value instanceof CelError ? namedError(name, value) : value;
      }),
    over: (change) => {
      const changed = [...programs].map(
        ([name, program]) => [name, change(name, program)] as const,
      );
      return makeVariables(environment, type, new Map(changed));
    },
  };
}

const namedError = (name: string, { message, code }: CelError): CelError =>
  new CelError(`composited variable "${name}" fails to evaluate: ${message}`, code);

export type Matched =
  | { readonly is: "match" }
  | { readonly is: "no match"; readonly condition: string }
  | { readonly is: "error"; readonly errors: readonly ExpressionError[] };

export type ExpressionError = { readonly expression: string; readonly error: CelError };

const matched: Matched = { is: "match" };

/** Any condition that is false decides, even when others have errors before it; else errors do. */
export function matchConditions(
  conditions: readonly NamedProgram[],
  activation: Activation,
  budget: Budget,
): Matched {
  const errors: ExpressionError[] = [];
  for (const { name, program } of conditions) {
    const value = program.evaluate(activation, budget);
    if (value instanceof CelError) errors.push({ expression: program.source, error: value });
    else if (value !== true) return { is: "no match", condition: name };
  }
  return errors.length === 0 ? matched : { is: "error", errors };
}

/** The text of an error result, or undefined when the error is an ordinary one. */
export const unsupportedReason = (error: CelError): string | undefined =>
  error.code === "unsupported" ? error.message : undefined;

/** A string result, undefined for any other value. */
export const textOf = (value: CelResult): string | undefined =>
  typeof value === "string" ? value : undefined;

/** Whether an object-typed part of a spec is there, with a problem when it is something else. */
export function objectAt(scope: ExpressionScope, value: Json | undefined, path: string): boolean {
  if (isObject(value)) return true;
  if (value !== undefined && value !== null) {
    report(scope, path, `must be an object, got ${describe(value)}`);
  }
  return false;
}

/** Several errors as the API server reports them together: each text once, in brackets when there are others. */
export function joinErrors(texts: readonly string[]): string {
  const [first = "", ...others] = new Set(texts);
  return others.length === 0 ? first : `[${[first, ...others].join(", ")}]`;
}
