// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, field, isObject } from "#policy/json";
import type { PatchStep, Reply, ResourceType } from "#responder/cluster";

// A Scale leaves its number of replicas out when that is 0 (autoscaling/v1: `replicas,omitempty`), so that it looks like one that has
// none. Here 0 is said in both directions.
const path = "/spec/replicas";

const isScale = (type: ResourceType): boolean => type.resource.endsWith("/scale");

/** The answer to a read of a scale, with its 0; any other as it is. */
export function withReplicas(type: ResourceType, reply: Reply<JsonObject>): Reply<JsonObject> {
  if (!isScale(type) || !reply.ok || at(reply.value, ["spec", "replicas"]) !== undefined)
    return reply;
  const spec = field(reply.value, "spec");
  const said = { ...(isObject(spec) ? spec : {}), replicas: 0 };
  return { ok: true, value: { ...reply.value, spec: said } };
}

/** Steps as a scale understands them: what is 0 cannot be tested nor replaced there, but the version is tested and a member added. */
export function scaleSteps(type: ResourceType, steps: readonly PatchStep[]): readonly PatchStep[] {
  if (!isScale(type)) return steps;
  return steps
    .filter((step) => !(step.op === "test" && step.path === path && step.value === 0))
    .map((step) => (step.op === "replace" && step.path === path ? { ...step, op: "add" } : step));
}
