// SPDX-License-Identifier: Apache-2.0
import { textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import type { World } from "#policy/world";

/** Most namespaces that a warning names. */
const namedMax = 5;

/**
 * A warning where policies select namespaces by labels and nothing says which labels the resources' namespaces have:
 * such policies then speak about none of them, as in Kyverno's command line, which reads as if all were well.
 */
export function findUnknownNamespaces(
  policies: readonly JsonObject[],
  resources: readonly JsonObject[],
  world: World,
): readonly string[] {
  const selecting = policies.filter((policy) =>
    /"namespaceSelector":\{"/.test(JSON.stringify(policy)),
  );
  const [first] = selecting;
  if (first === undefined) return [];
  const names = new Set(resources.map((resource) => textAt(resource, ["metadata", "namespace"])));
  const unknown = [...names]
    .filter((name) => name !== "" && world.namespace(name) === undefined)
    .sort();
  if (unknown.length === 0) return [];
  const shown = unknown.slice(0, namedMax).join(", ");
  const more = unknown.length > namedMax ? ` and ${unknown.length - namedMax} more` : "";
  const policy = `${textAt(first, ["kind"])}/${textAt(first, ["metadata", "name"])}`;
  return [
    `${policy} selects namespaces by labels, and none are known of ${shown}${more} (--namespace-labels, --values, --cluster-resource)`,
  ];
}
