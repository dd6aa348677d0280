// SPDX-License-Identifier: Apache-2.0

type SimpleKind =
  | "dyn"
  /** google.protobuf.Any: goes where `dyn` goes, but for ranges of comprehensions (cel-go, checker.go). */
  | "any"
  | "null"
  | "bool"
  | "int"
  | "uint"
  | "double"
  | "string"
  | "bytes"
  | "timestamp"
  | "duration"
  /** What an expression in error has, so that one mistake is reported once. */
  | "error";

/** A CEL type. Compare with {@link sameType}, print with {@link formatType}. */
export type CelType =
  | { readonly kind: SimpleKind }
  | { readonly kind: "list"; readonly element: CelType }
  | { readonly kind: "map"; readonly key: CelType; readonly value: CelType }
  /** The type of a type value such as `int`; `of` is that type. */
  | { readonly kind: "type"; readonly of: CelType }
  /** A type parameter of an overload, such as the `A` of `list<A>`. */
  | { readonly kind: "parameter"; readonly name: string }
  /** A type that expressions handle by functions only, e.g. `kubernetes.Quantity` or `optional_type<T>`. */
  | { readonly kind: "opaque"; readonly name: string; readonly parameters: readonly CelType[] }
  /** A type with fields, which the environment's object types list by name, e.g. `Object.spec` or `kubernetes.UserInfo`. */
  | { readonly kind: "object"; readonly name: string };

const simple = (kind: SimpleKind): CelType => ({ kind });

export const dynType = simple("dyn");
export const anyType = simple("any");
export const nullType = simple("null");
export const boolType = simple("bool");
export const intType = simple("int");
export const uintType = simple("uint");
export const doubleType = simple("double");
export const stringType = simple("string");
export const bytesType = simple("bytes");
export const timestampType = simple("timestamp");
export const durationType = simple("duration");
export const errorType = simple("error");

export const listOf = (element: CelType): CelType => ({ kind: "list", element });
export const mapOf = (key: CelType, value: CelType): CelType => ({ kind: "map", key, value });
export const typeOfType = (of: CelType): CelType => ({ kind: "type", of });
export const parameter = (name: string): CelType => ({ kind: "parameter", name });
export const objectOf = (name: string): CelType => ({ kind: "object", name });
export const opaqueOf = (name: string, ...parameters: readonly CelType[]): CelType => ({
  kind: "opaque",
  name,
  parameters,
});
export const optionalOf = (value: CelType): CelType => opaqueOf("optional_type", value);
/** What may turn out to be of any type at run time. */
export const isDynamic = (type: CelType): boolean => type.kind === "dyn" || type.kind === "any";
export const isOptionalType = (type: CelType): boolean =>
  type.kind === "opaque" && type.name === "optional_type";

/** cel-go's names, as they stand in its error messages and in `type(x)`. */
export const simpleTypeNames: Readonly<Record<SimpleKind, string>> = {
  dyn: "dyn",
  any: "any",
  null: "null_type",
  bool: "bool",
  int: "int",
  uint: "uint",
  double: "double",
  string: "string",
  bytes: "bytes",
  timestamp: "google.protobuf.Timestamp",
  duration: "google.protobuf.Duration",
  error: "!error!",
};

/** The name without parameters that `type(x)` compares and error messages of the run show: `int`, `list`, `kubernetes.IP`. */
export function typeName(type: CelType): string {
  if (type.kind === "list" || type.kind === "map" || type.kind === "type") return type.kind;
  if (type.kind === "parameter" || type.kind === "opaque" || type.kind === "object") {
    return type.name;
  }
  return simpleTypeNames[type.kind];
}

/** A type in cel-go's notation: `list(int)`, `map(string, dyn)`, `optional_type(string)`. */
export function formatType(type: CelType): string {
  if (type.kind === "list") return `list(${formatType(type.element)})`;
  if (type.kind === "map") return `map(${formatType(type.key)}, ${formatType(type.value)})`;
  if (type.kind === "type") return `type(${formatType(type.of)})`;
  if (type.kind === "opaque" && type.parameters.length > 0) {
    return `${type.name}(${type.parameters.map(formatType).join(", ")})`;
  }
  if (type.kind === "null" || type.kind === "timestamp" || type.kind === "duration") {
    return type.kind;
  }
  return typeName(type);
}

export function sameType(a: CelType, b: CelType): boolean {
  if (a.kind === "list") return b.kind === "list" && sameType(a.element, b.element);
  if (a.kind === "map") {
    return b.kind === "map" && sameType(a.key, b.key) && sameType(a.value, b.value);
  }
  if (a.kind === "type") return b.kind === "type" && sameType(a.of, b.of);
  if (a.kind === "parameter") return b.kind === "parameter" && a.name === b.name;
  if (a.kind === "object") return b.kind === "object" && a.name === b.name;
  if (a.kind !== "opaque") return a.kind === b.kind;
  return (
    b.kind === "opaque" &&
    a.name === b.name &&
    a.parameters.length === b.parameters.length &&
    a.parameters.every((part, index) => sameType(part, b.parameters[index] ?? errorType))
  );
}
