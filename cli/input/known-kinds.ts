// SPDX-License-Identifier: Apache-2.0
import { field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { guessPlural, isNamespacedKind } from "#policy/kubernetes/kinds";
import type { World } from "#policy/world";

/**
 * How kinds are called in URLs: as given CustomResourceDefinitions say, else, for a kind that is none of Kubernetes'
 * own, by the first plural among the policies' match constraints that starts with the kind's name, as Kyverno's command
 * line looks for it when it knows no better. undefined leaves the rest to the engine's own tables.
 */
export function makeResourceOf(
  definitions: readonly JsonObject[],
  policies: readonly JsonObject[],
): World["resourceOf"] {
  const defined = kindsOfDefinitions(definitions);
  const plurals = policies.flatMap(matchedPlurals);
  return (kind) => {
    const known = defined(kind) ?? crossplanesOwn(kind);
    if (known !== undefined || plurals.length === 0) return known;
    if (isNamespacedKind(kind) !== undefined) return undefined;
    const prefix = kind.kind.toLowerCase();
    const found = plurals.find((plural) => plural.toLowerCase().startsWith(prefix));
    return found === undefined ? undefined : { resource: found, namespaced: true };
  };
}

/** Crossplane's own kinds, which CI judges as well: all of these groups are cluster-scoped (core cluster/crds, v2.4.0). */
const crossplaneGroups = new Set([
  "apiextensions.crossplane.io",
  "ops.crossplane.io",
  "pkg.crossplane.io",
]);

const crossplanesOwn: World["resourceOf"] = ({ group, kind }) =>
  crossplaneGroups.has(group) ? { resource: guessPlural(kind), namespaced: false } : undefined;

/** Plural and scope of the kinds that CustomResourceDefinitions among the objects define. */
function kindsOfDefinitions(objects: readonly JsonObject[]): World["resourceOf"] {
  const known = new Map<string, { readonly resource: string; readonly namespaced: boolean }>();
  for (const object of objects) {
    if (textAt(object, ["kind"]) !== "CustomResourceDefinition") continue;
    const spec = field(object, "spec");
    const resource = textAt(spec, ["names", "plural"]);
    if (resource === "") continue;
    const namespaced = textAt(spec, ["scope"]) !== "Cluster";
    known.set(`${textAt(spec, ["group"])}/${textAt(spec, ["names", "kind"])}`, {
      resource,
      namespaced,
    });
  }
  return (kind) => known.get(`${kind.group}/${kind.kind}`);
}

function matchedPlurals(policy: JsonObject): readonly string[] {
  const constraints = field(field(policy, "spec"), "matchConstraints");
  const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
  return list(field(constraints, "resourceRules"))
    .flatMap((rule) => list(field(rule, "resources")))
    .filter((plural) => typeof plural === "string")
    .filter((plural) => plural !== "*" && !plural.includes("/"));
}
