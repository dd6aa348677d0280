// SPDX-License-Identifier: Apache-2.0
import { compile } from "#policy/compile";
import { at, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { withAutogenRules } from "#policy/kyverno/classic/autogen";
import type { CompiledPolicy } from "#policy/policy-set";
import { stringMap } from "#policy/report/policy-meta";
import type { Operation } from "#policy/review";
import type { World } from "#policy/world";
import { formatKey, keyOf } from "../input/resources.ts";
import { namespaceObject } from "../input/values.ts";
import { isPlausible, makeVariations } from "./variations.ts";

/** What running the rule and its rewrite side by side showed. */
export type Proof =
  | {
      readonly ok: true;
      readonly given: number;
      readonly variations: number;
      /** Changes that both judged, and on how many of them the rule refused or changed something. */
      readonly compared: number;
      readonly telling: number;
      /** How often one side called a refusal fail and the other error. */
      readonly worded: number;
    }
  | { readonly ok: false; readonly reason: string };

const autogenAnnotation = "pod-policies.kyverno.io/autogen-controllers";

/** Runs one rule of a classic policy and its rewrite on the given resources and on variations made from the rule. */
export function proveRewrite(
  policy: JsonObject,
  ruleName: string,
  documents: readonly JsonObject[],
  given: readonly JsonObject[],
  world: World,
): Proof {
  const rules = rulesOf(policy, ruleName);
  const classic = compile([narrowed(policy, rules)]);
  const rewritten = compile(documents);
  const problem = [...classic.problems, ...rewritten.problems][0];
  if (problem !== undefined) {
    return { ok: false, reason: `${problem.document}: ${problem.path}: ${problem.message}` };
  }
  const unsupported = [...classic.unsupported, ...rewritten.unsupported][0];
  if (unsupported !== undefined) return { ok: false, reason: unsupported.reason };
  const own = given.filter(isPlausible);
  const variations = makeVariations(
    rules,
    own,
    textAt(policy, ["metadata", "namespace"]) || "default",
  );
  const all = [...own, ...variations];
  const sides: Sides = {
    classic: classic.set.policies,
    rewritten: rewritten.set.policies,
    world: withNamespaces(world),
  };
  const olds = findOlds(all, sides);
  const counts = { compared: 0, telling: 0, worded: 0 };
  for (const object of all) {
    for (const change of changesOf(object, olds)) {
      const reason = compareOne(change, sides, counts);
      if (reason !== undefined) return { ok: false, reason };
    }
  }
  if (counts.telling === 0) {
    const reason =
      "no resource or variation made the rule refuse or change anything, which would prove nothing: give some with -r";
    return { ok: false, reason };
  }
  return { ok: true, given: own.length, variations: variations.length, ...counts };
}

/** Every namespace exists, with the label that the API server gives it. */
const withNamespaces = (world: World): World => ({
  ...world,
  namespace: (name) =>
    world.namespace(name) ?? namespaceObject(name, { "kubernetes.io/metadata.name": name }),
});

type Sides = {
  readonly classic: readonly CompiledPolicy[];
  readonly rewritten: readonly CompiledPolicy[];
  readonly world: World;
};

type Change = {
  readonly object: JsonObject;
  readonly operation: Operation;
  readonly oldObject: JsonObject | null;
};

/** For each kind and namespace one object that the rule lets through and one that it refuses: what updates start from. */
function findOlds(
  objects: readonly JsonObject[],
  sides: Sides,
): ReadonlyMap<string, readonly JsonObject[]> {
  const found = new Map<string, Map<string, JsonObject>>();
  for (const object of objects) {
    const place = placeOf(object);
    const ofKind = found.get(place) ?? new Map<string, JsonObject>();
    found.set(place, ofKind);
    const { verdict } = judge(
      sides.classic,
      { object, operation: "CREATE", oldObject: null },
      sides.world,
    );
    if (!ofKind.has(verdict)) ofKind.set(verdict, object);
  }
  return new Map([...found].map(([kind, ofKind]) => [kind, [...ofKind.values()]]));
}

/** An update changes neither kind nor namespace. */
const placeOf = (object: JsonObject): string =>
  `${textAt(object, ["kind"])}/${textAt(object, ["metadata", "namespace"])}`;

const changesOf = (
  object: JsonObject,
  olds: ReadonlyMap<string, readonly JsonObject[]>,
): readonly Change[] => [
  { object, operation: "CREATE", oldObject: null },
  { object, operation: "DELETE", oldObject: object },
  ...[object, ...(olds.get(placeOf(object)) ?? [])].map((oldObject): Change => ({
    object,
    operation: "UPDATE",
    oldObject,
  })),
];

/** The reason why the two sides differ on a change, undefined where they agree. */
function compareOne(
  change: Change,
  sides: Sides,
  counts: { compared: number; telling: number; worded: number },
): string | undefined {
  const before = judge(sides.classic, change, sides.world);
  const after = judge(sides.rewritten, change, sides.world);
  counts.compared += 1;
  if (before.refused || before.document !== undefined) counts.telling += 1;
  if (before.refused !== after.refused || before.document !== after.document) {
    return describeDifference(change, before, after);
  }
  if (before.refused && before.verdict !== after.verdict) counts.worded += 1;
  return undefined;
}

/** The rule with those that are generated from it for pod controllers. */
function rulesOf(policy: JsonObject, ruleName: string): readonly JsonObject[] {
  const stated = at(policy, ["spec", "rules"]);
  const rules = isArray(stated) ? stated.filter(isObject) : [];
  const all = withAutogenRules(rules, stringMap(at(policy, ["metadata", "annotations"])));
  const names = ["", "autogen-", "autogen-cronjob-"].map((prefix) =>
    `${prefix}${ruleName}`.slice(0, 63),
  );
  return all.filter((rule) => names.includes(textAt(rule, ["name"])));
}

/** The policy with these rules alone, from which no further ones are generated. */
function narrowed(policy: JsonObject, rules: readonly JsonObject[]): JsonObject {
  const { metadata, spec } = policy;
  const annotations = stringMap(at(policy, ["metadata", "annotations"]));
  return {
    ...policy,
    metadata: {
      ...(isObject(metadata) ? metadata : {}),
      annotations: { ...annotations, [autogenAnnotation]: "none" },
    },
    spec: { ...(isObject(spec) ? spec : {}), rules },
  };
}

type Judgement = {
  /** pass, fail, error or nothing: a rule that does not match and one that is skipped let the object through alike. */
  readonly verdict: string;
  /** Fail or error: under Enforce either stops the change. */
  readonly refused: boolean;
  /** The mutated object, when it changed. */
  readonly document: string | undefined;
};

function judge(policies: readonly CompiledPolicy[], change: Change, world: World): Judgement {
  const { object, operation, oldObject } = change;
  const review = reviewOf(object, { operation, oldObject, world });
  const verdicts = policies.flatMap((policy) => policy.validate?.(review, world) ?? []);
  let changed = review.object;
  for (const policy of policies) {
    if (changed === null) break;
    const mutation = policy.mutate?.({ ...review, object: changed }, world);
    changed = mutation?.object ?? changed;
    verdicts.push(...(mutation?.results ?? []).filter(({ result }) => result === "error"));
  }
  const results = new Set(verdicts.map(({ result }) => result));
  const verdict = (["error", "fail", "warn", "pass"] as const).find((one) => results.has(one));
  const after = changed === null ? undefined : canonical(changed);
  const before = review.object === null ? undefined : canonical(review.object);
  return {
    verdict: verdict ?? "nothing",
    refused: verdict === "error" || verdict === "fail",
    document: after === before ? undefined : after,
  };
}

function canonical(value: Json): string {
  return JSON.stringify(value, (_key, item: Json) =>
    isObject(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : item,
  );
}

/** Longest object shown in a counterexample, in characters. */
const shownMax = 600;

function describeDifference(change: Change, before: Judgement, after: Judgement): string {
  const { object, operation, oldObject } = change;
  const shown = (judgement: Judgement): string => judgement.document ?? judgement.verdict;
  const of = oldObject === null || oldObject === object ? "" : ` from ${shorten(oldObject)}`;
  return `on ${operation} of ${formatKey(keyOf(object))} the rule gives ${shown(before)} and the rewrite ${shown(after)}: ${shorten(object)}${of}`;
}

function shorten(object: JsonObject): string {
  const text = JSON.stringify(object);
  return text.length > shownMax ? `${text.slice(0, shownMax)}...` : text;
}
