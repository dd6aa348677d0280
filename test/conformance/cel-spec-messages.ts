// SPDX-License-Identifier: Apache-2.0
import {
  NestedTestAllTypesSchema as NestedProto2,
  TestAllTypesSchema as AllTypesProto2,
} from "@bufbuild/cel-spec/cel/expr/conformance/proto2/test_all_types_pb.js";
import {
  NestedTestAllTypesSchema as NestedProto3,
  TestAllTypesSchema as AllTypesProto3,
} from "@bufbuild/cel-spec/cel/expr/conformance/proto3/test_all_types_pb.js";
import { createRegistry, ScalarType, type DescField, type DescMessage } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import { equals } from "#policy/cel/compare";
import type { ObjectType } from "#policy/cel/library";
import {
  boolType,
  bytesType,
  doubleType,
  durationType,
  dynType,
  intType,
  listOf,
  mapOf,
  objectOf,
  stringType,
  timestampType,
  uintType,
  type CelType,
} from "#policy/cel/types";
import {
  CelObject,
  doubleValue,
  intValue,
  Uint,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";

/**
 * Stand-ins for the suite's protobuf messages, enough to parse, check and read them: the engine itself has no protobuf,
 * as Kubernetes' expressions have none.
 */
export class SpecMessage extends CelObject {
  readonly type: CelType;
  readonly #message: DescMessage;
  readonly #fields: ReadonlyMap<string, CelValue>;
  constructor(message: DescMessage, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.type = objectOf(message.typeName);
    this.#message = message;
    this.#fields = fields;
  }
  override get hasFields(): boolean {
    return true;
  }
  override getField(name: string): CelResult | undefined {
    const field = this.#message.fields.find((one) => one.name === name);
    return this.#fields.get(name) ?? (field === undefined ? undefined : defaultOf(field));
  }
  override equals(other: CelObject): boolean {
    if (!(other instanceof SpecMessage) || other.#message !== this.#message) return false;
    return this.#message.fields.every(({ name }) =>
      equals(this.#fields.get(name) ?? null, other.#fields.get(name) ?? null),
    );
  }
  override hasField(name: string): boolean {
    return this.#fields.has(name);
  }
  override get isZero(): boolean {
    return this.#fields.size === 0;
  }
}

function scalarType(scalar: ScalarType): CelType {
  if (scalar === ScalarType.BOOL) return boolType;
  if (scalar === ScalarType.STRING) return stringType;
  if (scalar === ScalarType.BYTES) return bytesType;
  if (scalar === ScalarType.DOUBLE || scalar === ScalarType.FLOAT) return doubleType;
  const unsigned: readonly ScalarType[] = [
    ScalarType.UINT32,
    ScalarType.UINT64,
    ScalarType.FIXED32,
    ScalarType.FIXED64,
  ];
  return unsigned.includes(scalar) ? uintType : intType;
}

const wellKnown: Readonly<Record<string, CelType>> = {
  "google.protobuf.Duration": durationType,
  "google.protobuf.Timestamp": timestampType,
  "google.protobuf.Any": dynType,
  "google.protobuf.Value": dynType,
  "google.protobuf.ListValue": listOf(dynType),
  "google.protobuf.Struct": mapOf(stringType, dynType),
};

const isWrapper = (name: string): boolean => /^google\.protobuf\.\w+Value$/.test(name);

/** Wrapper types are dyn here: what they are beside that is out of scope. */
const messageType = (name: string): CelType =>
  wellKnown[name] ?? (isWrapper(name) ? dynType : objectOf(name));

function fieldType(field: DescField): CelType {
  if (field.fieldKind === "scalar") return scalarType(field.scalar);
  if (field.fieldKind === "enum") return intType;
  if (field.fieldKind === "message") return messageType(field.message.typeName);
  const element =
    field.scalar !== undefined
      ? scalarType(field.scalar)
      : field.message !== undefined
        ? messageType(field.message.typeName)
        : intType;
  return field.fieldKind === "list" ? listOf(element) : mapOf(scalarType(field.mapKey), element);
}

function defaultOf(field: DescField): CelValue {
  if (field.fieldKind === "list") return [];
  if (field.fieldKind === "map") return {};
  if (field.fieldKind === "enum") return 0;
  if (field.fieldKind === "message") {
    return messageType(field.message.typeName).kind === "object"
      ? new SpecMessage(field.message, new Map())
      : null;
  }
  const { kind } = scalarType(field.scalar);
  if (kind === "bool") return false;
  if (kind === "string") return "";
  if (kind === "bytes") return new Uint8Array();
  if (kind === "double") return doubleValue(0);
  return kind === "uint" ? new Uint(0n) : 0;
}

const toObjectType = (message: DescMessage): ObjectType => ({
  name: message.typeName,
  field: (name) => {
    const field = message.fields.find((one) => one.name === name);
    return field === undefined ? undefined : fieldType(field);
  },
  make: (fields) => new SpecMessage(message, fields),
});

const known: readonly DescMessage[] = [AllTypesProto2, NestedProto2, AllTypesProto3, NestedProto3];

export const specMessages: readonly ObjectType[] = [
  ...known,
  ...known.flatMap((message) => message.nestedMessages),
].map(toObjectType);

/** A message that the suite expects, if all its fields are bools or whole numbers; undefined for others. */
export function toSpecMessage(any: Any): SpecMessage | undefined {
  const schema = known.find((message) => any.typeUrl.endsWith(`/${message.typeName}`));
  if (schema === undefined) return undefined;
  const message = anyUnpack(any, createRegistry(schema));
  if (message === undefined) return undefined;
  const reflected = reflect(schema, message);
  const fields = new Map<string, CelValue>();
  for (const field of schema.fields.filter((one) => reflected.isSet(one))) {
    const value: unknown = reflected.get(field);
    if (typeof value === "boolean") fields.set(field.name, value);
    else if (typeof value === "number" || typeof value === "bigint") {
      fields.set(field.name, intValue(value));
    } else return undefined;
  }
  return new SpecMessage(schema, fields);
}
