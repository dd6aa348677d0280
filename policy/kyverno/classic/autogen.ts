// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { containsKind } from "#policy/kyverno/classic/kind-selector";
import { replaceTexts, wrapValidation, wrapMutation } from "#policy/kyverno/classic/autogen-rule";
import { texts } from "#policy/kyverno/classic/resource-filter";

const annotation = "pod-policies.kyverno.io/autogen-controllers";
const cronJob = "CronJob";
/** In the order of their names, as the reference sorts them. */
const controllers = [
  "DaemonSet",
  "Deployment",
  "Job",
  "ReplicaSet",
  "ReplicationController",
  "StatefulSet",
];

/**
 * The rules of a policy with those that are generated for pod controllers and CronJobs behind them (Kyverno,
 * pkg/autogen/v1). Every rule of the policy must allow it, else none is generated.
 */
export function withAutogenRules(
  rules: readonly JsonObject[],
  annotations: Readonly<Record<string, string>>,
): readonly JsonObject[] {
  if (!canGenerate(rules)) return rules;
  const stated = Object.hasOwn(annotations, annotation) ? annotations[annotation] : undefined;
  const wanted = stated === undefined ? [...controllers, cronJob] : stated.split(",");
  if (wanted.length === 1 && wanted[0] === "none") return rules;
  const generated = rules.flatMap((rule) => generateRules(rule, wanted));
  if (generated.length === 0) return rules;
  return [...rules.filter((rule) => !isAutogen(rule)), ...generated];
}

const nameOf = (rule: JsonObject): string => textAt(rule, ["name"]);
const isAutogen = (rule: JsonObject): boolean => nameOf(rule).startsWith("autogen-");

function generateRules(rule: JsonObject, wanted: readonly string[]): readonly JsonObject[] {
  if (isAutogen(rule)) return [];
  const isCel = isObject(at(rule, ["validate", "cel"]));
  const others = wanted.filter((controller) => controller !== cronJob);
  const generated: JsonObject[] = [];
  const forPods = others.length === 0 ? undefined : forControllers(rule, others);
  if (forPods !== undefined) generated.push(replaceTexts(forPods, "template", isCel));
  const hasCronJob = wanted.some(
    (controller) => controller.includes(cronJob) || controller.includes("all"),
  );
  const base = hasCronJob ? forControllers(rule, wanted) : undefined;
  const forCronJobs = base === undefined ? undefined : generate(base, cronJobTarget(rule));
  if (forCronJobs !== undefined) generated.push(replaceTexts(forCronJobs, "jobTemplate", isCel));
  return generated;
}

/** Whether all rules of the policy are such that rules for controllers mean the same. */
function canGenerate(rules: readonly JsonObject[]): boolean {
  let needed = false;
  for (const rule of rules) {
    if (isObject(field(rule, "generate"))) return false;
    if (patchesJson(field(rule, "mutate"))) return false;
    const foreach = at(rule, ["mutate", "foreach"]);
    if (isArray(foreach) && foreach.some(patchesJson)) return false;
    for (const resources of [
      ...resourceBlocks(field(rule, "match")),
      ...resourceBlocks(field(rule, "exclude")),
    ]) {
      if (!isSupported(resources)) return false;
      needed ||= texts(field(resources, "kinds")).some(isPodKind);
    }
  }
  return needed;
}

const patchesJson = (value: Json | undefined): boolean => textAt(value, ["patchesJson6902"]) !== "";

const isPodKind = (kind: string): boolean =>
  kind === "Pod" || kind === cronJob || controllers.includes(kind);

function isSupported(resources: Json | undefined): boolean {
  const kinds = texts(field(resources, "kinds"));
  const stated = ["selector", "annotations"].some((key) => isObject(field(resources, key)));
  const named = textAt(resources, ["name"]) !== "" || texts(field(resources, "names")).length > 0;
  return !stated && !named && !(kinds.length > 1 && containsKind(kinds, "Pod"));
}

/** The `resources` of a match or exclude block and of the blocks of its any and all. */
function resourceBlocks(value: Json | undefined): readonly (Json | undefined)[] {
  const inner = ["any", "all"].flatMap((key) => {
    const blocks = field(value, key);
    return isArray(blocks) ? blocks.map((block) => field(block, "resources")) : [];
  });
  return [field(value, "resources"), ...inner];
}

const kindsOf = (value: Json | undefined): readonly string[] =>
  resourceBlocks(value).flatMap((resources) => texts(field(resources, "kinds")));

type Target = {
  readonly name: string;
  /** The key that the pod template of the original is put under. */
  readonly key: "template" | "jobTemplate";
  /** What references in messages are shifted by. */
  readonly shift: string;
  readonly kinds: readonly string[];
  /** Whether a block of any or all gets the kinds. */
  readonly takes: (kinds: readonly string[]) => boolean;
};

const cronJobTarget = (rule: JsonObject): Target => ({
  name: autogenName("autogen-cronjob", rule),
  key: "jobTemplate",
  shift: "spec/jobTemplate/spec/template",
  kinds: [cronJob],
  takes: () => true,
});

function forControllers(rule: JsonObject, wanted: readonly string[]): JsonObject | undefined {
  const excluded = kindsOf(field(rule, "exclude"));
  if (!containsKind(kindsOf(field(rule, "match")), "Pod")) return undefined;
  if (excluded.length > 0 && !containsKind(excluded, "Pod")) return undefined;
  const known = wanted.filter((controller) => controllers.includes(controller));
  const stated = known.length > 0 ? known : wanted;
  return generate(rule, {
    name: autogenName("autogen", rule),
    key: "template",
    shift: "spec/template",
    kinds: wanted.includes("all") && wanted.length === 1 ? controllers : [...stated].sort(),
    takes: (kinds) => containsKind(kinds, "Pod"),
  });
}

/** Longest name of a rule, that of a label value. */
const nameLengthMax = 63;

const autogenName = (prefix: string, rule: JsonObject): string =>
  `${prefix}-${nameOf(rule)}`.slice(0, nameLengthMax);

const keptKeys = [
  "context",
  "preconditions",
  "celPreconditions",
  "skipBackgroundRequests",
  "reportProperties",
];

function generate(rule: JsonObject, target: Target): JsonObject | undefined {
  const body = generateBody(rule, target);
  if (body === undefined) return undefined;
  const kept = keptKeys.flatMap((key): readonly [string, Json][] => {
    const value = field(rule, key);
    return value === undefined ? [] : [[key, value]];
  });
  const exclude = field(rule, "exclude");
  return {
    name: target.name,
    match: withKinds(field(rule, "match"), target, true),
    ...(isObject(exclude) ? { exclude: withKinds(exclude, target, false) } : {}),
    ...Object.fromEntries(kept),
    ...body,
  };
}

function generateBody(rule: JsonObject, target: Target): JsonObject | undefined {
  const mutate = field(rule, "mutate");
  const mutation = isObject(mutate) ? wrapMutation(mutate, target.key) : undefined;
  if (mutation !== undefined) return { mutate: mutation };
  const validate = field(rule, "validate");
  const validation = isObject(validate)
    ? wrapValidation(validate, target.key, target.shift)
    : undefined;
  if (validation !== undefined) return { validate: validation };
  const images = field(rule, "verifyImages");
  return isArray(images) ? { verifyImages: images } : undefined;
}

function withKinds(value: Json | undefined, target: Target, always: boolean): JsonObject {
  const block = isObject(value) ? value : {};
  for (const key of ["any", "all"]) {
    const inner = field(block, key);
    if (!isArray(inner) || inner.length === 0) continue;
    const changed = inner.map((entry) => {
      const kinds = texts(at(entry, ["resources", "kinds"]));
      return target.takes(kinds) ? setKinds(isObject(entry) ? entry : {}, target.kinds) : entry;
    });
    return { ...block, [key]: changed };
  }
  const stated = texts(at(block, ["resources", "kinds"])).length > 0;
  return always || stated ? setKinds(block, target.kinds) : block;
}

function setKinds(block: JsonObject, kinds: readonly string[]): JsonObject {
  const resources = field(block, "resources");
  return { ...block, resources: { ...(isObject(resources) ? resources : {}), kinds } };
}
