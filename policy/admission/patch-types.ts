// SPDX-License-Identifier: Apache-2.0
import { toJson } from "#policy/cel/convert";
import type { ObjectType } from "#policy/cel/library";
import { dynType, listOf, objectOf, stringType } from "#policy/cel/types";
import type { CelType } from "#policy/cel/types";
import { CelError, CelObject } from "#policy/cel/values";
import { isList, isPlainMap } from "#policy/cel/values";
import type { CelResult, CelValue } from "#policy/cel/values";
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { PatchOperation } from "#policy/kubernetes/json-patch";

/** What an `applyConfiguration` expression must evaluate to. */
export const applyConfigurationType = objectOf("Object");
/** What a `jsonPatch` expression must evaluate to. */
export const jsonPatchesType = listOf(objectOf("JSONPatch"));

/** The types of patches: `JSONPatch`, `Object` and every `Object.a.b`, whose fields may have any name and value. */
export function resolvePatchType(name: string): ObjectType | undefined {
  if (name === "JSONPatch") return jsonPatchType;
  if (name !== "Object" && !name.startsWith("Object.")) return undefined;
  const type = objectOf(name);
  return { name, field: () => dynType, make: (fields) => new ConfigurationObject(type, fields) };
}

const patchFields: Readonly<Record<string, CelType>> = {
  op: stringType,
  path: stringType,
  from: stringType,
  value: dynType,
};

const jsonPatchType: ObjectType = {
  name: "JSONPatch",
  field: (name) => (Object.hasOwn(patchFields, name) ? patchFields[name] : undefined),
  make: makeOperation,
};

/** One `Object.x{...}` literal: a part of an apply configuration. */
class ConfigurationObject extends CelObject {
  readonly type: CelType;
  readonly fields: ReadonlyMap<string, CelValue>;
  constructor(type: CelType, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.type = type;
    this.fields = fields;
  }
  override get hasFields(): boolean {
    return true;
  }
  override getField(name: string): CelResult | undefined {
    return this.fields.get(name);
  }
  override toJson(): CelValue {
    return Object.fromEntries(this.fields);
  }
  override get isZero(): boolean {
    return this.fields.size === 0;
  }
}

/** One `JSONPatch{...}` literal. */
class PatchObject extends CelObject {
  readonly type = objectOf("JSONPatch");
  readonly fields: ReadonlyMap<string, CelValue>;
  constructor(fields: ReadonlyMap<string, CelValue>) {
    super();
    this.fields = fields;
  }
  override get hasFields(): boolean {
    return true;
  }
  override getField(name: string): CelResult | undefined {
    const value = this.fields.get(name);
    return value === undefined && name !== "value" && Object.hasOwn(patchFields, name) ? "" : value;
  }
}

function makeOperation(fields: ReadonlyMap<string, CelValue>): CelResult {
  for (const [name, value] of fields) {
    if (name === "value" || typeof value === "string") continue;
    return new CelError(`unexpected type for JSONPatchType '${name}' field`);
  }
  return new PatchObject(fields);
}

export type Configuration =
  | { readonly ok: true; readonly object: JsonObject }
  | { readonly ok: false; readonly message: string };

/**
 * The JSON of an `Object{}` literal. The names of nested literals must say where they stand: `Object.spec{x: Object.wrong{}}`
 * is an error, as the API server checks it before it merges.
 */
export function toConfiguration(value: CelValue): Configuration {
  if (!(value instanceof ConfigurationObject)) {
    return { ok: false, message: "unsupported return type from ApplyConfiguration expression" };
  }
  const wrong = checkNames(value, "Object");
  if (wrong.length > 0) return { ok: false, message: `type mismatch: ${wrong.join("\n")}` };
  const json = toJson(value);
  if (json instanceof CelError) return { ok: false, message: json.message };
  return isObject(json)
    ? { ok: true, object: json }
    : { ok: false, message: "invalid return type" };
}

function checkNames(value: CelValue, path: string): readonly string[] {
  if (isList(value)) return value.flatMap((item) => checkNames(item, path));
  if (isPlainMap(value)) return Object.values(value).flatMap((item) => checkNames(item, path));
  if (!(value instanceof ConfigurationObject)) return [];
  const name = value.type.kind === "object" ? value.type.name : "";
  const own =
    name === path
      ? []
      : [
          `unexpected type name "${name}", expected "${path}", which matches field name path from root Object type`,
        ];
  const below = [...value.fields].flatMap(([field, item]) => checkNames(item, `${path}.${field}`));
  return [...own, ...below];
}

export type Operations =
  | { readonly ok: true; readonly operations: readonly PatchOperation[] }
  | { readonly ok: false; readonly message: string };

/** The operations that a list of `JSONPatch{}` literals states. */
export function toOperations(value: CelValue): Operations {
  if (!isList(value)) {
    return {
      ok: false,
      message: "type mismatch: JSONPatchType.expression should evaluate to array",
    };
  }
  const operations: PatchOperation[] = [];
  for (const item of value) {
    if (!(item instanceof PatchObject)) {
      const message =
        "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch";
      return { ok: false, message };
    }
    const operation = toOperation(item);
    if (typeof operation === "string") return { ok: false, message: operation };
    operations.push(operation);
  }
  return { ok: true, operations };
}

function toOperation(patch: PatchObject): PatchOperation | string {
  const text = (name: string): string => {
    const value = patch.fields.get(name);
    return typeof value === "string" ? value : "";
  };
  const from = text("from");
  const base = { op: text("op"), path: text("path"), ...(from === "" ? {} : { from }) };
  const value = patch.fields.get("value");
  if (value === undefined) return base;
  if (value instanceof ConfigurationObject) {
    // The value is a part of an object: its own name is where it starts.
    const wrong = checkNames(value, value.type.kind === "object" ? value.type.name : "");
    if (wrong.length > 0) return `type mismatch: ${wrong.join("\n")}`;
  }
  const json: Json | CelError = toJson(value);
  if (json instanceof CelError) {
    return `JSONPath valueExpression evaluated to a type that could not marshal to JSON: ${json.message}`;
  }
  return { ...base, value: json };
}
