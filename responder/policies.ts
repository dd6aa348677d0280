// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at } from "#policy/json";
import type { AuditFile } from "#responder/adapters/audit-file";
import { lastWriter } from "#responder/record/audit";
import type { Cluster } from "#responder/cluster";
import { types } from "#responder/cluster";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";
import type { Log } from "#responder/log";
import { parseResponsePolicy, policyStatus, type ResponsePolicy } from "#responder/response-policy";
import type { Change } from "#responder/watcher";

export type Policies = {
  /** Those that compile, by name. */
  readonly all: () => readonly ResponsePolicy[];
  readonly change: (change: Change) => void;
};

/**
 * ResponsePolicies compiled as they come and go; what is wrong with one is written into its status. `destinations`: those that are
 * configured; a policy that names another is in use all the same, and its status says that nobody is told.
 */
export function makePolicies(
  ports: {
    readonly cluster: Cluster;
    readonly log: Log;
    readonly now: () => number;
    readonly audit: Pick<AuditFile, "append">;
  },
  destinations: readonly { readonly name: string }[],
): Policies {
  const { cluster, log, now } = ports;
  const compiled = new Map<string, ResponsePolicy>();
  const tell = makeTell(ports.audit);
  let sorted: readonly ResponsePolicy[] = [];
  return {
    all: () => sorted,
    change: ({ key, after }) => {
      compiled.delete(key);
      if (after === undefined) tell(key, "policy removed", undefined);
      if (after !== undefined) {
        const parsed = parseResponsePolicy(after);
        if (parsed.ok) compiled.set(key, parsed.policy);
        else
          log("warn", "a ResponsePolicy is not in use", {
            policy: key,
            problems: parsed.problems.map((one) => `${one.path}: ${one.message}`),
          });
        tell(key, parsed.ok ? "policy in use" : "policy not in use", after);
        const unknown = parsed.ok ? unknownDestinations(parsed.policy, destinations) : [];
        void report(cluster, after, policyStatusNow(parsed, unknown, after, now()));
      }
      sorted = [...compiled.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    },
  };
}

/** What decides from now on stands in the audit log, once for each content. */
function makeTell(audit: Pick<AuditFile, "append">) {
  const told = new Map<string, string>();
  return (key: string, what: string, object: JsonObject | undefined): void => {
    const spec = object === undefined ? "" : `sha256:${sha256(canonical(object["spec"] ?? null))}`;
    const mark = `${what} ${spec}`;
    if (told.get(key) === mark) return;
    told.set(key, mark);
    const detail = { policy: key, generation: generationOf(object), spec };
    // A log that cannot be written stops everything that acts, which writes to it itself.
    audit.append({ what, who: lastWriter(object), remediation: "", detail }).catch(() => undefined);
  };
}

const generationOf = (object: JsonObject | undefined): number =>
  Number(at(object, ["metadata", "generation"]) ?? 0);

/** Destinations that a policy names and the configuration does not have. */
export function unknownDestinations(
  { spec }: Pick<ResponsePolicy, "spec">,
  destinations: readonly { readonly name: string }[],
): readonly string[] {
  const named = [...spec.do.map((one) => one.notify?.to ?? ""), ...(spec.notify?.to ?? [])];
  return [...new Set(named)]
    .filter((to) => to !== "" && !destinations.some(({ name }) => name === to))
    .sort();
}

function policyStatusNow(
  parsed: ReturnType<typeof parseResponsePolicy>,
  unknown: readonly string[],
  object: JsonObject,
  nowMs: number,
): JsonObject {
  const generation = generationOf(object);
  const remarks = unknown.map((to) => `no destination is called ${to}: nobody is told there`);
  return policyStatus(parsed, generation, new Date(nowMs).toISOString(), remarks);
}

/** Best effort: another replica may have written it already, and a policy works without its status. */
async function report(cluster: Cluster, object: JsonObject, wanted: JsonObject): Promise<void> {
  const isTold =
    at(object, ["status", "observedGeneration"]) === wanted["observedGeneration"] &&
    at(object, ["status", "conditions", 0, "message"]) === at(wanted, ["conditions", 0, "message"]);
  if (!isTold) await cluster.replaceStatus(types.responsePolicy, { ...object, status: wanted });
}
