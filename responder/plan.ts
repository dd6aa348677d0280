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
 */
export type Change =
  | { readonly kind: "apply"; readonly type: ResourceType; readonly manifest: JsonObject }
  | {
      readonly kind: "edit";
      readonly type: ResourceType;
      readonly namespace: string;
      readonly name: string;
      readonly uid: string;
      readonly edits: readonly Edit[];
    };

/** An allow that stays open after the change, named by the policy that causes it. */
export type ResidualAllow = {
  readonly policy: string;
  readonly direction: "Ingress" | "Egress";
  readonly detail: string;
};

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
  const { namespace, name, uid } = change;
  return {
    edit: { namespace, name, uid, edits: change.edits.map(editJson) },
    ...typeJson(change.type),
  };
}

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

/** The edits that take an edit change back, last first. */
export const inverseEdits = (edits: readonly Edit[]): readonly Edit[] =>
  edits.map(inverse).reverse();
