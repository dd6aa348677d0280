// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import type { ResourceType } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import { inverse, pathText } from "#responder/edit";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";

/** What a remediation changes, bound to one object by its uid; `kind` '' where nothing could be found. */
export type Target = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
};

/**
 * One write, complete with what it takes to check it, to read it back and to undo it.
 * `apply`: an object of our own, which carries {@link ownershipLabel}. `edit`: values inside an object of somebody else.
 * The others write nothing that could be taken back: see effects.ts.
 */
export type Change = WriteChange | Effect;

export type WriteChange =
  | { readonly kind: "apply"; readonly type: ResourceType; readonly manifest: JsonObject }
  | {
      readonly kind: "edit";
      readonly type: ResourceType;
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
      readonly edits: readonly Edit[];
      /** `delete`: turned round, the edits would do harm; the object is deleted instead (a pod that its owner let go). */
      readonly undo?: "delete" | undefined;
    };

type PodReference = { readonly namespace: string; readonly name: string; readonly uid: string };

export type Effect =
  /** Ends a pod, bound to its uid: by the eviction API, which respects disruption budgets, or past it. */
  | (PodReference & {
      readonly kind: "remove";
      readonly how: "evict" | "delete";
      /** Undefined: the pod's own. */
      readonly graceSeconds?: number | undefined;
    })
  /** Lets what follows happen only while enough else is ready. */
  | (PodReference & {
      readonly kind: "guard";
      /** Controller of the pod; '' for none, then only budgets count. */
      readonly owner: string;
      /** Ready pods of that controller beside this one. */
      readonly minReady: number;
      /** Whether PodDisruptionBudgets must allow one disruption. */
      readonly budgets: boolean;
    })
  /** Gathers what is known of a pod before it changes, and keeps it. */
  | (PodReference & {
      readonly kind: "capture";
      readonly logLines: number;
      /** `Continue`: what follows is done without it; undefined: it is not. */
      readonly onFailure?: "Continue" | undefined;
    })
  /** A Kubernetes Event on the target and, with a name in `to`, a message to that configured destination. */
  | { readonly kind: "notify"; readonly to: string };

/** An allow that stays open after the change, named by the policy that causes it; `kind` '' where no policy decides. */
export type ResidualAllow = {
  readonly kind: string;
  /** '' for a policy of the cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly direction: "Ingress" | "Egress";
  readonly detail: string;
  /** `mayAllow`: it cannot be told exactly, and is named rather too often than missed. */
  readonly certainty: "allows" | "mayAllow";
  /** Why it is open, or why it cannot be told; '' for a plain allow. */
  readonly reason: string;
};

/** One line for people: what stays open, and by what. */
export function residualText(allow: ResidualAllow): string {
  const { kind, namespace, name, direction, detail, certainty, reason } = allow;
  const by =
    kind === "" ? "no policy" : `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
  const verb = certainty === "allows" ? "" : "may allow: ";
  return `${direction} by ${by}: ${verb}${detail}${reason === "" ? "" : ` (${reason})`}`;
}

export type PlannedAction = {
  /** Name of the action, e.g. `isolate`. */
  readonly action: string;
  readonly changes: readonly Change[];
};

/** Decided, not done. The digest covers the target and every change: an approval of one plan is no approval of another. */
export type Plan = {
  readonly digest: string;
  readonly actions: readonly PlannedAction[];
  readonly residualAllows: readonly ResidualAllow[];
  /** What an approver should know beside the exact changes: blast radius, limits of the action. */
  readonly notes: readonly string[];
};

/** Marks an object as made by the responder for one remediation; checked before every write. */
export const ownershipLabel = "parapet.dev/remediation";

/** Prefix of the label keys by which an isolation's policies select their pod. */
export const isolationPrefix = "isolate.parapet.dev/";

export function planDigest(target: Target, actions: readonly PlannedAction[]): string {
  return `sha256:${sha256(canonical({ target, actions: actions.map(actionJson) }))}`;
}

/** The label value by which approvals are found: a label holds 63 characters. */
export const digestLabel = (digest: string): string => digest.replace(/^sha256:/, "").slice(0, 32);

const actionJson = (action: PlannedAction): JsonObject => ({
  action: action.action,
  changes: action.changes.map(changeJson),
});

/** A change as it stands in a Remediation's spec. */
export function changeJson(change: Change): JsonObject {
  if (change.kind === "apply") return { apply: change.manifest, ...typeJson(change.type) };
  if (change.kind !== "edit") {
    const { kind, ...rest } = change;
    return { [kind]: definedOnly(rest) };
  }
  const { namespace, name, uid, undo } = change;
  const edits = change.edits.map(editJson);
  return {
    edit: { namespace, name, uid, edits, ...(undo === undefined ? {} : { undo }) },
    ...typeJson(change.type),
  };
}

const definedOnly = (members: Readonly<Record<string, Json | undefined>>): JsonObject => {
  const json: Record<string, Json> = {};
  for (const [name, value] of Object.entries(members)) if (value !== undefined) json[name] = value;
  return json;
};

const typeJson = (type: ResourceType): { readonly type: JsonObject } => ({
  type: {
    apiVersion: type.apiVersion,
    kind: type.kind,
    resource: type.resource,
    namespaced: type.namespaced,
  },
});

const editJson = (edit: Edit): JsonObject => {
  const json: Record<string, Json> = { path: edit.path };
  if (edit.from !== undefined) json["from"] = edit.from;
  if (edit.to !== undefined) json["to"] = edit.to;
  return json;
};

/** The changes of a plan in the order they are made. */
export const changesOf = (plan: Plan): readonly Change[] =>
  plan.actions.flatMap((action) => action.changes);

/** One line for people: what the change does. */
export function changeText(change: Change): string {
  if (change.kind !== "apply" && change.kind !== "edit") return effectText(change);
  if (change.kind === "apply") {
    const name = textAt(change.manifest, ["metadata", "name"]);
    const namespace = textAt(change.manifest, ["metadata", "namespace"]);
    return `apply ${change.type.kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
  }
  const what = change.edits.map((edit) => {
    if (edit.to === undefined) return `remove ${pathText(edit.path)}`;
    return `${edit.from === undefined ? "add" : "set"} ${pathText(edit.path)}`;
  });
  return `${what.join(", ")} on ${change.type.kind} ${change.namespace}/${change.name}`;
}

function effectText(effect: Effect): string {
  if (effect.kind === "notify") {
    return `tell by an Event${effect.to === "" ? "" : ` and ${effect.to}`}`;
  }
  const pod = `Pod ${effect.namespace}/${effect.name}`;
  switch (effect.kind) {
    case "remove":
      return `${effect.how} ${pod}`;
    case "guard": {
      const parts = [
        effect.owner === "" || effect.minReady === 0
          ? ""
          : `${effect.minReady} other pod(s) of ${effect.owner} are ready`,
        effect.budgets ? "disruption budgets allow it" : "",
      ];
      return `only while ${parts.filter((part) => part !== "").join(" and ")}: ${pod}`;
    }
    case "capture":
      return `keep evidence of ${pod}`;
    default:
      return effect satisfies never;
  }
}

/** Whether the plan cuts a pod's network, and so is verified by more than being read back. */
export const isIsolation = (plan: Plan | undefined): boolean =>
  plan?.actions.some((action) => action.action === "isolate") === true;

/** Whether the plan ends the target: that it is gone afterwards is success. */
export const removesTarget = (plan: Plan | undefined): boolean =>
  plan !== undefined && changesOf(plan).some((change) => change.kind === "remove");

/** Whether the plan changes things that stay as they are when the target is gone: a node, the pod's workload. */
export const outlivesTarget = (plan: Plan | undefined, target: Target): boolean =>
  plan !== undefined &&
  changesOf(plan).some((change) => change.kind === "edit" && change.uid !== target.uid);

/** Kinds where one change touches what many share. */
const sharedKinds: ReadonlySet<string> = new Set(["v1 Node", "v1 Namespace"]);

/** People who must approve the plan: two, and different ones, where it changes a node or a namespace. */
export const approversOf = (plan: Plan | undefined): number =>
  plan !== undefined &&
  changesOf(plan).some(
    (change) =>
      change.kind === "edit" && sharedKinds.has(`${change.type.apiVersion} ${change.type.kind}`),
  )
    ? 2
    : 1;

/** The edits that take an edit change back, last first. */
export const inverseEdits = (edits: readonly Edit[]): readonly Edit[] =>
  edits.map(inverse).reverse();
