// SPDX-License-Identifier: Apache-2.0
import { at, type Json, isArray, textAt } from "#policy/json";
import type { Send } from "#responder/adapters/api-request";
import type { Reply, ResourceType } from "#responder/cluster";
import { failure } from "#responder/cluster";

/** Aggregated discovery (GA in Kubernetes 1.30): all groups in one answer. An older server answers with the list of groups. */
const aggregated =
  "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/** The types of a category, each in the version that the server prefers. Unavailable where the server cannot tell at once. */
export async function discoverCategory(
  send: Send,
  category: string,
): Promise<Reply<readonly ResourceType[]>> {
  const reply = await send.json({ method: "GET", path: "/apis", accept: aggregated });
  if (!reply.ok) return reply;
  if (textAt(reply.value, ["kind"]) !== "APIGroupDiscoveryList") {
    return failure("Invalid", "the API server has no aggregated discovery: name the kinds");
  }
  const types = list(reply.value["items"]).flatMap((group) => {
    const seen = new Set<string>();
    const name = textAt(group, ["metadata", "name"]);
    // The first version is the preferred one; a resource that only a later one has is taken from there.
    return list(at(group, ["versions"])).flatMap((version) =>
      list(at(version, ["resources"])).flatMap((resource) => {
        const plural = textAt(resource, ["resource"]);
        if (!list(at(resource, ["categories"])).includes(category) || seen.has(plural)) return [];
        seen.add(plural);
        return [
          {
            apiVersion: `${name}/${textAt(version, ["version"])}`,
            kind: textAt(resource, ["responseKind", "kind"]),
            resource: plural,
            namespaced: textAt(resource, ["scope"]) === "Namespaced",
          },
        ];
      }),
    );
  });
  return { ok: true, value: types };
}

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
