// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseKindSelector } from "#policy/kyverno/classic/kind-selector";
import { compileLeaf } from "#policy/kyverno/classic/pattern-leaf";
import { coreGroups } from "./match.ts";
import { typedValues, valuesFor } from "./sample-values.ts";

/** Most variations of one rule: beyond it they stop telling anything new. */
export const variationsMax = 3_000;

/** A place in an object that a rule looks at; `[]` stands for every item of a list. */
type Place = {
  readonly path: readonly string[];
  readonly values: readonly Json[];
  /** The values only stand in for a text that is there: the type of the place is not known. */
  readonly texts?: boolean;
};

/**
 * Objects that a rule may judge differently: samples of its kinds that satisfy its patterns, and those and the given
 * ones with each place that the rule looks at taken away, emptied, or set to values around what the rule compares with.
 */
export function makeVariations(
  rules: readonly JsonObject[],
  given: readonly JsonObject[],
  namespace = "default",
): readonly JsonObject[] {
  const variations: JsonObject[] = [];
  const seen = new Set<string>();
  const add = (object: JsonObject): void => {
    if (!isPlausible(object)) return;
    const text = JSON.stringify(object);
    if (seen.has(text) || variations.length >= variationsMax) return;
    seen.add(text);
    variations.push(object);
  };
  for (const rule of rules) {
    const places = placesOf(rule);
    const kinds = kindsOf(rule);
    const own = kinds.flatMap((kind) => samplesOf(kind, rule, namespace));
    const matching = given.filter((object) => kinds.includes(textAt(object, ["kind"])));
    for (const base of [...own, ...matching]) add(base);
    for (const base of [...own, ...matching]) {
      for (const place of places) for (const changed of changesAt(base, place)) add(changed);
    }
  }
  return variations.map((object, index) => withName(object, `variation-${index + 1}`));
}

/** Whether an API server might accept the object: a kind with a pod has containers. */
export function isPlausible(object: JsonObject): boolean {
  const path = podPath(textAt(object, ["kind"]));
  if (path === undefined) return true;
  const containers = [...path, "containers"].reduce<Json | undefined>(field, object);
  return isArray(containers) && containers.length > 0 && containers.every(isObject);
}

function podPath(kind: string): readonly string[] | undefined {
  if (kind === "Pod") return ["spec"];
  if (kind === "CronJob") return ["spec", "jobTemplate", "spec", "template", "spec"];
  return templated.test(kind) ? ["spec", "template", "spec"] : undefined;
}

function withName(object: JsonObject, name: string): JsonObject {
  const metadata = field(object, "metadata");
  const own = isObject(metadata) ? metadata : {};
  return { ...object, metadata: { ...own, name: textAt(own, ["name"]) || name } };
}

function kindsOf(rule: JsonObject): readonly string[] {
  const match = field(rule, "match");
  const blocks = [match, ...listOf(field(match, "any")), ...listOf(field(match, "all"))];
  return blocks
    .flatMap((block) => listOf(field(field(block, "resources"), "kinds")))
    .filter((kind) => typeof kind === "string");
}

const listOf = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);

const clusterScoped = new Set([
  "Namespace",
  "ClusterRole",
  "ClusterRoleBinding",
  "PersistentVolume",
]);

/** A bare object of a kind, one with a pod in it where the kind has one, and one that satisfies each pattern. */
function samplesOf(selector: string, rule: JsonObject, namespace: string): readonly JsonObject[] {
  const { group, version, kind } = parseKindSelector(selector);
  if (/[*?]/.test(kind)) return [];
  const stated = group === "*" ? "example.org/v1" : `${group}/${version === "*" ? "v1" : version}`;
  const known = Object.hasOwn(coreGroups, kind) ? coreGroups[kind] : undefined;
  const apiVersion =
    known === undefined || group !== "*" ? stated : known === "" ? "v1" : `${known}/v1`;
  const labels = field(field(firstResources(rule), "selector"), "matchLabels");
  const placed = clusterScoped.has(kind)
    ? {}
    : { namespace: statedName(rule, "namespaces") ?? namespace };
  const metadata = {
    name: statedName(rule, "names") ?? "sample",
    ...placed,
    ...(labels === undefined ? {} : { labels }),
  };
  const base = { apiVersion, kind, metadata };
  const bare = /"spec"|\bobject\.spec/.test(JSON.stringify(rule)) ? { spec: {} } : {};
  const bodies = [bare, podBody(kind), ...patternsOf(rule).map((pattern) => satisfy(pattern))];
  return bodies.map((body) => merge(base, body)).filter(isObject);
}

const templated = /^(Deployment|StatefulSet|DaemonSet|ReplicaSet|Job|ReplicationController)$/;

const pod: JsonObject = { containers: [{ name: "app", image: "registry.internal/app:1.0" }] };

function firstResources(rule: JsonObject): Json | undefined {
  const match = field(rule, "match");
  const blocks = [match, ...listOf(field(match, "any")), ...listOf(field(match, "all"))];
  return blocks
    .map((block) => field(block, "resources"))
    .find((resources) => resources !== undefined);
}

/** A name or namespace that the rule asks for. */
function statedName(rule: JsonObject, key: string): string | undefined {
  const [first] = listOf(field(firstResources(rule), key));
  return typeof first === "string" ? first.replaceAll(/[*?]/g, "x") : undefined;
}

function podBody(kind: string): JsonObject {
  if (kind === "Pod") return { spec: pod };
  if (kind === "CronJob") return { spec: { jobTemplate: { spec: { template: { spec: pod } } } } };
  return templated.test(kind) ? { spec: { template: { spec: pod } } } : {};
}

function patternsOf(rule: JsonObject): readonly Json[] {
  const validate = field(rule, "validate");
  const pattern = field(validate, "pattern");
  return [...(pattern === undefined ? [] : [pattern]), ...listOf(field(validate, "anyPattern"))];
}

const stripAnchor = (key: string): string => /^[+<=X^]?\((.+)\)$/.exec(key)?.[1] ?? key;

function satisfy(pattern: Json, path: readonly string[] = []): Json {
  if (isArray(pattern)) return pattern.slice(0, 1).map((item) => satisfy(item, [...path, "[]"]));
  if (!isObject(pattern)) {
    const leaf = compileLeaf(pattern);
    const values = typedValues(path, valuesFor(pattern));
    return values.find((value) => (isArray(value) ? value.every(leaf) : leaf(value))) ?? "x";
  }
  return Object.fromEntries(
    Object.keys(pattern)
      .filter((key) => !key.startsWith("X("))
      .map((key) => {
        const name = stripAnchor(key).replace(/[*?]/g, "x");
        return [name, satisfy(pattern[key] ?? null, [...path, name])];
      }),
  );
}

function merge(left: Json, right: Json): Json {
  if (!isObject(left) || !isObject(right)) return right;
  const merged = new Map(Object.entries(left));
  for (const [key, value] of Object.entries(right)) {
    const own = merged.get(key);
    merged.set(key, own === undefined ? value : merge(own, value));
  }
  return Object.fromEntries(merged);
}

/** Every place that the rule's patterns, conditions, patches and expressions name. */
function placesOf(rule: JsonObject): readonly Place[] {
  const places: Place[] = [];
  for (const pattern of patternsOf(rule)) collect(pattern, [], places);
  const patch = field(field(rule, "mutate"), "patchStrategicMerge");
  if (patch !== undefined) collect(patch, [], places);
  places.push(...identityPlaces(rule));
  const text = JSON.stringify(rule);
  const literals = literalsIn(text);
  for (const [, found = ""] of text.matchAll(/\bobject((?:\.\??[A-Za-z_]\w*\b(?!\())+)/g)) {
    const path = found.split(/\.\??/).filter(Boolean);
    places.push({ path, values: literals, texts: true });
  }
  return places;
}

/** Names, namespaces and labels that the match and exclude blocks ask for, and others. */
function identityPlaces(rule: JsonObject): readonly Place[] {
  const blocks = JSON.stringify([field(rule, "match") ?? null, field(rule, "exclude") ?? null]);
  const listed = (key: string): readonly string[] =>
    [...blocks.matchAll(new RegExp(`"${key}":\\[([^\\]]*)\\]`, "g"))]
      .flatMap(([, list = ""]) => [...list.matchAll(/"([^"]+)"/g)])
      .map(([, name = ""]) => name.replaceAll(/[*?]/g, "x"));
  const places: Place[] = [];
  const names = listed("names");
  const namespaces = listed("namespaces");
  if (names.length > 0) places.push({ path: ["metadata", "name"], values: [...names, "other"] });
  if (namespaces.length > 0) {
    places.push({ path: ["metadata", "namespace"], values: [...namespaces, "other"] });
  }
  if (blocks.includes('"selector"')) {
    places.push({ path: ["metadata", "labels"], values: [{}, { other: "x" }] });
  }
  return places;
}

/** Texts and numbers that conditions and expressions compare with. */
function literalsIn(text: string): readonly Json[] {
  const found = [...text.matchAll(/\\?["']([A-Za-z][\w./:-]{0,60})\\?["']/g)].map(
    ([, word = ""]) => word,
  );
  return [...new Set(found)].slice(0, 20).concat(["other", ""]);
}

function collect(pattern: Json, path: readonly string[], places: Place[]): void {
  if (isArray(pattern)) {
    places.push({ path, values: [[]] });
    if (pattern[0] !== undefined) collect(pattern[0], [...path, "[]"], places);
    return;
  }
  if (!isObject(pattern)) {
    places.push({ path, values: typedValues(path, valuesFor(pattern)) });
    return;
  }
  // Every object has metadata, with the name and namespace in it.
  if (path.length > 0 && path.join(".") !== "metadata") places.push({ path, values: [{}] });
  for (const key of Object.keys(pattern)) {
    const name = stripAnchor(key).replaceAll("*", "a").replaceAll("?", "b");
    const below = pattern[key] ?? null;
    if (key.startsWith("X(")) places.push({ path: [...path, name], values: ["x", { name: "x" }] });
    else collect(below, [...path, name], places);
  }
}

/** The object without the place, and with each of its values there: in all items of a list, and in the last alone. */
function changesAt(base: JsonObject, place: Place): readonly JsonObject[] {
  const isText = typeof place.path.reduce<Json | undefined>(field, base) === "string";
  const values = place.texts === true && !isText ? [] : place.values;
  const changes = [undefined, ...values].flatMap((value) =>
    (["all", "last"] as const).map((where) => changeAt(base, place.path, value, where)),
  );
  return changes.filter(isObject);
}

/** undefined takes the place away. Lists on the way get a second item when only the last one changes. */
function changeAt(
  here: Json | undefined,
  path: readonly string[],
  value: Json | undefined,
  where: "all" | "last",
): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (step === "[]") {
    const added = rest.length > 0 ? [{ name: "added" }] : value === undefined ? [] : [value];
    const items = isArray(here) && here.length > 0 ? here : added;
    const changed = (item: Json): readonly Json[] => {
      const below = changeAt(item, rest, value, where);
      return below === undefined ? [] : [below];
    };
    if (where === "all") return items.flatMap(changed);
    return [...items, ...items.slice(-1).flatMap(changed)];
  }
  const own = isObject(here) ? here : {};
  const below = changeAt(field(own, step), rest, value, where);
  const others = Object.entries(own).filter(([key]) => key !== step);
  return Object.fromEntries(below === undefined ? others : [...others, [step, below]]);
}
