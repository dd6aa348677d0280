// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Cluster, Reply } from "#responder/cluster";
import { topOwner } from "#responder/owner";
import { looksAt, type ResponsePolicy, type Surroundings } from "#responder/response-policy";
import type { Resolved } from "#responder/target";

/** What the conditions of these policies look at beside the alert; only what one of them names is read. A failed read is a failure. */
export async function readSurroundings(
  ports: {
    readonly cluster: Pick<Cluster, "get">;
    readonly getNamespace: (name: string) => Promise<Reply<JsonObject>>;
  },
  policies: readonly ResponsePolicy[],
  resolved: Resolved,
): Promise<Reply<Surroundings>> {
  const pod = resolved.kind === "pod" ? resolved.pod : null;
  // `alert.pod.namespace` is a field, not the object.
  const space = resolved.target.namespace;
  const isNamed = policies.some((policy) => looksAt(policy, "namespaceObject"));
  const namespace = isNamed && space !== "" ? await ports.getNamespace(space) : undefined;
  if (namespace?.ok === false && namespace.code !== "NotFound") return namespace;
  const isOwned = pod !== null && policies.some((policy) => looksAt(policy, "owner"));
  const owner = isOwned ? await topOwner(ports.cluster.get, pod) : undefined;
  if (owner?.ok === false) return owner;
  return {
    ok: true,
    value: {
      pod,
      owner: owner?.value ?? null,
      namespace: namespace?.ok === true ? namespace.value : null,
    },
  };
}
