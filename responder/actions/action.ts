// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Failure, ObjectName, Reply, ResourceType } from "#responder/cluster";
import type { PlannedAction, Target } from "#responder/plan";

/** One rule of a role. */
export type RbacRule = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

/** What an action is, for people and for the generated role. */
export type ActionInfo = {
  /** As in a ResponsePolicy's `do`. */
  readonly name: string;
  /** One line: what it changes. */
  readonly does: string;
  /** Kinds that it changes or reads as its object. */
  readonly targets: readonly string[];
  readonly inverse: string;
  readonly verified: string;
  /** What it needs, and nothing beyond: the role is generated from it. */
  readonly rbac: readonly RbacRule[];
};

/** What an action plans from. */
export type ActionInput = {
  readonly target: Target;
  /** The live pod of that uid. */
  readonly pod: JsonObject;
  /** Name of the remediation that this is part of. */
  readonly remediation: string;
  readonly read: (type: ResourceType, name: ObjectName) => Promise<Reply<JsonObject>>;
  readonly listIn: (type: ResourceType, namespace: string) => Promise<Reply<readonly JsonObject[]>>;
};

/** `NotPlanned`: the action is not possible on this target, with the reason; other failures are worth another try. */
export type Planned =
  | { readonly ok: true; readonly action: PlannedAction; readonly notes: readonly string[] }
  | NotPlanned
  | Failure;

export type NotPlanned = {
  readonly ok: false;
  readonly code: "NotPlanned";
  readonly message: string;
};

export const notPlanned = (message: string): NotPlanned => ({
  ok: false,
  code: "NotPlanned",
  message,
});
