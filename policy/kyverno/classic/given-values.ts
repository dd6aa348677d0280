// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { setDotted } from "#policy/kyverno/classic/dotted";
import type { ContextValues, World } from "#policy/world";

/** A Values file names the rule that its author wrote; rules made of it for pod controllers have the same values. */
export function givenValues(
  world: World,
  { policy, rule }: { readonly policy: string; readonly rule: string },
  resource: string,
): ContextValues | undefined {
  const own = world.contextValues(policy, rule, resource);
  const written = rule.replace(/^autogen-(?:cronjob-)?/, "");
  const inherited = written === rule ? undefined : world.contextValues(policy, written, resource);
  if (inherited === undefined || own === undefined) return own ?? inherited;
  return {
    values: { ...inherited.values, ...own.values },
    foreachValues: { ...inherited.foreachValues, ...own.foreachValues },
  };
}

/** An object with the values of a Values file set in it. */
export function setAll(root: JsonObject, values: ContextValues): JsonObject {
  return Object.entries(values.values).reduce(
    (object, [name, value]) => setDotted(object, name, value),
    root,
  );
}

/** The same with the values for one element of a foreach. */
export function withElementValues(
  root: JsonObject,
  values: ContextValues,
  index: number,
): JsonObject {
  return Object.entries(values.foreachValues).reduce((object, [name, list]) => {
    const value = list[index];
    return value === undefined ? object : setDotted(object, name, value);
  }, root);
}
