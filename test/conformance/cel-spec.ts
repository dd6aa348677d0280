// SPDX-License-Identifier: Apache-2.0
import type { Decl, Type } from "@bufbuild/cel-spec/cel/expr/checked_pb.js";
import { Type_PrimitiveType, Type_WellKnownType } from "@bufbuild/cel-spec/cel/expr/checked_pb.js";
import type { Value } from "@bufbuild/cel-spec/cel/expr/value_pb.js";
import type { IncrementalTest, IncrementalTestSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { SpecMessage, specMessages, toSpecMessage } from "./cel-spec-messages.ts";
import { bindingsLibrary } from "#policy/cel/bindings";
import { makeBudget } from "#policy/cel/budget";
import { compileExpression } from "#policy/cel/compile";
import { twoVariableComprehensionLibrary } from "#policy/cel/comprehensions-two";
import { makeEnvironment, type Environment } from "#policy/cel/environment";
import { encodersLibrary } from "#policy/cel/libraries/encoders";
import type { FunctionDeclaration } from "#policy/cel/library";
import { mathLibrary } from "#policy/cel/libraries/math";
import { newestStringsLibrary } from "#policy/cel/libraries/strings";
import { makeMap } from "#policy/cel/maps";
import { optionalLibrary } from "#policy/cel/optionals";
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  dynType,
  formatType,
  intType,
  listOf,
  mapOf,
  nullType,
  objectOf,
  opaqueOf,
  parameter,
  stringType,
  timestampType,
  typeOfType,
  uintType,
  type CelType,
} from "#policy/cel/types";
import {
  CelError,
  CelMap,
  doubleOf,
  doubleValue,
  Duration,
  intValue,
  isInt,
  isList,
  isPlainMap,
  Timestamp,
  TypeValue,
  Uint,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";

/** One case of the suite with the place it comes from. */
export type SpecCase = {
  readonly file: string;
  readonly section: string;
  readonly name: string;
  readonly test: IncrementalTest;
};

export const casesOf = (suite: IncrementalTestSuite): readonly SpecCase[] =>
  suite.suites.flatMap((file) =>
    file.suites.flatMap((section) =>
      section.tests.map((test) => ({
        file: file.name,
        section: section.name,
        name: test.name,
        test,
      })),
    ),
  );

const primitives: Readonly<Record<number, CelType>> = {
  [Type_PrimitiveType.BOOL]: boolType,
  [Type_PrimitiveType.INT64]: intType,
  [Type_PrimitiveType.UINT64]: uintType,
  [Type_PrimitiveType.DOUBLE]: doubleType,
  [Type_PrimitiveType.STRING]: stringType,
  [Type_PrimitiveType.BYTES]: bytesType,
};

/** A type of the suite as ours; wrappers and messages, which we lack, keep their names. */
export function toCelType(type: Type | undefined): CelType {
  const kind = type?.typeKind;
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- what is not listed has no type of ours
  switch (kind?.case) {
    case "primitive":
      return primitives[kind.value] ?? dynType;
    case "wellKnown":
      if (kind.value === Type_WellKnownType.TIMESTAMP) return timestampType;
      return kind.value === Type_WellKnownType.DURATION ? durationType : dynType;
    case "null":
      return nullType;
    case "listType":
      return listOf(toCelType(kind.value.elemType));
    case "mapType":
      return mapOf(toCelType(kind.value.keyType), toCelType(kind.value.valueType));
    case "type":
      return typeOfType(toCelType(kind.value));
    case "typeParam":
      return parameter(kind.value);
    case "abstractType":
      return opaqueOf(kind.value.name, ...kind.value.parameterTypes.map(toCelType));
    case "messageType":
      if (kind.value === "google.protobuf.Duration") return durationType;
      return kind.value === "google.protobuf.Timestamp" ? timestampType : objectOf(kind.value);
    default:
      return dynType;
  }
}

/** A value of the suite as ours; undefined for messages. */
export function toCelValue(value: Value): CelValue | undefined {
  const { kind } = value;
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- what is not listed has no value of ours
  switch (kind.case) {
    case "nullValue":
      return null;
    case "boolValue":
    case "stringValue":
    case "bytesValue":
      return kind.value;
    case "int64Value":
      return intValue(kind.value);
    case "uint64Value":
      return new Uint(kind.value);
    case "doubleValue":
      return doubleValue(kind.value);
    case "listValue": {
      const items = kind.value.values.map(toCelValue);
      return items.every((item) => item !== undefined) ? items : undefined;
    }
    case "mapValue": {
      const entries: (readonly [CelValue, CelValue])[] = [];
      for (const entry of kind.value.entries) {
        const key = entry.key && toCelValue(entry.key);
        const item = entry.value && toCelValue(entry.value);
        if (key === undefined || item === undefined) return undefined;
        entries.push([key, item]);
      }
      const map = makeMap(entries);
      return map instanceof CelError ? undefined : map;
    }
    case "objectValue": {
      const time = anyUnpack(kind.value, TimestampSchema);
      if (time !== undefined)
        return new Timestamp(time.seconds * 1_000_000_000n + BigInt(time.nanos));
      const span = anyUnpack(kind.value, DurationSchema);
      if (span !== undefined)
        return new Duration(span.seconds * 1_000_000_000n + BigInt(span.nanos));
      return toSpecMessage(kind.value);
    }
    default:
      return undefined;
  }
}

/** Whether a result is the wanted value, type for type: 1, 1u and 1.0 differ here. */
export function isSame(want: CelValue, got: CelResult): boolean {
  if (isInt(want)) return isInt(got) && BigInt(want) === BigInt(got);
  const double = doubleOf(want);
  if (double !== undefined) {
    const other = doubleOf(got);
    // The suite does not tell -0 from 0.
    return other !== undefined && (Object.is(double, other) || double === other);
  }
  if (want instanceof Uint) return got instanceof Uint && want.value === got.value;
  if (want instanceof Uint8Array) {
    return got instanceof Uint8Array && Buffer.from(want).equals(Buffer.from(got));
  }
  if (want instanceof Timestamp) return got instanceof Timestamp && got.nanos === want.nanos;
  if (want instanceof Duration) return got instanceof Duration && got.nanos === want.nanos;
  if (isList(want)) {
    return (
      isList(got) &&
      want.length === got.length &&
      want.every((item, i) => isSame(item, got[i] ?? null))
    );
  }
  if (want instanceof CelMap) {
    if (!(got instanceof CelMap) || want.size !== got.size) return false;
    return Array.from(want.entries()).every(([key, item]) => {
      const other = got.get(key);
      return other !== undefined && isSame(item, other);
    });
  }
  if (isPlainMap(want)) {
    const keys = Object.keys(want);
    if (got instanceof CelMap) return keys.length === 0 && got.size === 0;
    if (!isPlainMap(got) || Object.keys(got).length !== keys.length) return false;
    return keys.every(
      (key) => Object.hasOwn(got, key) && isSame(want[key] ?? null, got[key] ?? null),
    );
  }
  if (want instanceof SpecMessage) return got instanceof SpecMessage && want.equals(got);
  return want === got;
}

const libraries = [
  optionalLibrary,
  bindingsLibrary,
  twoVariableComprehensionLibrary,
  newestStringsLibrary,
  mathLibrary,
  encodersLibrary,
];

/** Functions that a case declares for the checker; it never calls them. */
const declaredFunctions = (declarations: readonly Decl[]): readonly FunctionDeclaration[] =>
  declarations.flatMap(({ name, declKind }) =>
    declKind.case === "function"
      ? [
          {
            name,
            overloads: declKind.value.overloads.map((overload) => ({
              id: overload.overloadId,
              member: overload.isInstanceFunction,
              arguments: overload.params.map(toCelType),
              result: toCelType(overload.resultType),
              call: () => new CelError("declared only"),
            })),
          },
        ]
      : [],
  );

export function environmentOf(
  declarations: readonly Decl[],
  container: string,
  unchecked: boolean,
): Environment {
  const variables: Record<string, CelType> = {};
  for (const { name, declKind } of declarations) {
    if (declKind.case === "ident") variables[name] = toCelType(declKind.value.type);
  }
  return makeEnvironment({
    variables,
    libraries: [
      ...libraries,
      { name: "declared", functions: declaredFunctions(declarations), objectTypes: specMessages },
    ],
    options: {
      container,
      checkLiterals: false,
      quotedIdentifiers: true,
      errorOnBadPresenceTest: true,
      strictMapLiterals: true,
      unchecked,
    },
  });
}

/** Runs one case; undefined when it passes, else what was wrong. */
export function failureOf({ test }: SpecCase): string | undefined {
  const { original } = test;
  const environment = environmentOf(original.typeEnv, original.container, original.disableCheck);
  const compiled = compileExpression(original.expr, environment);
  const { resultMatcher: matcher } = original;
  const wantsError = matcher.case === "evalError" || matcher.case === "anyEvalErrors";
  if (!compiled.ok) {
    const messages = compiled.issues.map((issue) => issue.message).join("; ");
    // Where the suite turns the checker off, what we refuse to compile would have failed when run.
    return wantsError && original.disableCheck ? undefined : `does not compile: ${messages}`;
  }
  const { program } = compiled;
  if (matcher.case === "typedResult") {
    const want = formatType(toCelType(matcher.value.deducedType));
    if (formatType(program.type) !== want) return `type ${formatType(program.type)}, want ${want}`;
    if (matcher.value.result === undefined || original.checkOnly) return undefined;
  }
  const activation: Record<string, CelValue> = {};
  for (const [name, binding] of Object.entries(original.bindings)) {
    if (binding.kind.case !== "value") return "an unknown binding";
    const value = toCelValue(binding.kind.value);
    if (value === undefined) return `binding ${name} is a message`;
    activation[name] = value;
  }
  const got = program.evaluate(activation, makeBudget());
  if (wantsError) return got instanceof CelError ? undefined : "no error where one is wanted";
  if (matcher.case === "typedResult") return valueFailure(matcher.value.result, got);
  if (matcher.case === "value") return valueFailure(matcher.value, got);
  return matcher.case === undefined ? valueFailure(undefined, got) : `unknown: ${matcher.case}`;
}

function valueFailure(expected: Value | undefined, got: CelResult): string | undefined {
  const found = got instanceof CelError ? `error: ${got.message}` : show(got);
  if (expected === undefined) return got === true ? undefined : `${found}, want true`;
  if (expected.kind.case === "typeValue") {
    const good = got instanceof TypeValue && got.name === expected.kind.value;
    return good ? undefined : `${found}, want type ${expected.kind.value}`;
  }
  const want = toCelValue(expected);
  if (want === undefined) return "a message is wanted";
  return isSame(want, got) ? undefined : `${found}, want ${show(want)}`;
}

const show = (value: CelValue): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? `${part}n` : part));
