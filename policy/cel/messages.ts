// SPDX-License-Identifier: Apache-2.0
import { equals } from "./compare.ts";
import type { ObjectType } from "./library.ts";
import { objectOf, type CelType } from "./types.ts";
import {
  CelError,
  CelObject,
  Double,
  Duration,
  isList,
  isPlainMap,
  Timestamp,
  type CelResult,
  type CelValue,
} from "./values.ts";

/** A message of a protocol or a struct of Go by its fields' types; a nested message is an object type by its name. */
export type MessageSchema = {
  readonly name: string;
  readonly fields: Readonly<Record<string, CelType>>;
  /** A struct of Go, of which `x.?field` is an error where the field is not set (cel-go, ext/native.go). */
  readonly isStruct?: boolean;
};

/** The schemas of messages that name each other. */
export type MessageSchemas = ReadonlyMap<string, MessageSchema>;

export const messageSchemas = (...schemas: readonly MessageSchema[]): MessageSchemas =>
  new Map(schemas.map((schema) => [schema.name, schema]));

/**
 * A value with fields that all have a default (protobuf's proto3, and structs of Go): reading one that is not set gives
 * the default, and `has` says whether it is set to anything else.
 */
export class MessageValue extends CelObject {
  readonly type: CelType;
  readonly #schema: MessageSchema;
  readonly #schemas: MessageSchemas;
  readonly #values: ReadonlyMap<string, CelValue>;

  constructor(schemas: MessageSchemas, name: string, values: ReadonlyMap<string, CelValue>) {
    super();
    this.type = objectOf(name);
    this.#schemas = schemas;
    this.#schema = schemas.get(name) ?? { name, fields: {} };
    this.#values = new Map([...values].filter(([, value]) => !isDefault(value)));
  }

  override get hasFields(): boolean {
    return true;
  }
  override get isZero(): boolean {
    return this.#values.size === 0;
  }
  override getField(name: string): CelValue | undefined {
    const set = this.#values.get(name);
    if (set !== undefined) return set;
    const type = Object.hasOwn(this.#schema.fields, name) ? this.#schema.fields[name] : undefined;
    return type === undefined ? undefined : defaultOf(type, this.#schemas);
  }
  override hasField(name: string): boolean {
    return this.#values.has(name);
  }
  override absent(name: string): CelResult {
    return this.#schema.isStruct === true
      ? new CelError(`no such field: ${name}`)
      : super.absent(name);
  }
  override equals(other: CelObject): boolean {
    if (!(other instanceof MessageValue) || other.#schema.name !== this.#schema.name) return false;
    return (
      other.#values.size === this.#values.size &&
      [...this.#values].every(([name, value]) => {
        const theirs = other.#values.get(name);
        return theirs !== undefined && equals(value, theirs);
      })
    );
  }
  override toJson(): CelValue {
    return Object.fromEntries(this.#values);
  }
  /** The same message with other fields. */
  with(changes: Readonly<Record<string, CelValue>>): MessageValue {
    const values = new Map([...this.#values, ...Object.entries(changes)]);
    return new MessageValue(this.#schemas, this.#schema.name, values);
  }
}

/** What the fields of a proto3 message are when nobody set them; a message in a message counts as set. */
function isDefault(value: CelValue): boolean {
  if (value === null || value === false || value === "" || value === 0 || value === 0n) return true;
  if (isList(value) || value instanceof Uint8Array) return value.length === 0;
  if (value instanceof Double) return Object.is(value.value, 0);
  return isPlainMap(value) && Object.keys(value).length === 0;
}

const defaults: ReadonlyMap<CelType["kind"], CelValue> = new Map<CelType["kind"], CelValue>([
  ["string", ""],
  ["bool", false],
  ["int", 0],
  ["double", new Double(0)],
  ["bytes", new Uint8Array()],
  ["list", []],
  ["map", {}],
  ["timestamp", new Timestamp(0n)],
  ["duration", new Duration(0n)],
]);

const defaultOf = (type: CelType, schemas: MessageSchemas): CelValue =>
  type.kind === "object"
    ? new MessageValue(schemas, type.name, new Map())
    : (defaults.get(type.kind) ?? null);

/** The types of the messages, whose literals `name{field: value}` make them. */
export const messageTypes = (schemas: MessageSchemas): readonly ObjectType[] =>
  [...schemas.values()].map((schema) => ({
    name: schema.name,
    field: (name) => (Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined),
    make: (fields) => new MessageValue(schemas, schema.name, fields),
  }));
