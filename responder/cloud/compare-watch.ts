// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { ResourceType } from "#responder/cluster";
import { fromKey, nameOf, uidOf } from "#responder/cluster";
import {
  type CloudDifference,
  compareCloud,
  type Compared,
  putsBack,
} from "#responder/cloud/compare";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";
import type { Log } from "#responder/log";
import { mask } from "#responder/mask";
import type { Metrics } from "#responder/metrics";
import { nextName, openRemediation, type RecordPorts } from "#responder/record/remediation-store";
import { iso } from "#responder/record/remediation-record";
import { isFinal } from "#responder/remediation";
import { matchesDrift, type ResponsePolicy } from "#responder/response-policy";
import { workloadOf } from "#responder/target";
import { makeWorkQueue, type WorkQueue } from "#responder/work-queue";

export type ComparePorts = RecordPorts & {
  readonly policies: () => readonly ResponsePolicy[];
  readonly metrics: Metrics;
  readonly log: Log;
  /** Where records of cluster-scoped resources are kept. */
  readonly namespace: string;
};

export type Comparison = {
  /** Takes a version of a managed resource in; undefined: it is gone. */
  readonly change: (type: ResourceType, key: string, object: JsonObject | undefined) => void;
  readonly stop: () => Promise<void>;
};

/** The rule that a Remediation names, and what a policy's `drift.client` is: who changed it is known to the cloud alone. */
export const cloudRule = "Cloud differs from the spec";
const cloudClient = "cloud";

const concurrency = 2;
const againMs = 10_000;
/** Paths that one record names, and characters of a value. */
const pathsMax = 10;
const valueMax = 64;

/**
 * Says, for review, where a provider has reported another value than the spec for `afterMs`, while the resource counts as synced. It is what
 * the provider itself says, and nothing is done about it: a provider that may update puts such values back before they are seen for long.
 */
export function makeComparison(ports: ComparePorts, afterMs: number): Comparison {
  const known = new Map<string, Compared & { readonly type: ResourceType }>();
  const told = new Map<string, string>();
  const idOf = (type: ResourceType, key: string): string =>
    `${type.apiVersion} ${type.kind} ${key}`;
  const work: WorkQueue = makeWorkQueue({
    concurrency,
    handle: async (id) => {
      const one = known.get(id);
      if (one === undefined) return undefined;
      const key = id.slice(idOf(one.type, "").length);
      const live = await ports.cluster.get(one.type, fromKey(key));
      if (!live.ok) return live.code === "NotFound" ? undefined : { inMs: againMs };
      const { compared, differences } = compareCloud(one, live.value, ports.now());
      known.set(id, { ...compared, type: one.type });
      const due = differences.filter(({ sinceMs }) => ports.now() - sinceMs >= afterMs);
      const waits = differences.length > due.length;
      const what = textOf(due);
      if (due.length === 0) told.delete(id);
      else if (told.get(id) !== what) {
        if (!(await report(ports, one.type, live.value, due))) return { inMs: againMs };
        told.set(id, what);
      }
      return waits ? { inMs: Math.min(afterMs, againMs) } : undefined;
    },
    onError: (id, error) =>
      ports.log("warn", "a managed resource cannot be compared", {
        resource: id,
        why: error instanceof Error ? error.message : "",
      }),
  });
  ports.metrics.gauge(
    "parapet_cloud_differences",
    "Managed resources of which the provider reports other values than the spec has.",
    () => [...known.values()].filter(({ differs }) => differs.size > 0).length,
  );
  return {
    change: (type, key, object) => {
      const id = idOf(type, key);
      if (object === undefined) {
        known.delete(id);
        told.delete(id);
        return;
      }
      const { compared, differences } = compareCloud(known.get(id), object, ports.now());
      known.set(id, { ...compared, type });
      if (differences.length > 0) work.add(id, Math.min(afterMs, againMs));
      else told.delete(id);
    },
    stop: () => work.stop(),
  };
}

const textOf = (differences: readonly CloudDifference[]): string =>
  canonical(differences.map(({ path, wanted, reported }) => [path, wanted, reported]));

/** Records it where a policy for drift looks at the resource. false: not now. */
async function report(
  ports: ComparePorts,
  type: ResourceType,
  object: JsonObject,
  differences: readonly CloudDifference[],
): Promise<boolean> {
  const { apiVersion, kind } = type;
  const target = { apiVersion, kind, ...nameOf(object), uid: uidOf(object) };
  const { namespace, name } = target;
  const paths = differences.map(({ path }) => `status.atProvider.${path}`);
  const view = { kind, namespace, name, paths, managers: [], actor: "", client: cloudClient };
  const where = namespace === "" ? ports.namespace : namespace;
  for (const policy of ports.policies()) {
    if (!matchesDrift(policy, kind, view).matches) continue;
    const text = textOf(differences);
    const finding = sha256(canonical([policy.name, target.uid, "cloud", text])).slice(0, 32);
    const free = await nextName(ports, where, finding, {
      prefix: name,
      answers: (one) => !isFinal(one.status.state),
    });
    if (!free.ok) return false;
    if (free.value === undefined) continue;
    const nowMs = ports.now();
    const opened = await openRemediation(ports, {
      name: { namespace: where, name: free.value },
      target,
      workload: workloadOf(object),
      cause: {
        source: "Drift",
        rule: cloudRule,
        priority: "Warning",
        fingerprint: finding,
        actor: "",
        message: messageOf(object, differences),
      },
      policy: policy.name,
      mode: "Observe",
      plan: undefined,
      ttlMs: 0,
      seenAtMs: nowMs,
      decideBeforeMs: nowMs + policy.spec.proposalTtl,
      notes: "for review: it is the provider's own report",
      finding,
    });
    if (!opened.ok) return false;
  }
  return true;
}

function messageOf(object: JsonObject, differences: readonly CloudDifference[]): string {
  const named = differences
    .slice(0, pathsMax)
    .map(
      ({ path, wanted, reported, sinceMs }) =>
        `${path} as ${valueText(path, reported)} where the spec has ${valueText(path, wanted)}, since ${iso(sinceMs)}`,
    );
  const more = differences.length - named.length;
  const how = putsBack(object)
    ? "it may update the resource and has not put it back"
    : "its managementPolicies hold no Update, so that nobody puts it back";
  return `with Synced=True the provider reports ${named.join("; ")}${more > 0 ? `; and ${more} more` : ""}; ${how}`;
}

/** A value for records that many may read: nothing where its name tells that it is a secret. */
const valueText = (path: string, value: string): string =>
  /pass|secret|token|credential|key|auth|cert/i.test(path)
    ? "another value"
    : mask(value).slice(0, valueMax);
