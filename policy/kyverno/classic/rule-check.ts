// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseAnchor } from "#policy/kyverno/classic/anchors";
import { below } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem } from "#policy/kyverno/classic/rule-state";

/** Longest name of a rule. */
const nameLengthMax = 63;

/** Most problems that are named for one rule. */
const problemsMax = 100;

const actions = ["validate", "mutate", "generate", "verifyImages"];
const checks = [
  "pattern",
  "anyPattern",
  "deny",
  "foreach",
  "podSecurity",
  "cel",
  "manifests",
  "assert",
];
const patches = ["patchStrategicMerge", "patchesJson6902", "foreach"];

/** What is wrong with the shape of a rule, which no resource could make right (Kyverno, pkg/validation/policy). */
export function findShapeProblems(rule: JsonObject, name: string): readonly RuleProblem[] {
  const problems: RuleProblem[] = [...several(rule, actions, "a rule can only have one of")];
  if (name.length > nameLengthMax) {
    const message = `must not be longer than ${nameLengthMax} characters`;
    problems.push({ path: "name", message });
  }
  const validate = field(rule, "validate");
  if (isObject(validate)) problems.push(...below("validate", validateProblems(validate)));
  const mutate = field(rule, "mutate");
  if (isObject(mutate)) {
    problems.push(...below("mutate", several(mutate, patches, "only one of")));
  }
  const generate = field(rule, "generate");
  if (isObject(generate)) {
    const sources = ["data", "clone", "cloneList"];
    problems.push(...below("generate", several(generate, sources, "only one of")));
  }
  return problems.slice(0, problemsMax);
}

const isStated = (value: Json | undefined): boolean => value !== undefined && value !== null;

/** A problem when an object has more than one of some fields. */
function several(
  object: JsonObject,
  keys: readonly string[],
  message: string,
): readonly RuleProblem[] {
  const stated = keys.filter((key) => isStated(field(object, key)));
  if (stated.length < 2) return [];
  return [{ path: "", message: `${message} ${keys.join(", ")}, and has ${stated.join(", ")}` }];
}

function validateProblems(validate: JsonObject): readonly RuleProblem[] {
  return [...several(validate, checks, "only one of"), ...checkProblems(validate)];
}

/** Problems of the patterns of a validate block or of a foreach entry in it. */
function checkProblems(body: JsonObject): readonly RuleProblem[] {
  const problems: RuleProblem[] = [];
  const pattern = field(body, "pattern");
  if (isStated(pattern)) collectAnchors(pattern, "pattern", problems);
  const anyPattern = field(body, "anyPattern");
  if (isArray(anyPattern)) collectAnchors(anyPattern, "anyPattern", problems);
  else if (isStated(anyPattern)) problems.push({ path: "anyPattern", message: "must be a list" });
  const foreach = field(body, "foreach");
  if (isArray(foreach)) {
    for (const [index, entry] of foreach.entries()) {
      if (isObject(entry)) problems.push(...below(`foreach[${index}]`, entryProblems(entry)));
      else problems.push({ path: `foreach[${index}]`, message: "must be an object" });
    }
  } else if (isStated(foreach)) {
    problems.push({ path: "foreach", message: "must be a list" });
  }
  return problems;
}

const entryChecks = ["pattern", "anyPattern", "deny", "foreach"];

/** An entry of a foreach makes exactly one check. */
const entryProblems = (entry: JsonObject): readonly RuleProblem[] => [
  ...none(entry, entryChecks),
  ...several(entry, entryChecks, "only one of"),
  ...checkProblems(entry),
];

/** A problem when an object has not one of some fields. */
const none = (object: JsonObject, keys: readonly string[]): readonly RuleProblem[] =>
  keys.some((key) => isStated(field(object, key)))
    ? []
    : [{ path: "", message: `must have one of ${keys.join(", ")}` }];

function collectAnchors(value: Json | undefined, path: string, problems: RuleProblem[]): void {
  if (problems.length >= problemsMax) return;
  if (isArray(value)) {
    for (const [index, item] of value.entries()) {
      collectAnchors(item, `${path}[${index}]`, problems);
    }
  }
  if (!isObject(value)) return;
  for (const [key, item] of Object.entries(value)) {
    const at = `${path}.${key}`;
    const message = anchorProblem(key, item);
    if (message !== undefined) problems.push({ path: at, message });
    collectAnchors(item, at, problems);
  }
}

function anchorProblem(key: string, value: Json): string | undefined {
  const kind = parseAnchor(key)?.kind;
  if (kind === "addIfNotPresent") return "the anchor +() is for mutate rules";
  const isText = typeof value === "string" && value.includes("{{");
  if (kind === "existence" && !isArray(value) && !isText) {
    return "the value of an anchor ^() must be a list";
  }
  return undefined;
}
