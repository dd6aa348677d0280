// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { parseLabelSelector } from "#policy/kubernetes/label-selector";
import type { Cluster, Reply } from "#responder/cluster";
import { failure, types, uidOf } from "#responder/cluster";
import { type Effect, isolationPrefix } from "#responder/plan";

type Guard = Extract<Effect, { kind: "guard" }>;

/**
 * Whether a pod may go out of service now: enough others of its controller are ready, and every disruption budget that selects it
 * allows one more. Unavailable while that is not so: it is looked at again later, and never forced.
 */
export async function checkGuard(
  cluster: Pick<Cluster, "get" | "list">,
  guard: Guard,
): Promise<Reply<undefined>> {
  const live = await cluster.get(types.pod, guard);
  if (!live.ok) return live.code === "NotFound" ? allowed : live;
  if (uidOf(live.value) !== guard.uid) return allowed;
  if (guard.owner !== "" && guard.minReady > 0) {
    const pods = await cluster.list(types.pod, { namespace: guard.namespace });
    if (!pods.ok) return pods;
    const ready = otherReady(pods.value.items, live.value);
    if (ready < guard.minReady) {
      const message = `${ready} other pod(s) of ${guard.owner} are ready, ${guard.minReady} must be`;
      return failure("Unavailable", message);
    }
  }
  // A pod that serves nobody disrupts nobody by its end, as the eviction API sees it too.
  if (!guard.budgets || !isReady(live.value)) return allowed;
  const budgets = await cluster.list(types.disruptionBudget, { namespace: guard.namespace });
  if (!budgets.ok) return budgets;
  const exhausted = exhaustedBudget(budgets.value.items, live.value);
  return exhausted === undefined
    ? allowed
    : failure("Unavailable", `PodDisruptionBudget ${exhausted} allows no disruption now`);
}

const allowed: Reply<undefined> = { ok: true, value: undefined };

/** Ready pods of the same controller, without the pod itself and without those that are isolated: their probes pass, but they serve nobody. */
export function otherReady(pods: readonly JsonObject[], pod: JsonObject): number {
  const owner = controllerUid(pod);
  if (owner === "") return 0;
  return pods.filter(
    (one) =>
      uidOf(one) !== uidOf(pod) && controllerUid(one) === owner && isReady(one) && !isIsolated(one),
  ).length;
}

function isIsolated(pod: JsonObject): boolean {
  const labels = at(pod, ["metadata", "labels"]);
  return isObject(labels) && Object.keys(labels).some((key) => key.startsWith(isolationPrefix));
}

/** Name of a budget that selects the pod and is used up, undefined for none. One whose selector cannot be read counts as used up. */
export function exhaustedBudget(
  budgets: readonly JsonObject[],
  pod: JsonObject,
): string | undefined {
  const labels = at(pod, ["metadata", "labels"]);
  const found = budgets.find((budget) => {
    const parsed = parseLabelSelector(at(budget, ["spec", "selector"]));
    if (parsed.ok && !parsed.selector.matches(labels)) return false;
    const count = at(budget, ["status", "disruptionsAllowed"]);
    return typeof count !== "number" || count < 1;
  });
  return found === undefined ? undefined : textAt(found, ["metadata", "name"]);
}

/** Ready and not on its way out. */
function isReady(pod: JsonObject): boolean {
  if (textAt(pod, ["metadata", "deletionTimestamp"]) !== "") return false;
  return list(at(pod, ["status", "conditions"])).some(
    (one) => textAt(one, ["type"]) === "Ready" && textAt(one, ["status"]) === "True",
  );
}

const controllerUid = (object: JsonObject): string => textAt(controllerOf(object), ["uid"]);

/** The owner reference that is the controller's. */
export const controllerOf = (object: JsonObject): Json | undefined =>
  list(at(object, ["metadata", "ownerReferences"])).find((one) => at(one, ["controller"]) === true);

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
