// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { guessPlural } from "#policy/kubernetes/kinds";
import { parseKindSelector } from "#policy/kyverno/classic/kind-selector";
import { allOf, anyOf, not, quote, quoteAll } from "./cel-text.ts";
import { matchesText } from "./leaf.ts";
import { Refusal } from "./refusal.ts";
import type { Assumptions } from "./refusal.ts";

/** What a CEL kind matches, and what it asks before it judges. */
export type RewrittenMatch = {
  readonly constraints: JsonObject;
  readonly conditions: readonly { readonly name: string; readonly expression: string }[];
};

/** Groups of the kinds of Kubernetes itself that people name without one. */
export const coreGroups: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    "Pod Service ConfigMap Secret Namespace ServiceAccount PersistentVolume PersistentVolumeClaim Node Endpoints ReplicationController LimitRange ResourceQuota"
      .split(" ")
      .map((kind) => [kind, ""]),
  ),
  ...Object.fromEntries(
    "Deployment StatefulSet DaemonSet ReplicaSet".split(" ").map((kind) => [kind, "apps"]),
  ),
  ...Object.fromEntries("Job CronJob".split(" ").map((kind) => [kind, "batch"])),
  ...Object.fromEntries(
    "Ingress IngressClass NetworkPolicy".split(" ").map((kind) => [kind, "networking.k8s.io"]),
  ),
  ...Object.fromEntries(
    "Role ClusterRole RoleBinding ClusterRoleBinding"
      .split(" ")
      .map((kind) => [kind, "rbac.authorization.k8s.io"]),
  ),
  PodDisruptionBudget: "policy",
  HorizontalPodAutoscaler: "autoscaling",
  StorageClass: "storage.k8s.io",
  PriorityClass: "scheduling.k8s.io",
};

/** Kinds whose group has only ever been served as v1: their constraints may say so, which CEL's autogen asks for. */
const onlyV1 = new Set(["", "apps", "rbac.authorization.k8s.io"]);

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
const texts = (value: Json | undefined): readonly string[] =>
  list(value).filter((item) => typeof item === "string");

/**
 * The match and exclude blocks of a rule as constraints and conditions.
 * @param operations what the rule can judge at all, e.g. CREATE and UPDATE for a pattern
 * @throws Refusal for users, roles, wildcards in selectors, and filters that differ in more than their kinds
 */
export function rewriteMatch(
  rule: JsonObject,
  operations: readonly string[],
  assumptions: Assumptions,
): RewrittenMatch {
  const { filters, path } = filtersOf(field(rule, "match"), "match");
  const resourceRules = filters.map((filter) => rewriteRule(filter, path, operations, assumptions));
  const [first] = filters;
  if (first === undefined) throw new Refusal("match", "matches nothing");
  const narrowed = filters.filter((filter) => Object.keys(filter).some((key) => !isPlain(key)));
  if (narrowed.length > 0 && filters.length > 1) {
    throw new Refusal(path, "several filters of which some ask for more than kinds and operations");
  }
  const namespaceSelector = field(first, "namespaceSelector");
  if (namespaceSelector !== undefined)
    refuseWildcards(namespaceSelector, `${path}.namespaceSelector`);
  const selectors = namespaceSelector === undefined ? {} : { namespaceSelector };
  const conditions = [
    ...namespaceCondition(first, path),
    ...selectorCondition(first, path),
    ...excludeConditions(field(rule, "exclude"), assumptions),
  ];
  return { constraints: { resourceRules, ...selectors }, conditions };
}

const isPlain = (key: string): boolean => key === "kinds" || key === "operations";

/** The resource blocks of `any`, of an `all` of one, or of the old form. */
function filtersOf(
  block: Json | undefined,
  name: string,
): { readonly filters: readonly JsonObject[]; readonly path: string } {
  const any = list(field(block, "any"));
  const all = list(field(block, "all"));
  if (any.length > 0 && all.length > 0) throw new Refusal(name, "any and all together");
  if (all.length > 1)
    throw new Refusal(`${name}.all`, "more than one filter that all have to match");
  const blocks = any.length > 0 ? any : all.length > 0 ? all : isObject(block) ? [block] : [];
  const filters = blocks.map((one) => {
    for (const key of ["subjects", "roles", "clusterRoles"]) {
      if (field(one, key) !== undefined) {
        throw new Refusal(
          `${name}.${key}`,
          "roles and bindings of the user are not known to CEL kinds",
        );
      }
    }
    const resources = field(one, "resources");
    if (!isObject(resources)) throw new Refusal(name, "a filter without resources");
    return resources;
  });
  return { filters, path: any.length > 0 ? `${name}.any` : name };
}

function rewriteRule(
  filter: JsonObject,
  path: string,
  operations: readonly string[],
  assumptions: Assumptions,
): JsonObject {
  for (const key of Object.keys(filter)) {
    if (!knownFields.has(key))
      throw new Refusal(`${path}.${key}`, "has no equivalent in match constraints");
  }
  const kinds = texts(field(filter, "kinds")).map((kind) => rewriteKind(kind, path, assumptions));
  const [first] = kinds;
  if (first === undefined) throw new Refusal(`${path}.kinds`, "names no kind");
  const same = kinds.every(
    ({ group, version }) => group === first.group && version === first.version,
  );
  if (!same) {
    assumptions.add("plurals are not shared between the API groups of the rule's kinds");
  }
  const stated = texts(field(filter, "operations"));
  const names = [...texts(field(filter, "names")), ...texts([field(filter, "name") ?? null])];
  if (names.some((name) => /[*?]/.test(name))) {
    throw new Refusal(`${path}.names`, "names with wildcards: resourceNames are exact");
  }
  return {
    apiGroups: [...new Set(kinds.map(({ group }) => group))],
    apiVersions: [...new Set(kinds.map(({ version }) => version))],
    operations: stated.length === 0 ? operations : stated.filter((one) => operations.includes(one)),
    resources: [...new Set(kinds.map(({ plural }) => plural))],
    ...(names.length === 0 ? {} : { resourceNames: names }),
  };
}

const knownFields = new Set([
  "kinds",
  "operations",
  "names",
  "name",
  "namespaces",
  "namespaceSelector",
  "selector",
]);

type RewrittenKind = { readonly group: string; readonly version: string; readonly plural: string };

function rewriteKind(text: string, path: string, assumptions: Assumptions): RewrittenKind {
  const { group, version, kind, subResource } = parseKindSelector(text);
  if (kind === "*" || /[*?]/.test(kind)) {
    throw new Refusal(
      `${path}.kinds`,
      `${text}: kinds by wildcard, where constraints name plurals`,
    );
  }
  if (subResource !== "") throw new Refusal(`${path}.kinds`, `${text}: subresources`);
  const known = Object.hasOwn(coreGroups, kind) ? coreGroups[kind] : undefined;
  const resolved = group === "*" ? (known ?? "*") : group;
  if (group === "*" && known === undefined) {
    assumptions.add(`the plural of ${kind} is ${guessPlural(kind)}`);
  } else if (group === "*") {
    assumptions.add(`no other API group has a kind ${kind}`);
  }
  const isV1 = known !== undefined && onlyV1.has(known);
  return {
    group: resolved,
    version: version === "*" && isV1 ? "v1" : version,
    plural: guessPlural(kind),
  };
}

function refuseWildcards(selector: Json, path: string): void {
  if (/[*?]/.test(JSON.stringify(selector))) {
    throw new Refusal(path, "wildcards in a selector: label selectors are exact");
  }
}

/** Namespaces by name: asked as a condition, so that what is elsewhere is skipped where it had no verdict. */
function namespaceCondition(
  filter: JsonObject,
  path: string,
): readonly { readonly name: string; readonly expression: string }[] {
  const namespaces = texts(field(filter, "namespaces"));
  if (namespaces.length === 0) return [];
  return [{ name: "namespaces", expression: inNames(requestNamespace, namespaces, path) }];
}

/**
 * A selector is a condition, not an objectSelector: that one also matches by the labels of the old object, where the
 * rule only looks at the new one.
 */
function selectorCondition(
  filter: JsonObject,
  path: string,
): readonly { readonly name: string; readonly expression: string }[] {
  const selector = field(filter, "selector");
  if (selector === undefined) return [];
  refuseWildcards(selector, `${path}.selector`);
  const labels = "object.metadata.?labels";
  const valueOf = (key: string): string => `${labels}[?${quote(key)}]`;
  const matchLabels = field(selector, "matchLabels");
  const equal = Object.keys(isObject(matchLabels) ? matchLabels : {}).map(
    (key) => `${valueOf(key)} == optional.of(${quote(textAt(matchLabels, [key]))})`,
  );
  const expressions = list(field(selector, "matchExpressions")).map((one) => {
    const key = textAt(one, ["key"]);
    const values = texts(field(one, "values"));
    const among = `${valueOf(key)}.hasValue() && ${valueOf(key)}.value() in ${quoteAll(values)}`;
    switch (textAt(one, ["operator"])) {
      case "In":
        return among;
      case "NotIn":
        return not(among);
      case "Exists":
        return `${valueOf(key)}.hasValue()`;
      case "DoesNotExist":
        return not(`${valueOf(key)}.hasValue()`);
      default:
        throw new Refusal(`${path}.selector`, "an operator that selectors do not have");
    }
  });
  return [{ name: "selector", expression: allOf([...equal, ...expressions]) }];
}

/** A request for a cluster-scoped object has no namespace at all. */
const requestNamespace = 'request.?namespace.orValue("")';

function inNames(cel: string, names: readonly string[], path: string): string {
  const exact = names.filter((name) => !/[*?]/.test(name));
  const patterns = names.filter((name) => /[*?]/.test(name));
  return anyOf([
    ...(exact.length === 0 ? [] : [`${cel} in ${quoteAll(exact)}`]),
    ...patterns.map((pattern) => matchesText(cel, pattern, path)),
  ]);
}

function excludeConditions(
  block: Json | undefined,
  assumptions: Assumptions,
): readonly { readonly name: string; readonly expression: string }[] {
  if (block === undefined || (isObject(block) && Object.keys(block).length === 0)) return [];
  const { filters, path } = filtersOf(block, "exclude");
  return filters.map((filter, index) => ({
    name: `exclude-${index + 1}`,
    expression: not(allOf(excludeTerms(filter, path, assumptions))),
  }));
}

function excludeTerms(
  filter: JsonObject,
  path: string,
  assumptions: Assumptions,
): readonly string[] {
  const terms = Object.keys(filter).map((key): string => {
    const values = texts(field(filter, key));
    switch (key) {
      case "kinds":
        return `request.kind.kind in ${quoteAll(
          values.map((kind) => {
            rewriteKind(kind, path, assumptions);
            return parseKindSelector(kind).kind;
          }),
        )}`;
      case "namespaces":
        return inNames(requestNamespace, values, path);
      case "names":
        return inNames("request.name", values, path);
      case "operations":
        return `request.operation in ${quoteAll(values)}`;
      default:
        throw new Refusal(`${path}.${key}`, "has no equivalent in a condition");
    }
  });
  if (terms.length === 0) throw new Refusal(path, "an empty filter");
  return terms;
}
