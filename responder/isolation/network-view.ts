// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Cluster, Failure, Reply } from "#responder/cluster";
import { failure, types } from "#responder/cluster";
import { rootNamespaceDefault } from "#responder/reachability/istio";
import {
  type PolicyKind,
  policyKinds,
  servedPolicyKinds,
  typeOfKind,
  withKind,
  withoutCopies,
} from "#responder/reachability/policy-kinds";
import { makeShared } from "#responder/target";

/** All that decides about the traffic of a namespace's pods, as far as the API server knows it. */
export type NetworkView = {
  /** Kinds of policy that the cluster serves and that were read. */
  readonly served: readonly PolicyKind[];
  /** Of the cluster, of the namespace, and of Istio's root namespace; each with apiVersion and kind. */
  readonly policies: readonly JsonObject[];
  readonly namespace: JsonObject;
  /** Istio's, as configured; undefined: its default. */
  readonly istioRootNamespace?: string | undefined;
};

export type ReadNetwork = (namespace: string) => Promise<Reply<NetworkView>>;

type Reads = Pick<Cluster, "get" | "list" | "typeOf">;

/** How long an answer about what is served counts: a kind that is installed meanwhile is seen after that. */
const discoveryMs = 60_000;

/**
 * Reads what an isolation is planned from. Any read that fails fails all of it: what could not be read is never taken for
 * absent. Answers count for a second, or for `freshMs` (milliseconds), and are shared by those who ask at once, so that a burst of alerts reads once.
 */
export function makeReadNetwork(
  cluster: Reads,
  now: () => number,
  options: { readonly freshMs?: number; readonly istioRootNamespace?: string | undefined } = {},
): ReadNetwork {
  const { freshMs, istioRootNamespace } = options;
  const discover = makeDiscovery(cluster, now);
  const lists = new Map<string, (namespace: string) => Promise<Reply<readonly JsonObject[]>>>();
  const listOf = (kind: PolicyKind) => {
    const key = keyOfKind(kind);
    const list = lists.get(key) ?? makeShared((in_) => listKind(cluster, kind, in_), now, freshMs);
    lists.set(key, list);
    return list;
  };
  const getNamespace = makeShared((name) => readNamespace(cluster, name), now, freshMs);
  return async (namespace) => {
    const served = await discover();
    if (!served.ok) return served;
    const reads = served.value.flatMap((kind) =>
      scopesOf(kind, namespace, istioRootNamespace).map((scope) => listOf(kind)(scope)),
    );
    const [live, ...lists_] = await Promise.all([getNamespace(namespace), ...reads]);
    const policies: JsonObject[] = [];
    for (const list of lists_) {
      if (!list.ok) return list;
      policies.push(...list.value);
    }
    if (!live.ok) return live;
    const view = { served: served.value, policies: withoutCopies(policies) };
    return { ok: true, value: { ...view, namespace: live.value, istioRootNamespace } };
  };
}

/** Namespaces of a kind that have a say in this one; '' for what belongs to the cluster. */
function scopesOf(
  kind: PolicyKind,
  namespace: string,
  rootNamespace = rootNamespaceDefault,
): readonly string[] {
  if (!kind.namespaced) return [""];
  return kind.group === "security.istio.io" && namespace !== rootNamespace
    ? [namespace, rootNamespace]
    : [namespace];
}

const keyOfKind = (kind: PolicyKind): string => `${kind.group}/${kind.version} ${kind.kind}`;

/** `networkpolicies.networking.k8s.io`, as RBAC and kubectl name it. */
export const resourceText = (kind: PolicyKind): string => `${kind.resource}.${kind.group}`;

async function listKind(
  cluster: Pick<Cluster, "list" | "typeOf">,
  kind: PolicyKind,
  namespace: string,
): Promise<Reply<readonly JsonObject[]>> {
  const query = namespace === "" ? {} : { namespace };
  const listed = await cluster.list(typeOfKind(kind), query);
  if (listed.ok) return { ok: true, value: withKind(kind, listed.value.items) };
  // The kind was served when it was last asked for, and is not any more: it decides about nothing.
  if (listed.code === "NotFound") return { ok: true, value: [] };
  // What it does not answer is read from its store as well.
  if (listed.code === "Unavailable" && (await hasStore(cluster, kind)))
    return { ok: true, value: [] };
  return unreadable(kind, "list", listed);
}

/** Whether Calico's own store is there beside its API server. */
async function hasStore(cluster: Pick<Cluster, "typeOf">, kind: PolicyKind): Promise<boolean> {
  if (kind.group !== "projectcalico.org") return false;
  return (await cluster.typeOf("crd.projectcalico.org/v1", kind.kind)).ok;
}

/** The same failure, in words that say what to do about it. */
export function unreadable(kind: PolicyKind, verb: string, reply: Failure): Failure {
  const what = resourceText(kind);
  return reply.code === "Forbidden"
    ? failure(
        "Forbidden",
        `the cluster serves ${what}, and the responder has no right to ${verb} it: no isolation is planned without knowing them all (\`parapet rbac\` prints the role)`,
      )
    : failure(reply.code, `${verb} ${what}: ${reply.message}`);
}

/** Where there is none any more its pods are on their way out; until then it is known by its name. */
async function readNamespace(
  cluster: Pick<Cluster, "get">,
  name: string,
): Promise<Reply<JsonObject>> {
  const live = await cluster.get(types.namespace, { namespace: "", name });
  if (live.ok || live.code !== "NotFound") return live;
  const labels = { "kubernetes.io/metadata.name": name };
  return { ok: true, value: { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } } };
}

/**
 * The kinds of policy that the API server serves. That one of them could not be asked for is a failure: an API that does not
 * answer may still be enforced. But for Calico's, whose own store holds the same objects.
 */
export function makeDiscovery(
  cluster: Pick<Cluster, "typeOf">,
  now: () => number,
): () => Promise<Reply<readonly PolicyKind[]>> {
  const ask = async (): Promise<Reply<readonly PolicyKind[]>> => {
    const replies = await Promise.all(
      policyKinds.map(async (kind) => ({
        kind,
        reply: await cluster.typeOf(`${kind.group}/${kind.version}`, kind.kind),
      })),
    );
    const served = replies.filter(({ reply }) => reply.ok).map(({ kind }) => kind);
    const isStored = served.some((kind) => kind.group === "crd.projectcalico.org");
    for (const { kind, reply } of replies) {
      if (reply.ok || reply.code === "NotFound") continue;
      if (kind.group === "projectcalico.org" && isStored) continue;
      return failure(
        reply.code,
        `whether the cluster serves ${resourceText(kind)} is unknown: ${reply.message}`,
      );
    }
    return { ok: true, value: servedPolicyKinds(served) };
  };
  let known: { readonly atMs: number; readonly reply: ReturnType<typeof ask> } | undefined;
  return async () => {
    const fresh = known !== undefined && Math.abs(now() - known.atMs) < discoveryMs;
    const asked = fresh && known !== undefined ? known : { atMs: now(), reply: ask() };
    known = asked;
    const reply = await asked.reply;
    // A failure is no knowledge.
    if (!reply.ok && known === asked) known = undefined;
    return reply;
  };
}
