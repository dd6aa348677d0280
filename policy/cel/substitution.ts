// SPDX-License-Identifier: Apache-2.0
import {
  dynType,
  isDynamic,
  isOptionalType,
  listOf,
  mapOf,
  opaqueOf,
  sameType,
  typeOfType,
  type CelType,
} from "./types.ts";

/** What type parameters stand for so far, with the way back for attempts that fail. */
export type Substitution = {
  readonly known: Map<string, CelType>;
  /** What was changed, newest last: a name and what it stood for before. */
  readonly trail: (readonly [string, CelType | undefined])[];
};

export const makeSubstitution = (): Substitution => ({ known: new Map(), trail: [] });

function bind(substitution: Substitution, name: string, type: CelType): void {
  substitution.trail.push([name, substitution.known.get(name)]);
  substitution.known.set(name, type);
}

function undo(substitution: Substitution, length: number): void {
  while (substitution.trail.length > length) {
    const [name, before] = substitution.trail.pop() ?? ["", undefined];
    if (before === undefined) substitution.known.delete(name);
    if (before !== undefined) substitution.known.set(name, before);
  }
}

/** Whether values of `from` may stand where `to` is wanted; binds type parameters when they may, nothing when not. */
export function assignable(substitution: Substitution, from: CelType, to: CelType): boolean {
  return assignableList(substitution, [from], [to]);
}

export function assignableList(
  substitution: Substitution,
  from: readonly CelType[],
  to: readonly CelType[],
): boolean {
  const mark = substitution.trail.length;
  if (listFits(substitution, from, to)) return true;
  undo(substitution, mark);
  return false;
}

function listFits(
  substitution: Substitution,
  from: readonly CelType[],
  to: readonly CelType[],
): boolean {
  return (
    from.length === to.length &&
    from.every((type, index) => fits(substitution, type, to[index] ?? dynType))
  );
}

/** The rules of internalIsAssignable in cel-go's checker/types.go. */
function fits(substitution: Substitution, from: CelType, to: CelType): boolean {
  if (to.kind === "parameter") {
    const tried = bindParameter(substitution, from, to.name);
    if (tried !== "unbound") return tried === "yes";
  }
  if (from.kind === "parameter") return bindParameter(substitution, to, from.name) === "yes";
  if (isWild(from) || isWild(to)) return true;
  if (from.kind === "null") return takesNull(to);
  if (to.kind === "null") return takesNull(from);
  return sameShape(substitution, from, to);
}

/** What null goes together with, in whichever order they come. */
const takesNull = (type: CelType): boolean =>
  ["null", "opaque", "object", "timestamp", "duration"].includes(type.kind);

const isWild = (type: CelType): boolean => isDynamic(type) || type.kind === "error";

function sameShape(substitution: Substitution, from: CelType, to: CelType): boolean {
  if (from.kind === "list") {
    return to.kind === "list" && fits(substitution, from.element, to.element);
  }
  if (from.kind === "map") {
    return to.kind === "map" && listFits(substitution, [from.key, from.value], [to.key, to.value]);
  }
  if (from.kind === "opaque") {
    return (
      to.kind === "opaque" &&
      from.name === to.name &&
      listFits(substitution, from.parameters, to.parameters)
    );
  }
  if (from.kind === "object") return to.kind === "object" && from.name === to.name;
  // A type is a type whatever it is of; the remaining kinds have no parts.
  return from.kind === to.kind;
}

/** Makes a parameter stand for a type: `unbound` when it stood for nothing and the type contains the parameter itself. */
function bindParameter(
  substitution: Substitution,
  type: CelType,
  name: string,
): "yes" | "no" | "unbound" {
  if (type.kind === "parameter" && type.name === name) return "yes";
  const known = substitution.known.get(name);
  if (known !== undefined) {
    if (sameType(type, known)) return "yes";
    if (!fits(substitution, type, known)) return "no";
    const general = mostGeneral(type, known);
    // A parameter never comes to stand for itself, through others either: following it would not end.
    if (!mentions(substitution, general, name)) bind(substitution, name, general);
    return "yes";
  }
  if (mentions(substitution, type, name)) return "unbound";
  bind(substitution, name, type);
  return "yes";
}

/** Whether a parameter occurs in a type, through what other parameters stand for too. */
function mentions(substitution: Substitution, type: CelType, name: string): boolean {
  if (type.kind === "parameter") {
    if (type.name === name) return true;
    const known = substitution.known.get(type.name);
    return known !== undefined && mentions(substitution, known, name);
  }
  return parts(type).some((part) => mentions(substitution, part, name));
}

function parts(type: CelType): readonly CelType[] {
  if (type.kind === "list") return [type.element];
  if (type.kind === "map") return [type.key, type.value];
  return type.kind === "opaque" ? type.parameters : [];
}

/** The more general of two types that fit each other. */
export const mostGeneral = (a: CelType, b: CelType): CelType => (lessSpecific(a, b) ? a : b);

function lessSpecific(a: CelType, b: CelType): boolean {
  if (isDynamic(a) || a.kind === "parameter") return true;
  if (isDynamic(b) || b.kind === "parameter") return false;
  if (a.kind !== b.kind) return false;
  if (a.kind === "type") return true;
  const ofA = parts(a);
  const ofB = parts(b);
  if (ofA.length === 0) return sameType(a, b);
  return (
    (a.kind !== "opaque" || (b.kind === "opaque" && a.name === b.name)) &&
    ofA.length === ofB.length &&
    ofA.every((part, index) => lessSpecific(part, ofB[index] ?? dynType))
  );
}

/** A type with its parameters replaced by what they stand for; `dyn` for nothing when `final`. */
export function substitute(
  known: ReadonlyMap<string, CelType>,
  type: CelType,
  final: boolean,
): CelType {
  switch (type.kind) {
    case "parameter": {
      const found = known.get(type.name);
      if (found !== undefined) return substitute(known, found, final);
      return final ? dynType : type;
    }
    case "list":
      return listOf(substitute(known, type.element, final));
    case "map":
      return mapOf(substitute(known, type.key, final), substitute(known, type.value, final));
    case "type":
      return typeOfType(substitute(known, type.of, final));
    case "opaque":
      return type.parameters.length === 0
        ? type
        : opaqueOf(type.name, ...type.parameters.map((part) => substitute(known, part, final)));
    case "dyn":
    case "any":
    case "null":
    case "bool":
    case "int":
    case "uint":
    case "double":
    case "string":
    case "bytes":
    case "timestamp":
    case "duration":
    case "error":
    case "object":
      return type;
    default:
      return type satisfies never;
  }
}

/** Parts of the largest type: types can double with every macro of a chain, and no expression of a policy comes near. */
const typePartsMax = 1000;

/** Whether a type has more parts than any sane one, what its parameters stand for included. Ends soon in any case. */
export function isTooLarge(known: ReadonlyMap<string, CelType>, type: CelType): boolean {
  if (type.kind !== "parameter" && type.kind !== "type" && parts(type).length === 0) return false;
  const open = [type];
  for (let seen = 0; seen <= typePartsMax; seen++) {
    const next = open.pop();
    if (next === undefined) return false;
    const meaning = next.kind === "parameter" ? known.get(next.name) : undefined;
    if (meaning !== undefined) open.push(meaning);
    if (next.kind === "type") open.push(next.of);
    open.push(...parts(next));
  }
  return true;
}

/** Names of the type parameters in some types. */
export function parameterNames(types: readonly CelType[]): readonly string[] {
  const names = new Set<string>();
  const visit = (type: CelType): void => {
    if (type.kind === "parameter") names.add(type.name);
    if (type.kind === "type") visit(type.of);
    parts(type).forEach(visit);
  };
  types.forEach(visit);
  return [...names];
}

/** What an optional type is of, undefined for other types. */
export const optionalElement = (type: CelType): CelType | undefined =>
  isOptionalType(type) && type.kind === "opaque" ? (type.parameters[0] ?? dynType) : undefined;
