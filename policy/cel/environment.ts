// SPDX-License-Identifier: Apache-2.0
import type { Constant, Library, Macro, ObjectType, Overload } from "./library.ts";
import { comparisons } from "./operators.ts";
import { standardLibrary } from "./standard.ts";
import type { CelType } from "./types.ts";

export type EnvironmentOptions = {
  /** Lists and maps whose literals mix types are compile errors (Kubernetes and most of Kyverno: true). */
  readonly homogeneousAggregates?: boolean;
  /** `1 < 1.5` type checks (Kubernetes and Kyverno: true, the default). */
  readonly crossTypeNumericComparisons?: boolean;
  /** `a.?b`, `a[?b]`, `{?k: v}`, `[?e]` parse (the default). */
  readonly optionalSyntax?: boolean;
  /** Fields may be written in backticks: a.`b-c` (neither Kubernetes nor Kyverno: false, the default). */
  readonly quotedIdentifiers?: boolean;
  /** `has(x.f)`, `x.?f` and `x[?k]` of values that can have no fields are errors (neither of them: false, the default). */
  readonly errorOnBadPresenceTest?: boolean;
  /**
   * Map literals with repeated keys, or with keys that are null or doubles, are errors, as the language definition has it.
   * cel-go lets the last of repeated keys win (false, the default).
   */
  readonly strictMapLiterals?: boolean;
  /** Names and overloads are looked up when run, as cel-go does with what was only parsed. For conformance tests. */
  readonly unchecked?: boolean;
  /** A namespace that names are looked up in first, e.g. `a.b`; '' by default. */
  readonly container?: string;
  /** Constants are computed when compiling, and those that fail are compile errors (Kubernetes: true; false, the default). */
  readonly instantiate?: boolean;
  /** Literals of regular expressions, durations and timestamps are checked when compiling (the default). */
  readonly checkLiterals?: boolean;
};

export type EnvironmentSpec = {
  /** Variables by name, qualified ones (`a.b`) included. */
  readonly variables: Readonly<Record<string, CelType>>;
  /** Beside the standard library, which is always there. Later ones add overloads to functions of the same name. */
  readonly libraries?: readonly Library[];
  /** Types made on demand, e.g. every `Object.spec.x`; asked after the libraries' own. */
  readonly resolveType?: (name: string) => ObjectType | undefined;
  readonly options?: EnvironmentOptions;
};

/** What an expression may refer to. Immutable; share one among all expressions of a kind. */
export type Environment = {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly functions: ReadonlyMap<string, readonly Overload[]>;
  readonly constants: ReadonlyMap<string, Constant>;
  /** By `macroKey`. */
  readonly macros: ReadonlyMap<string, Macro>;
  readonly resolveType: (name: string) => ObjectType | undefined;
  readonly options: Required<EnvironmentOptions>;
};

/** Macros are found by name, style and number of arguments. */
export const macroKey = (name: string, receiver: boolean, arity: number | undefined): string =>
  `${name}:${receiver ? "member" : "global"}:${arity ?? "*"}`;

/** Builds an environment. Throws on two overloads with one id in a function, which is a mistake in a library. */
export function makeEnvironment(spec: EnvironmentSpec): Environment {
  const libraries = [standardLibrary, ...(spec.libraries ?? [])];
  const types = new Map<string, ObjectType>();
  const constants = new Map<string, Constant>();
  const macros = new Map<string, Macro>();
  for (const library of libraries) {
    for (const type of library.objectTypes ?? []) types.set(type.name, type);
    for (const constant of library.constants ?? []) constants.set(constant.name, constant);
    for (const macro of library.macros ?? []) {
      macros.set(macroKey(macro.name, macro.receiver, macro.arity), macro);
    }
  }
  return {
    variables: new Map(Object.entries(spec.variables)),
    functions: collectFunctions(libraries, spec.options?.crossTypeNumericComparisons ?? true),
    constants,
    macros,
    resolveType: (name) => types.get(name) ?? spec.resolveType?.(name),
    options: {
      homogeneousAggregates: false,
      crossTypeNumericComparisons: true,
      optionalSyntax: true,
      quotedIdentifiers: false,
      errorOnBadPresenceTest: false,
      strictMapLiterals: false,
      unchecked: false,
      container: "",
      checkLiterals: true,
      instantiate: false,
      ...spec.options,
    },
  };
}

/** The same environment with more variables, e.g. those of earlier `variables` or of params. Cheap. */
export const withVariables = (
  environment: Environment,
  variables: Readonly<Record<string, CelType>>,
): Environment => ({
  ...environment,
  variables: new Map([...environment.variables, ...Object.entries(variables)]),
});

/** Whether an overload compares numbers of two types. */
const comparesAcross = (name: string, [left, right]: Overload["arguments"]): boolean =>
  Object.hasOwn(comparisons, name) && left?.kind !== right?.kind;

function collectFunctions(
  libraries: readonly Library[],
  acrossTypes: boolean,
): ReadonlyMap<string, readonly Overload[]> {
  const functions = new Map<string, Overload[]>();
  for (const { name, overloads } of libraries.flatMap((library) => library.functions ?? [])) {
    const known = functions.get(name) ?? [];
    for (const overload of overloads) {
      if (known.some((other) => other.id === overload.id)) {
        throw new Error(`overload ${overload.id} of ${name} is declared twice`);
      }
      if (acrossTypes || !comparesAcross(name, overload.arguments)) known.push(overload);
    }
    functions.set(name, known);
  }
  return functions;
}
