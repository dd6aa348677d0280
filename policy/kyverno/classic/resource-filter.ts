// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import {
  compileWildcard,
  compileWildcards,
  containsWildcard,
  matchesWildcard,
} from "#policy/kubernetes/wildcard";
import { compileKinds } from "#policy/kyverno/classic/kind-selector";
import type { Review, UserInfo } from "#policy/review";
import type { World } from "#policy/world";

/** What a filter looks at: the review and the state of the object that is matched. */
export type Subject = {
  readonly review: Review;
  readonly world: World;
  readonly object: JsonObject;
};

/** One block of match or exclude: its parts are ANDed, lists in them ORed. */
export type ResourceFilter = {
  /** States nothing about the resource. */
  readonly resourceEmpty: boolean;
  /** States nothing about the user. */
  readonly userEmpty: boolean;
  readonly matchesResource: (subject: Subject) => boolean;
  readonly matchesUser: (user: UserInfo | null) => boolean;
};

type Part = (subject: Subject) => boolean;

export type FilterOptions = {
  /** A namespaceSelector never matches a Namespace in rules; in exceptions it is passed over. */
  readonly selectsNamespaces?: boolean;
};

/** Plans `{resources: {...}, subjects, roles, clusterRoles}` (Kyverno, pkg/engine/utils/match.go). */
export function compileFilter(
  block: Json | undefined,
  options: FilterOptions = {},
): ResourceFilter {
  const resources = field(block, "resources");
  const parts = isObject(resources) ? compileResources(resources, options) : [];
  return {
    resourceEmpty: parts.length === 0,
    userEmpty: userKeys.every((key) => textsOrObjects(field(block, key)).length === 0),
    matchesResource: (subject) => parts.every((part) => part(subject)),
    matchesUser: compileUser(block),
  };
}

const userKeys = ["roles", "clusterRoles", "subjects"];

function compileResources(resources: JsonObject, options: FilterOptions): readonly Part[] {
  const operations = texts(field(resources, "operations"));
  const kinds = texts(field(resources, "kinds"));
  const name = textAt(resources, ["name"]);
  const names = texts(field(resources, "names"));
  const namespaces = texts(field(resources, "namespaces"));
  const parts: Part[] = [];
  if (operations.length > 0) parts.push(({ review }) => operations.includes(review.operation));
  if (kinds.length > 0) {
    const matches = compileKinds(kinds);
    parts.push(({ review }) => matches(review.kind, review.subResource));
  }
  if (name !== "") parts.push(namePart([name]));
  if (names.length > 0) parts.push(namePart(names));
  if (namespaces.length > 0) {
    const matches = compileWildcards(namespaces);
    parts.push(({ object }) => matches(ownNamespace(object)));
  }
  parts.push(...annotationParts(field(resources, "annotations")));
  const selector = compileSelector(field(resources, "selector"));
  if (selector !== undefined) {
    parts.push(({ object }) => selector(at(object, ["metadata", "labels"])));
  }
  parts.push(...namespaceSelectorParts(field(resources, "namespaceSelector"), options));
  return parts;
}

function namePart(patterns: readonly string[]): Part {
  const matches = compileWildcards(patterns);
  return ({ object }) => {
    const name = textAt(object, ["metadata", "name"]);
    return matches(name === "" ? textAt(object, ["metadata", "generateName"]) : name);
  };
}

/** The namespace of an object; a Namespace is in itself. */
export const ownNamespace = (object: JsonObject): string =>
  textAt(object, ["kind"]) === "Namespace"
    ? textAt(object, ["metadata", "name"])
    : textAt(object, ["metadata", "namespace"]);

function annotationParts(annotations: Json | undefined): readonly Part[] {
  const wanted = isObject(annotations) ? Object.entries(annotations) : [];
  return wanted.map(([key, value]) => {
    const matchesKey = compileWildcard(key);
    const matchesValue = compileWildcard(typeof value === "string" ? value : "");
    return ({ object }) => {
      const present = at(object, ["metadata", "annotations"]);
      if (!isObject(present)) return false;
      return Object.entries(present).some(
        ([name, text]) => typeof text === "string" && matchesKey(name) && matchesValue(text),
      );
    };
  });
}

function namespaceSelectorParts(value: Json | undefined, options: FilterOptions): readonly Part[] {
  const matches = compileSelector(value);
  if (matches === undefined) return [];
  return [
    ({ object, review, world }) => {
      const kind = textAt(object, ["kind"]);
      if (kind === "Namespace") return options.selectsNamespaces === true;
      return kind === "" || matches(namespaceLabels(review.namespace, world));
    },
  ];
}

/** The labels of a namespace that the World knows; none for others. */
export const namespaceLabels = (namespace: string, world: World): Json | undefined =>
  namespace === "" ? undefined : at(world.namespace(namespace), ["metadata", "labels"]);

/** Plans a label selector whose keys and values may hold wildcards; undefined for none. A broken one never matches. */
export function compileSelector(
  value: Json | undefined,
): ((labels: Json | undefined) => boolean) | undefined {
  if (!isObject(value)) return undefined;
  const labels = field(value, "matchLabels");
  const entries = isObject(labels) ? Object.entries(labels) : [];
  const isWild = ([key, text]: readonly [string, Json]): boolean =>
    containsWildcard(key) || (typeof text === "string" && containsWildcard(text));
  const plain = Object.fromEntries(entries.filter((entry) => !isWild(entry)));
  const parsed = parseLabelSelector({ ...value, matchLabels: plain });
  if (!parsed.ok) return () => false;
  const wild = entries.filter(isWild).map(([key, text]) => compileWildLabel(key, text));
  return (found) =>
    parsed.selector.matches(found) && wild.every((matches) => isObject(found) && matches(found));
}

/** A wildcard stands for the first label that it matches; without one, its wildcard characters become zeros. */
function compileWildLabel(key: string, value: Json): (labels: JsonObject) => boolean {
  const text = typeof value === "string" ? value : "";
  const matchesKey = compileWildcard(key);
  const matchesText = compileWildcard(text);
  const zeroed = (pattern: string): string => pattern.replace(/[*?]/g, "0");
  return (labels) =>
    Object.entries(labels).some(
      ([name, label]) => typeof label === "string" && matchesKey(name) && matchesText(label),
    ) || field(labels, zeroed(key)) === zeroed(text);
}

/** Roles, cluster roles and subjects are ANDed with each other. */
function compileUser(block: Json | undefined): (user: UserInfo | null) => boolean {
  const roles = texts(field(block, "roles"));
  const clusterRoles = texts(field(block, "clusterRoles"));
  const subjects = textsOrObjects(field(block, "subjects"));
  return (user) => {
    if (roles.length > 0 && !roles.some((role) => user?.roles.includes(role))) return false;
    if (
      clusterRoles.length > 0 &&
      !clusterRoles.some((role) => user?.clusterRoles.includes(role))
    ) {
      return false;
    }
    return subjects.length === 0 || subjects.some((subject) => isSubject(subject, user));
  };
}

function isSubject(subject: Json, user: UserInfo | null): boolean {
  if (user === null) return false;
  const name = textAt(subject, ["name"]);
  switch (textAt(subject, ["kind"])) {
    case "ServiceAccount": {
      const account = `system:serviceaccount:${textAt(subject, ["namespace"])}:${name}`;
      return matchesWildcard(account, user.username);
    }
    case "Group":
      return user.groups.some((group) => matchesWildcard(name, group));
    case "User":
      return matchesWildcard(name, user.username);
    default:
      return false;
  }
}

export const texts = (value: Json | undefined): readonly string[] =>
  isArray(value) ? value.filter((item) => typeof item === "string") : [];

const textsOrObjects = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
