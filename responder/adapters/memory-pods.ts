// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import type { Cluster, ObjectList, ObjectName, Reply } from "#responder/cluster";
import { failure } from "#responder/cluster";

/** What only pods have, over the pods of a cluster in memory. */
export function makePodCalls(pods: {
  readonly get: (name: ObjectName) => Reply<JsonObject>;
  readonly budgets: (namespace: string) => Reply<ObjectList>;
  readonly remove: (name: ObjectName, uid: string) => Promise<Reply<undefined>>;
}): Pick<Cluster, "evict" | "podLog"> {
  return {
    evict: async (name, uid) => {
      const pod = pods.get(name);
      if (!pod.ok) return pod;
      const budgets = pods.budgets(name.namespace);
      const labels = at(pod.value, ["metadata", "labels"]);
      const forbids = (budgets.ok ? budgets.value.items : []).some((budget) => {
        const parsed = parseLabelSelector(at(budget, ["spec", "selector"]));
        const allowed = at(budget, ["status", "disruptionsAllowed"]) ?? 0;
        return parsed.ok && parsed.selector.matches(labels) && allowed === 0;
      });
      const message = "Cannot evict pod as it would violate its disruption budget.";
      return forbids ? failure("Unavailable", message) : pods.remove(name, uid);
    },
    podLog: (name, query) => {
      const pod = pods.get(name);
      // Nothing runs here, so nothing is logged, as on a cluster whose kubelet does not answer.
      const message = `no kubelet has the log of ${query.container}`;
      return Promise.resolve(pod.ok ? failure("Unavailable", message) : pod);
    },
  };
}
