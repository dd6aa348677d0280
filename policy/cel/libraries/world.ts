// SPDX-License-Identifier: Apache-2.0
import { toJson } from "#policy/cel/convert";
import { objectOf, type CelType } from "#policy/cel/types";
import {
  CelError,
  CelObject,
  Double,
  isList,
  isPlainMap,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";
import type { Json, JsonObject } from "#policy/json";
import type { Answer, World } from "#policy/world";

/** The activation's entry that holds the World; library functions get it as an implicit argument, expressions cannot see it. */
export const worldKey = "@world";

const worldType = objectOf("parapet.World");

/** What a `generator.Apply` makes, in the order of the calls. */
export type Generate = (namespace: string, objects: readonly JsonObject[]) => CelError | undefined;

/** The World with what belongs to the policy that asks it. */
export class WorldValue extends CelObject {
  readonly type: CelType = worldType;
  readonly world: World;
  /** The policy's own namespace for Namespaced kinds, whose functions take none; '' otherwise. */
  readonly namespace: string;
  /** Receives generated resources; undefined where a policy cannot generate. */
  readonly generate: Generate | undefined;
  constructor(
    world: World,
    options: { readonly namespace?: string; readonly generate?: Generate } = {},
  ) {
    super();
    this.world = world;
    this.namespace = options.namespace ?? "";
    this.generate = options.generate;
  }
}

/** The value of an answer, or an error with `prefix` before the reason. `absent` says what it means that nothing is there. */
export function answered(
  answer: Answer,
  prefix: string,
  absent: () => CelResult,
  found: (value: Json) => CelResult = (value) => value,
): CelResult {
  switch (answer.kind) {
    case "found":
      return found(answer.value);
    case "absent":
      return absent();
    case "unavailable":
      return new CelError(`${prefix}: ${answer.reason}`, "unsupported");
    default:
      return answer satisfies never;
  }
}

/**
 * JSON as Go's encoding/json reads it into `any`: every number is a double, whole ones too. Kubernetes objects are read
 * another way and keep their ints.
 */
export function asGoNumbers(value: CelValue): CelValue {
  if (typeof value === "number") return Number.isInteger(value) ? new Double(value) : value;
  if (isList(value)) return value.map(asGoNumbers);
  if (!isPlainMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asGoNumbers(item)]));
}

/** A map argument as JSON, or the error of a value that JSON does not have. */
export const jsonOf = (value: CelValue): Json | CelError => toJson(value);

/** A `map(string, string)` argument as plain texts; the declared type does not bind values that come as `dyn`. */
export function textMap(value: CelValue): Readonly<Record<string, string>> | CelError {
  if (!isPlainMap(value)) return new CelError("unsupported type conversion to 'map[string]string'");
  const entries: [string, string][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string") {
      return new CelError("unsupported type conversion to 'map[string]string'");
    }
    entries.push([key, item]);
  }
  return Object.fromEntries(entries);
}

/** A value that stands for a receiver such as `resource` or `http`; it has no content. */
export class Receiver extends CelObject {
  readonly type: CelType;
  constructor(type: CelType) {
    super();
    this.type = type;
  }
}
