// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at } from "#policy/json";
import type { Cluster } from "#responder/cluster";
import { types } from "#responder/cluster";
import type { Log } from "#responder/log";
import { parseResponsePolicy, policyStatus, type ResponsePolicy } from "#responder/response-policy";
import type { Change } from "#responder/watcher";

export type Policies = {
  /** Those that compile, by name. */
  readonly all: () => readonly ResponsePolicy[];
  readonly change: (change: Change) => void;
};

/** ResponsePolicies compiled as they come and go; what is wrong with one is written into its status. */
export function makePolicies(cluster: Cluster, log: Log, now: () => number): Policies {
  const compiled = new Map<string, ResponsePolicy>();
  let sorted: readonly ResponsePolicy[] = [];
  return {
    all: () => sorted,
    change: ({ key, after }) => {
      compiled.delete(key);
      if (after !== undefined) {
        const parsed = parseResponsePolicy(after);
        if (parsed.ok) compiled.set(key, parsed.policy);
        else
          log("warn", "a ResponsePolicy is not in use", {
            policy: key,
            problems: parsed.problems.map((one) => `${one.path}: ${one.message}`),
          });
        void report(cluster, after, parsed, now());
      }
      sorted = [...compiled.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

/** Best effort: another replica may have written it already, and a policy works without its status. */
async function report(
  cluster: Cluster,
  object: JsonObject,
  parsed: ReturnType<typeof parseResponsePolicy>,
  nowMs: number,
): Promise<void> {
  const generation = Number(at(object, ["metadata", "generation"]) ?? 0);
  const wanted = policyStatus(parsed, generation, new Date(nowMs).toISOString());
  const isTold =
    at(object, ["status", "observedGeneration"]) === generation &&
    at(object, ["status", "conditions", 0, "message"]) === at(wanted, ["conditions", 0, "message"]);
  if (!isTold) await cluster.replaceStatus(types.responsePolicy, { ...object, status: wanted });
}
