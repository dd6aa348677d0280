// SPDX-License-Identifier: Apache-2.0
import { at, isArray, type JsonObject, textAt } from "#policy/json";
import { type Cluster, failure, type Reply, type ResourceType } from "#responder/cluster";

const definitions: ResourceType = {
  apiVersion: "apiextensions.crossplane.io/v1",
  kind: "CompositeResourceDefinition",
  resource: "compositeresourcedefinitions",
  namespaced: false,
};

/** The type of a composite by its kind, plural or singular, with its group after a dot where two groups have one. */
export async function compositeType(
  cluster: Cluster,
  kind: string,
  apiVersion: string | undefined,
): Promise<Reply<ResourceType>> {
  if (apiVersion !== undefined) return cluster.typeOf(apiVersion, kind);
  const listed = await cluster.list(definitions, {});
  if (!listed.ok) return listed;
  const found = listed.value.items.filter((one) => kindCalled(one, kind) !== "");
  const [only, second] = found;
  if (second !== undefined) {
    const names = found.map((one) => textAt(one, ["metadata", "name"])).sort();
    return failure("Invalid", `${kind} may be any of ${names.join(", ")}; give one of these`);
  }
  if (only === undefined) {
    const known = listed.value.items.map((one) => textAt(one, ["spec", "names", "kind"])).sort();
    const names = known.length === 0 ? "none" : known.slice(0, 20).join(", ");
    return failure("NotFound", `no composite kind is called ${kind}; defined are ${names}`);
  }
  const group = textAt(only, ["spec", "group"]);
  return cluster.typeOf(`${group}/${servedVersion(only)}`, kindCalled(only, kind));
}

/** The kind that a definition makes and somebody calls so: that of its composites or of their claims; '' for neither. */
function kindCalled(definition: JsonObject, wanted: string): string {
  const group = textAt(definition, ["spec", "group"]);
  const lower = wanted.toLowerCase();
  const found = ["names", "claimNames"]
    .map((member) => at(definition, ["spec", member]))
    .find((names) =>
      ["kind", "plural", "singular"]
        .map((member) => textAt(names, [member]).toLowerCase())
        .some((name) => name !== "" && (lower === name || lower === `${name}.${group}`)),
    );
  return textAt(found, ["kind"]);
}

/** The version that compositions refer to, else the first that is served. */
function servedVersion(definition: JsonObject): string {
  const listed = at(definition, ["spec", "versions"]);
  const versions = isArray(listed) ? listed : [];
  const referenceable = versions.find((one) => at(one, ["referenceable"]) === true);
  const served = versions.find((one) => at(one, ["served"]) === true);
  return textAt(referenceable ?? served, ["name"]);
}
