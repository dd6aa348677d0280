// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

type TemplateKey = "template" | "jobTemplate";

const wrap = (key: TemplateKey, inner: Json): JsonObject => ({ spec: { [key]: inner } });

/** A mutate block for the controllers' pod template; only strategic merges can be moved there. */
export function wrapMutation(mutate: JsonObject, key: TemplateKey): JsonObject | undefined {
  const patch = field(mutate, "patchStrategicMerge");
  if (patch !== undefined && patch !== null) return { patchStrategicMerge: wrap(key, patch) };
  const foreach = field(mutate, "foreach");
  if (!isArray(foreach) || foreach.length === 0) return undefined;
  return {
    foreach: foreach.map((entry) => ({
      ...pick(isObject(entry) ? entry : {}, ["list", "context", "preconditions"]),
      patchStrategicMerge: wrap(key, field(entry, "patchStrategicMerge") ?? null),
    })),
  };
}

const actions = ["failureAction", "failureActionOverrides", "allowExistingViolations"];

/** A validate block for the controllers' pod template: patterns are wrapped, all else speaks by text (replaceTexts). */
export function wrapValidation(
  validate: JsonObject,
  key: TemplateKey,
  shift: string,
): JsonObject | undefined {
  const kept = (pivot: string): JsonObject => ({
    ...pick(validate, actions),
    message: shiftReferences(textAt(validate, ["message"]), shift, pivot),
  });
  const pattern = field(validate, "pattern");
  if (pattern !== undefined && pattern !== null) {
    return { ...kept("pattern"), pattern: wrap(key, pattern) };
  }
  if (isObject(field(validate, "deny"))) return { ...kept("deny"), ...pick(validate, ["deny"]) };
  const podSecurity = field(validate, "podSecurity");
  if (isObject(podSecurity)) {
    return { ...kept("podSecurity"), podSecurity };
  }
  const anyPattern = field(validate, "anyPattern");
  if (anyPattern !== undefined && anyPattern !== null) {
    const patterns = isArray(anyPattern) ? anyPattern : [];
    return { ...kept("anyPattern"), anyPattern: patterns.map((one) => wrap(key, one)) };
  }
  const foreach = field(validate, "foreach");
  if (isArray(foreach) && foreach.length > 0) return { ...kept("pattern"), foreach };
  if (isObject(field(validate, "cel"))) return validate;
  return isObject(field(validate, "assert")) ? validate : undefined;
}

function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(
    keys.flatMap((key): readonly [string, Json][] => {
      const value = field(object, key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
}

/** `$(./../pattern/spec/x)` in a message means the pattern, which is deeper now. */
function shiftReferences(message: string, shift: string, pivot: string): string {
  return message.replace(/(^|[^\\])\$\(.[^ ]*\)/g, (reference) => {
    const at = reference.indexOf(pivot);
    if (at < 0) return reference;
    const index =
      pivot === "anyPattern" ? reference.slice(at + pivot.length + 1).split("/")[0] : "";
    const from = pivot === "anyPattern" ? `${pivot}/${index}` : pivot;
    return reference.replaceAll(from, `${from}/${shift}`);
  });
}

const paths: Readonly<Record<TemplateKey, string>> = {
  template: "spec.template",
  jobTemplate: "spec.jobTemplate.spec.template",
};

/** Rewrites where variables and CEL expressions look for the pod, by text as the reference does, messages included. */
export function replaceTexts(rule: JsonObject, key: TemplateKey, isCel: boolean): JsonObject {
  const prefix = isCel ? "" : "request.";
  const to = paths[key];
  const replacements = ["spec", "metadata"].flatMap((part) =>
    ["object", "oldObject"].map((object): readonly [string, string] => [
      `${prefix}${object}.${part}`,
      `${prefix}${object}.${to}.${part}`,
    ]),
  );
  const replaceText = (text: string): string =>
    replacements.reduce((changed, [from, into]) => changed.replaceAll(from, into), text);
  return replaceObject(rule, replaceText);
}

function replaceObject(object: JsonObject, replaceText: (text: string) => string): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [
      replaceText(key),
      replaceValue(value, replaceText),
    ]),
  );
}

function replaceValue(value: Json, replaceText: (text: string) => string): Json {
  if (typeof value === "string") return replaceText(value);
  if (isArray(value)) return value.map((item) => replaceValue(item, replaceText));
  return isObject(value) ? replaceObject(value, replaceText) : value;
}
