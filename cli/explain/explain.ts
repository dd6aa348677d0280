// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { type Alert, type ReadAlert } from "#responder/intake/alert";
import {
  type Cluster,
  type Failure,
  fromKey,
  type ObjectList,
  type Reply,
  types,
} from "#responder/cluster";
import type { Config } from "#responder/config/config";
import { clueOf, fingerprint } from "#responder/finding";
import { makeLocks } from "#responder/locks";
import { topOwner } from "#responder/owner";
import { protectionOf } from "#responder/protection";
import type { Remediation } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";
import { NotNow } from "#responder/not-now";
import { makeRespond, type Response, type RespondPorts } from "#responder/respond";
import type { ResponsePolicy } from "#responder/response-policy";
import { resolveTarget, type Resolved } from "#responder/target";
import { type Part, partsOf } from "./matching.ts";
import type { Surroundings } from "./surroundings.ts";

/** What the responder would make of one alert. */
export type Explanation = {
  readonly alert: Alert;
  readonly fingerprint: string;
  readonly clue: string;
  readonly resolved: Resolved;
  /** Whether the global stop is on; undefined: unknown. */
  readonly stopped: boolean | undefined;
  /** Why nothing may be done to the target; '' when it may. */
  readonly protection: string;
  /** Where the surroundings come from: `files`, or `the cluster`. */
  readonly source: string;
  readonly policies: readonly PolicyExplanation[];
};

export type PolicyExplanation = {
  readonly policy: ResponsePolicy;
  readonly parts: readonly Part[];
  readonly response: Response | undefined;
  /** The Remediation as it would be written, or as it is where this alert would only be counted. */
  readonly remediation: Remediation | undefined;
};

export type ExplainQuestion = {
  readonly read: ReadAlert;
  readonly policies: readonly ResponsePolicy[];
  readonly surroundings: Surroundings;
  readonly settings: Pick<Config, "namespace" | "protectedNamespaces" | "alertAgeMax">;
  readonly nowMs: number;
};

/**
 * Runs the responder's own way from an alert to its Remediation against a cluster in memory, which starts with what the
 * surroundings hold: the plan, its digest and the reasons are those that the responder would write. Nothing is acted on.
 */
export async function explainAlert(question: ExplainQuestion): Promise<Explanation | Failure> {
  const { read, surroundings, settings, nowMs } = question;
  const { alert } = read;
  const resolved = await resolveTarget(surroundings.getPod, alert);
  if (!resolved.ok) return resolved;
  const where =
    resolved.value.kind === "pod" ? resolved.value.target.namespace : settings.namespace;
  const known = await surroundings.remediations();
  // A cluster without the responder's own kinds has no remediations, and can still be explained.
  if (!known.ok && known.code !== "NotFound") return known;
  const stopped = await surroundings.stopped(settings.namespace);
  const namespace = await surroundings.getNamespace(resolved.value.target.namespace || where);
  const pod = resolved.value.kind === "pod" ? resolved.value.pod : null;
  const owner = pod === null ? null : await topOwner(surroundings.reader.get, pod);
  const protection =
    pod === null ? undefined : await protectionOf(pod, where, { ...surroundings, ...settings });
  const identity = fingerprint(alert, nowMs);
  const scene = await makeScene(question, known.ok ? known.value : nothing, stopped === true);
  const policies: PolicyExplanation[] = [];
  for (const policy of question.policies) {
    const parts = partsOf(policy, alert, {
      pod,
      owner: owner?.ok === true ? owner.value : null,
      namespace: namespace.ok ? namespace.value : null,
    });
    const answer = await scene.respond(policy, identity);
    if ("ok" in answer) return answer;
    policies.push({ policy, parts, ...answer });
  }
  return {
    alert,
    fingerprint: identity,
    clue: clueText(alert),
    resolved: resolved.value,
    stopped,
    protection: protection?.ok === true ? protection.value : "",
    source: surroundings.description,
    policies,
  };
}

const nothing: ObjectList = { items: [], resourceVersion: "" };

type Answer = Pick<PolicyExplanation, "response" | "remediation">;

type Scene = {
  readonly respond: (policy: ResponsePolicy, identity: string) => Promise<Answer | Failure>;
};

async function makeScene(
  { read, surroundings, settings, nowMs }: ExplainQuestion,
  known: ObjectList,
  stopped: boolean,
): Promise<Scene> {
  const cluster = makeMemoryCluster(() => nowMs).client();
  for (const object of known.items) await put(cluster, object);
  const all = known.items.map(readRemediation).filter((one) => typeof one !== "string");
  const ports = (policy: ResponsePolicy): RespondPorts => ({
    cluster,
    policies: () => [policy],
    getPod: surroundings.getPod,
    getNamespace: surroundings.getNamespace,
    network: surroundings.network,
    around: surroundings.reader,
    knownOf: () => [],
    remediationsEverywhere: () => all,
    remediationsIn: (namespace) => all.filter((one) => one.name.namespace === namespace),
    locks: makeLocks(),
    audit: () => Promise.resolve(),
    wake: () => undefined,
    count: () => Promise.resolve(),
    now: () => nowMs,
    stopped: () => stopped,
    settings: {
      namespace: settings.namespace,
      protectedNamespaces: settings.protectedNamespaces,
      alertAgeMsMax: settings.alertAgeMax,
    },
  });
  return {
    respond: async (policy, identity) => {
      const { priority } = read.alert;
      const stored = {
        fingerprint: identity,
        receivedAtMs: nowMs,
        sender: "explain",
        priority,
        text: read.text,
      };
      const answered = await attempt(() => makeRespond(ports(policy))(stored));
      if (!answered.ok) return answered;
      const [response] = answered.value;
      if (response === undefined || response.remediation === "") {
        return { response, remediation: undefined };
      }
      const made = await cluster.get(types.remediation, fromKey(response.remediation));
      const remediation = made.ok ? readRemediation(made.value) : undefined;
      return { response, remediation: typeof remediation === "string" ? undefined : remediation };
    },
  };
}

/** As it is in the cluster, status and all. */
async function put(cluster: Cluster, object: JsonObject): Promise<void> {
  const created = await cluster.create(types.remediation, object);
  if (!created.ok || object["status"] === undefined) return;
  await cluster.replaceStatus(types.remediation, { ...created.value, status: object["status"] });
}

/** A read that failed on the way is an answer, not a crash. */
async function attempt<T>(work: () => Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    if (!(error instanceof NotNow)) throw error;
    return { ok: false, code: error.code, message: error.message };
  }
}

function clueText(alert: Alert): string {
  const clue = clueOf(alert);
  switch (clue.kind) {
    case "pod": {
      const uid = clue.uid === "" ? "no uid" : `uid ${clue.uid}`;
      const container = clue.containerId === "" ? "no container" : `container ${clue.containerId}`;
      return `Pod ${clue.namespace}/${clue.name}, ${uid}, ${container}`;
    }
    case "host":
      return `the host ${clue.hostname} itself`;
    case "unresolved":
      return clue.reason;
    default:
      return clue satisfies never;
  }
}
