// SPDX-License-Identifier: Apache-2.0
import type { Library, Macro, MacroContext, Overload } from "./library.ts";
import { argument, isError, variableName } from "./macros.ts";
import { index, optionalIndex } from "./operators.ts";
import type { Expression } from "./ast.ts";
import {
  boolType,
  dynType,
  intType,
  listOf,
  mapOf,
  opaqueOf,
  optionalOf,
  parameter,
  stringType,
  typeOfType,
  type CelType,
} from "./types.ts";
import {
  CelError,
  CelMap,
  CelObject,
  Double,
  Duration,
  isList,
  isPlainMap,
  Optional,
  optionalNone,
  TypeValue,
  Uint,
  type CelResult,
  type CelValue,
} from "./values.ts";

const K = parameter("K");
const V = parameter("V");
const optionalV = optionalOf(V);
const listV = listOf(V);
const mapKV = mapOf(K, V);

type Call = (...args: readonly CelValue[]) => CelResult;

const make = (
  id: string,
  member: boolean,
  types: readonly CelType[],
  result: CelType,
  call: Call,
): Overload => ({ id, member, arguments: types, result, call });

/** What `optional.ofNonZeroValue` takes for nothing: cel-go's Zeroer. */
export function isZeroValue(value: CelValue): boolean {
  if (value === null || value === false || value === "" || value === 0) return true;
  if (isList(value) || value instanceof Uint8Array) return value.length === 0;
  if (value instanceof Uint) return value.value === 0n;
  if (value instanceof Double) return value.value === 0;
  if (value instanceof Duration) return value.nanos === 0n;
  if (value instanceof Optional) return value.value === undefined;
  if (value instanceof CelMap) return value.size === 0;
  if (value instanceof CelObject) return value.isZero;
  return isPlainMap(value) && Object.keys(value).length === 0;
}

const inner = (value: CelValue | undefined): CelValue | undefined =>
  value instanceof Optional ? value.value : undefined;

/** The planner runs these itself, so that the alternative is evaluated only when it is needed. */
const planned: Call = () => new CelError("an optional alternative was called as a function");

/** `x.optMap(v, f(v))` and `x.optFlatMap(v, f(v))`: the second gives an optional itself. */
const mapping = (name: string, flat: boolean): Macro => ({
  name,
  receiver: true,
  arity: 2,
  expand(context, target, args) {
    const iterVar = variableName(args[0], `${name}() variable name must be a simple identifier`);
    if (isError(iterVar) || target === undefined) return isError(iterVar) ? iterVar : undefined;
    const value = bindValue(context, iterVar, target, argument(args, 1));
    return context.invoke(
      "_?_:_",
      context.invokeMember(target, "hasValue"),
      flat ? value : context.invoke("optional.of", value),
      context.invoke("optional.none"),
    );
  },
});

/** `body` with a name for the value of an optional. */
const bindValue = (
  context: MacroContext,
  name: string,
  target: Expression,
  body: Expression,
): Expression =>
  context.fold({
    range: context.list(),
    iterVar: "#unused",
    accuVar: name,
    accuInit: context.invokeMember(target, "value"),
    condition: context.literal(false),
    step: context.ident(name),
    result: body,
    shape: { kind: "bind" },
  });

const value = (optional?: CelValue): CelResult =>
  inner(optional) ?? orNull(optional) ?? new CelError("optional.none() dereference");

const orNull = (optional: CelValue | undefined): null | undefined =>
  optional instanceof Optional && optional.value === null ? null : undefined;

/** Optional values: cel-go's cel.OptionalTypes, version 1, with `unwrap` of version 2. */
export const optionalLibrary: Library = {
  name: "optional",
  constants: [
    {
      name: "optional_type",
      type: typeOfType(optionalV),
      value: new TypeValue(opaqueOf("optional_type", dynType)),
    },
  ],
  macros: [mapping("optMap", false), mapping("optFlatMap", true)],
  functions: [
    {
      name: "optional.of",
      overloads: [
        make("optional_of", false, [V], optionalV, (given = null) => new Optional(given)),
      ],
    },
    {
      name: "optional.ofNonZeroValue",
      overloads: [
        make("optional_ofNonZeroValue", false, [V], optionalV, (given = null) =>
          isZeroValue(given) ? optionalNone : new Optional(given),
        ),
      ],
    },
    {
      name: "optional.none",
      overloads: [make("optional_none", false, [], optionalV, () => optionalNone)],
    },
    { name: "value", overloads: [make("optional_value", true, [optionalV], V, value)] },
    {
      name: "hasValue",
      overloads: [
        make(
          "optional_hasValue",
          true,
          [optionalV],
          boolType,
          (given) => given instanceof Optional && given.value !== undefined,
        ),
      ],
    },
    {
      name: "or",
      overloads: [make("optional_or_optional", true, [optionalV, optionalV], optionalV, planned)],
    },
    {
      name: "orValue",
      overloads: [make("optional_orValue_value", true, [optionalV, V], V, planned)],
    },
    {
      name: "_?._",
      overloads: [make("select_optional_field", false, [dynType, stringType], optionalV, planned)],
    },
    {
      name: "_[?_]",
      overloads: [
        [listV, intType, "list_optindex_optional_int"] as const,
        [optionalOf(listV), intType, "optional_list_optindex_optional_int"] as const,
        [mapKV, K, "map_optindex_optional_value"] as const,
        [optionalOf(mapKV), K, "optional_map_optindex_optional_value"] as const,
      ].map(([container, key, id]) =>
        make(id, false, [container, key], optionalV, (a = null, b = null) => optionalIndex(a, b)),
      ),
    },
    {
      name: "_[_]",
      overloads: [
        [optionalOf(listV), intType, "optional_list_index_int"] as const,
        [optionalOf(mapKV), K, "optional_map_index_value"] as const,
      ].map(([container, key, id]) =>
        make(id, false, [container, key], optionalV, (a = null, b = null) => index(a, b)),
      ),
    },
    ...unwrapFunctions(),
  ],
};

function unwrapFunctions(): NonNullable<Library["functions"]> {
  const unwrap: Call = (list) =>
    isList(list)
      ? list.map(inner).filter((item) => item !== undefined)
      : new CelError("no such overload");
  const types = [listOf(optionalV)];
  return [
    { name: "optional.unwrap", overloads: [make("optional_unwrap", false, types, listV, unwrap)] },
    { name: "unwrapOpt", overloads: [make("optional_unwrapOpt", true, types, listV, unwrap)] },
  ];
}
