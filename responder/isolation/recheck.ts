// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { at, isObject, textAt } from "#policy/json";
import { remediationNamespaceKey, withLabels } from "#responder/actions/isolate";
import { sameJson } from "#policy/kubernetes/json-patch";
import { keyOf, uidOf } from "#responder/cluster";
import { editState } from "#responder/edit";
import type { NetworkView } from "#responder/isolation/network-view";
import {
  changesOf,
  ownershipLabel,
  type ResidualAllow,
  residualText,
  type WriteChange,
} from "#responder/plan";
import { residualAllowsMax } from "#responder/record/plan-record";
import { podViewOf } from "#responder/reachability/pod-view";
import { withoutCopies } from "#responder/reachability/policy-kinds";
import { chainsAt, parseWorld, servesCilium } from "#responder/reachability/policy-world";
import { residualAllows } from "#responder/reachability/residual";
import type { Group } from "#responder/reachability/stage";
import type { PodView } from "#responder/reachability/traffic";
import type { WorldChange } from "#responder/isolation/recheck-world";
import type { HistoryEntry, Remediation, State } from "#responder/remediation";

/** What an isolation is made of, for looking at it while it lasts. */
export type Isolation = {
  readonly remediation: Remediation;
  /** The policies of our own. */
  readonly manifests: readonly JsonObject[];
  readonly changes: readonly WriteChange[];
};

const inForce: Readonly<Partial<Record<State, true>>> = {
  Applied: true,
  Realised: true,
  Verified: true,
  Unverifiable: true,
};

/** The isolation of a remediation, undefined unless one is in force and is not being taken back. */
export function isolationIn(remediation: Remediation): Isolation | undefined {
  const { plan, status, target } = remediation;
  if (plan === undefined || inForce[status.state] !== true || status.undo !== undefined) {
    return undefined;
  }
  const isIsolated = plan.actions.some(({ action }) => action === "isolate");
  if (!isIsolated || target.kind !== "Pod") return undefined;
  const writes = changesOf(plan)
    .filter((change) => change.kind === "apply" || change.kind === "edit")
    .filter((change) => change.kind === "apply" || change.uid === target.uid);
  return {
    remediation,
    manifests: writes.flatMap((change) => (change.kind === "apply" ? [change.manifest] : [])),
    changes: writes,
  };
}

/** Why an isolation is looked at again with care: a hint from copies that may lag behind the cluster. */
export type Hint = {
  /** Allows that were not there when it was planned. */
  readonly reopened: readonly ResidualAllow[];
  /** Whether something of our own is not as it was written. */
  readonly changed: boolean;
  /** Whether nothing is open any more that the plan named as open. */
  readonly isClosed: boolean;
};

/**
 * Compares an isolation with what is true now: what other policies let through that the plan did not name, and whether our
 * own policies and the pod's labels are as they were written. `own` gives our policy as it is known now.
 */
export function lookAt(
  isolation: Isolation,
  pod: JsonObject,
  network: NetworkView,
  own: (change: WriteChange) => JsonObject | undefined,
): Hint {
  const planned = residualsOf(isolation.remediation);
  const known = new Set(planned.map(residualKey));
  // With the labels as they were written: whether they still are is told by itself, and they are put back.
  const edits = isolation.changes.flatMap((one) => (one.kind === "edit" ? one.edits : []));
  const view = podViewOf(withLabels(pod, edits), network.namespace);
  const open = residualAllows(view, network.policies, isolation.manifests, {
    mayBeCilium: servesCilium(network.served),
    istioRootNamespace: network.istioRootNamespace,
  }).map(({ policy, ...rest }): ResidualAllow => ({ ...policy, ...rest }));
  // Of a list that was cut nobody can tell what is new.
  const reopened =
    planned.length >= residualAllowsMax ? [] : open.filter((one) => !known.has(residualKey(one)));
  const owner = isolation.remediation.name.name;
  const changed = isolation.changes.some((change) =>
    change.kind === "edit"
      ? change.edits.some((edit) => editState(pod, edit).kind !== "done")
      : !isAsWritten(change.manifest, own(change), owner),
  );
  const isClosed = open.length === 0 && planned.length > 0;
  return { reopened, changed, isClosed };
}

/** Reason of the step that says that what the plan named as open was closed by people since. */
export const nothingLeftOpen = "NothingLeftOpen";

/** Allows that an isolation is known to leave open: those of its plan, until none of them was left. Of a list that was cut some may be missing. */
export const residualsOf = ({ plan, status }: Remediation): readonly ResidualAllow[] =>
  status.history.some(({ reason }) => reason === nothingLeftOpen)
    ? []
    : (plan?.residualAllows ?? []);

const residualKey = (allow: ResidualAllow): string =>
  [allow.kind, allow.namespace, allow.name, allow.direction, allow.detail].join("\n");

/** Whether a policy of our own is there, is still ours, and says what we wrote. */
export const isAsWritten = (
  manifest: JsonObject,
  live: JsonObject | undefined,
  owner: string,
): boolean =>
  live !== undefined &&
  textAt(live, ["metadata", "labels", ownershipLabel]) === owner &&
  sameJson(live["spec"], manifest["spec"]);

/**
 * Whether a policy has a say in a pod's traffic at all: one that does not select it changes nothing for it. Only of kinds whose
 * presence alone changes nothing either (where a first Cilium or Calico policy stands, another chain of decisions counts).
 */
export function concerns(policy: JsonObject, view: PodView): boolean {
  const group = textAt(policy, ["apiVersion"]).split("/")[0];
  if (group !== "networking.k8s.io" && group !== "policy.networking.k8s.io") return true;
  const world = parseWorld([policy]);
  return (["Ingress", "Egress"] as const).some((direction) =>
    chainsAt(world, view, direction).some((stages) =>
      stages.some((stage) => stage.end !== "next" || stage.groups.some(hasRules)),
    ),
  );
}

/** The same by the plainest of selectors alone, for each of a thousand pods whenever one of them gets a policy of its own. */
export function isRuledOut(policy: JsonObject, pod: JsonObject): boolean {
  const subject =
    at(policy, ["spec", "podSelector"]) ?? at(policy, ["spec", "subject", "pods", "podSelector"]);
  const wanted = at(subject, ["matchLabels"]);
  return (
    /^(policy\.)?networking\.k8s\.io\//.test(textAt(policy, ["apiVersion"])) &&
    isObject(wanted) &&
    Object.entries(wanted).some(([key, value]) => at(pod, ["metadata", "labels", key]) !== value)
  );
}

const hasRules = (group: Group): boolean => group.some((rules) => rules.length > 0);

export const isTarget = (isolation: Isolation, pod: JsonObject): boolean =>
  uidOf(pod) === isolation.remediation.target.uid;

/** What is written of a finding; the reasons stand in `status.reason` and never change. */
export type Finding = {
  readonly reason: "Reopened" | "IsolationChanged";
  readonly message: string;
};

const namedMax = 5;

/** `changed` says what of our own was found otherwise, and whether it is put back; '' for nothing. */
export function findingOf(
  reopened: readonly ResidualAllow[],
  changed: readonly string[],
): Finding | undefined {
  const more = reopened.length - namedMax;
  const parts = [
    ...changed,
    ...reopened.slice(0, namedMax).map((one) => `let through since: ${residualText(one)}`),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
  if (parts.length === 0) return undefined;
  const reason = reopened.length > 0 ? "Reopened" : "IsolationChanged";
  return { reason, message: parts.join("; ") };
}

/** Whether the last that was found of an isolation is that it had been re-opened. */
export const isReopened = (remediation: Remediation): boolean =>
  lastFinding(remediation) !== undefined;

/** The entry that says it, undefined when it was closed again or never re-opened. */
export function lastFinding(remediation: Remediation): HistoryEntry | undefined {
  const { history, state } = remediation.status;
  if (state !== "Unverifiable") return undefined;
  const isFinding = ({ reason }: HistoryEntry): boolean =>
    reason === "Reopened" || reason === "IsolationChanged";
  // What only prolongs it says nothing of what was found.
  const last = history.findLast(
    (one) => one.to === state && (one.from !== state || isFinding(one)),
  );
  return last !== undefined && isFinding(last) ? last : undefined;
}

/** Whose object it is that changed: our own tell the one isolation that they are of. */
export function ownerOf({ before, after }: WorldChange): string | undefined {
  for (const object of [before, after]) {
    const name = textAt(object, ["metadata", "labels", ownershipLabel]);
    const namespace = textAt(object, ["metadata", "annotations", remediationNamespaceKey]);
    if (name !== "" && namespace !== "") return keyOf({ namespace, name });
  }
  return undefined;
}

/** Calico's own store counts as its API. */
const isOfGroup = (manifest: JsonObject, live: JsonObject): boolean =>
  textAt(manifest, ["apiVersion"]) ===
  textAt(live, ["apiVersion"]).replace("crd.projectcalico.org/v1", "projectcalico.org/v3");

/** Whether what changed is a policy of an isolation's plan that came or went, or says what was written. */
export function isPlanned(isolation: Isolation, { after, before }: WorldChange): boolean {
  const [live] = withoutCopies([after ?? before ?? {}]);
  const manifest = isolation.manifests.find(
    (one) =>
      live !== undefined &&
      one["kind"] === live["kind"] &&
      isOfGroup(one, live) &&
      textAt(one, ["metadata", "name"]) === textAt(live, ["metadata", "name"]),
  );
  const owner = isolation.remediation.name.name;
  return manifest !== undefined && (after === undefined || isAsWritten(manifest, after, owner));
}
