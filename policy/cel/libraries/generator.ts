// SPDX-License-Identifier: Apache-2.0
import type { Library, Overload } from "#policy/cel/library";
import {
  boolType,
  dynType,
  listOf,
  mapOf,
  objectOf,
  stringType,
  type CelType,
} from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { isObject, type JsonObject } from "#policy/json";
import { alias, callCost, declare, memberOverload, type Implementation } from "./declare.ts";
import { jsonOf, Receiver, worldKey, type WorldValue } from "./world.ts";

const contextType = objectOf("generator.Context");
const objectsType = listOf(mapOf(stringType, dynType));

const prefix = "failed to generate resources";

function apply(world: WorldValue, namespace: string, items: readonly CelValue[]): CelResult {
  const objects: JsonObject[] = [];
  for (const item of items) {
    const json = jsonOf(item);
    if (json instanceof CelError) return json;
    if (!isObject(json)) return new CelError(`${prefix}: not an object`);
    objects.push(json);
  }
  if (world.generate === undefined) {
    return new CelError(`${prefix}: this policy cannot generate resources`, "unsupported");
  }
  return world.generate(namespace, objects) ?? true;
}

const overload = (types: readonly CelType[], call: Implementation): Overload =>
  memberOverload("generator_apply", [contextType, ...types], boolType, call, {
    implicit: worldKey,
    cost: callCost,
  });

const library = (call: Overload): Library => ({
  name: "kyverno.generator",
  constants: [{ name: "generator", type: contextType, value: new Receiver(contextType) }],
  functions: alias(declare("Apply", call), "apply"),
});

/** Kyverno's generator library of GeneratingPolicy: `generator.Apply(namespace, objects)`. */
export const generatorLibrary: Library = library(
  overload(
    [stringType, objectsType],
    (world: WorldValue, _receiver: CelValue, namespace: string, items: readonly CelValue[]) =>
      apply(world, namespace, items),
  ),
);

/** The same for NamespacedGeneratingPolicy, into the policy's own namespace: `generator.Apply(objects)`. */
export const namespacedGeneratorLibrary: Library = library(
  overload([objectsType], (world: WorldValue, _receiver: CelValue, items: readonly CelValue[]) =>
    apply(world, world.namespace, items),
  ),
);
