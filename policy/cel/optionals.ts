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

const overload = (
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
  if (value instanceof CelMap) return value.size === 0;
  if (value instanceof CelObject) return value.isZero;
  return isPlainMap(value) && Object.keys(value).length === 0;
}

const innerOf = (value: CelValue | undefined): CelValue | undefined =>
  value instanceof Optional ? value.value : undefined;

/** The planner runs these itself, so that the alternative is evaluated only when it is needed. */
const planned: Call = () => new CelError("an optional alternative was called as a function");

/** The hidden variable that holds an optional while it is asked whether it has a value. */
const optionalName = "@optional";

/**
 * `x.optMap(v, f(v))` and `x.optFlatMap(v, f(v))`: the second gives an optional itself. cel-go writes `x` twice into the
 * expansion, so that a chain of these doubles with each; a variable for it means the same.
 */
const mapping = (name: string, flat: boolean): Macro => ({
  name,
  receiver: true,
  arity: 2,
  expand(make, target, args) {
    const iterVar = variableName(args[0], `${name}() variable name must be a simple identifier`);
    if (isError(iterVar) || target === undefined) return isError(iterVar) ? iterVar : undefined;
    const inner = make.invokeMember(make.ident(optionalName), "value");
    const value = bind(make, iterVar, inner, argument(args, 1));
    const answer = make.invoke(
      "_?_:_",
      make.invokeMember(make.ident(optionalName), "hasValue"),
      flat ? value : make.invoke("optional.of", value),
      make.invoke("optional.none"),
    );
    return bind(make, optionalName, target, answer);
  },
});

/** `body` with a name for a value. */
const bind = (make: MacroContext, name: string, value: Expression, body: Expression): Expression =>
  make.fold({
    range: make.list(),
    iterVar: "#unused",
    accuVar: name,
    accuInit: value,
    condition: make.literal(false),
    step: make.ident(name),
    result: body,
    shape: { kind: "bind" },
  });

const valueOf = (optional?: CelValue): CelResult =>
  innerOf(optional) ?? orNull(optional) ?? new CelError("optional.none() dereference");

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
        overload("optional_of", false, [V], optionalV, (given = null) => new Optional(given)),
      ],
    },
    {
      name: "optional.ofNonZeroValue",
      overloads: [
        overload("optional_ofNonZeroValue", false, [V], optionalV, (given = null) =>
          isZeroValue(given) ? optionalNone : new Optional(given),
        ),
      ],
    },
    {
      name: "optional.none",
      overloads: [overload("optional_none", false, [], optionalV, () => optionalNone)],
    },
    { name: "value", overloads: [overload("optional_value", true, [optionalV], V, valueOf)] },
    {
      name: "hasValue",
      overloads: [
        overload(
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
      overloads: [
        overload("optional_or_optional", true, [optionalV, optionalV], optionalV, planned),
      ],
    },
    {
      name: "orValue",
      overloads: [overload("optional_orValue_value", true, [optionalV, V], V, planned)],
    },
    {
      name: "_?._",
      overloads: [
        overload("select_optional_field", false, [dynType, stringType], optionalV, planned),
      ],
    },
    {
      name: "_[?_]",
      overloads: [
        [listV, intType, "list_optindex_optional_int"] as const,
        [optionalOf(listV), intType, "optional_list_optindex_optional_int"] as const,
        [mapKV, K, "map_optindex_optional_value"] as const,
        [optionalOf(mapKV), K, "optional_map_optindex_optional_value"] as const,
      ].map(([container, key, id]) =>
        overload(id, false, [container, key], optionalV, (a = null, b = null) =>
          optionalIndex(a, b),
        ),
      ),
    },
    {
      name: "_[_]",
      overloads: [
        [optionalOf(listV), intType, "optional_list_index_int"] as const,
        [optionalOf(mapKV), K, "optional_map_index_value"] as const,
      ].map(([container, key, id]) =>
        overload(id, false, [container, key], optionalV, (a = null, b = null) => index(a, b)),
      ),
    },
    ...unwrapFunctions(),
  ],
};

function unwrapFunctions(): NonNullable<Library["functions"]> {
  const unwrap: Call = (list) =>
    isList(list)
      ? list.map(innerOf).filter((item) => item !== undefined)
      : new CelError("no such overload");
  const types = [listOf(optionalV)];
  return [
    {
      name: "optional.unwrap",
      overloads: [overload("optional_unwrap", false, types, listV, unwrap)],
    },
    { name: "unwrapOpt", overloads: [overload("optional_unwrapOpt", true, types, listV, unwrap)] },
  ];
}
