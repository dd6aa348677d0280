// SPDX-License-Identifier: Apache-2.0
import { accumulatorName, type Expression } from "./ast.ts";
import type { Library, Macro, MacroContext, MacroError } from "./library.ts";
import {
  argument,
  foldAll,
  foldExists,
  foldExistsOne,
  foldMap,
  isError,
  variableName,
  type Variables,
} from "./macros.ts";
import { entriesOf, makeUniqueMap } from "./maps.ts";
import { noSuchOverload } from "./operators.ts";
import { mapOf, parameter } from "./types.ts";
import { type CelResult, type CelValue } from "./values.ts";

/** The two variables of a macro, or why they are none. */
function twoVariables(range: Expression, args: readonly Expression[]): Variables | MacroError {
  const iterVar = variableName(args[0]);
  const iterVar2 = variableName(args[1]);
  if (isError(iterVar)) return iterVar;
  if (isError(iterVar2)) return iterVar2;
  if (iterVar === iterVar2) {
    return { message: `duplicate variable name: ${iterVar}`, at: argument(args, 1) };
  }
  return { range, iterVar, iterVar2 };
}

type Build = (make: MacroContext, variables: Variables, body: readonly Expression[]) => Expression;

const macro = (name: string, arity: 3 | 4, build: Build): Macro => ({
  name,
  receiver: true,
  arity,
  expand(make, range, args) {
    if (range === undefined) return undefined;
    const variables = twoVariables(range, args);
    return "message" in variables ? variables : build(make, variables, args.slice(2));
  },
});

const quantifier = (
  name: string,
  fold: (make: MacroContext, variables: Variables, predicate: Expression) => Expression,
): Macro => macro(name, 3, (make, variables, body) => fold(make, variables, argument(body, 0)));

/** A macro that has a form with a filter before its last argument too. */
const transform = (
  name: string,
  build: (
    make: MacroContext,
    variables: Variables,
    filter: Expression | undefined,
    body: Expression,
  ) => Expression,
): readonly Macro[] => [
  macro(name, 3, (make, variables, body) => build(make, variables, undefined, argument(body, 0))),
  macro(name, 4, (make, variables, body) =>
    build(make, variables, argument(body, 0), argument(body, 1)),
  ),
];

/** `transformMap` inserts a value at the first variable, `transformMapEntry` all entries of a map. */
const mapTransform =
  (kind: "transformMap" | "transformMapEntry") =>
  (
    make: MacroContext,
    variables: Variables,
    filter: Expression | undefined,
    body: Expression,
  ): Expression => {
    const accumulator = (): Expression => make.ident(accumulatorName);
    const more =
      kind === "transformMap"
        ? make.invoke("cel.@mapInsert", accumulator(), make.ident(variables.iterVar), body)
        : make.invoke("cel.@mapInsert", accumulator(), body);
    return make.fold({
      ...variables,
      accuVar: accumulatorName,
      accuInit: make.map(),
      condition: make.literal(true),
      step: filter === undefined ? more : make.invoke("_?_:_", filter, more, accumulator()),
      result: accumulator(),
      shape: { kind, filter, transform: body },
    });
  };

const K = parameter("K");
const V = parameter("V");
const mapKV = mapOf(K, V);

function insertAll(
  map: CelValue,
  added: readonly (readonly [CelValue, CelValue])[] | undefined,
): CelResult {
  const entries = entriesOf(map);
  if (entries === undefined || added === undefined) return noSuchOverload;
  return makeUniqueMap([...entries, ...added], "insert failed: key already exists");
}

/** Macros over keys and values, or indices and values: cel-go's ext.TwoVarComprehensions. */
export const twoVariableComprehensionLibrary: Library = {
  name: "two-variable comprehensions",
  macros: [
    quantifier("all", foldAll),
    quantifier("exists", foldExists),
    quantifier("existsOne", foldExistsOne),
    quantifier("exists_one", foldExistsOne),
    ...transform("transformList", foldMap),
    ...transform("transformMap", mapTransform("transformMap")),
    ...transform("transformMapEntry", mapTransform("transformMapEntry")),
  ],
  functions: [
    {
      name: "cel.@mapInsert",
      overloads: [
        {
          id: "@mapInsert_map_key_value",
          member: false,
          arguments: [mapKV, K, V],
          result: mapKV,
          call: (map: CelValue, key: CelValue, value: CelValue) => insertAll(map, [[key, value]]),
        },
        {
          id: "@mapInsert_map_map",
          member: false,
          arguments: [mapKV, mapKV],
          result: mapKV,
          call: (map: CelValue, other: CelValue) => insertAll(map, entriesOf(other)),
        },
      ],
    },
  ],
};
