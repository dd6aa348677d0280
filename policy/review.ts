// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";

export type Operation = "CREATE" | "UPDATE" | "DELETE" | "CONNECT";

/** `group` is '' for the core group. */
export type GroupVersionKind = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
};
export type GroupVersionResource = {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
};

export type UserInfo = {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
  /** RBAC roles bound to the user, as `namespace:name`; Kyverno's match blocks look at them. */
  readonly roles: readonly string[];
  readonly clusterRoles: readonly string[];
};

/** One question to the engine: this change to this object, as admission would see it. */
export type Review = {
  readonly operation: Operation;
  readonly kind: GroupVersionKind;
  /** The plural that match constraints name, e.g. `pods`. */
  readonly resource: GroupVersionResource;
  /** '' or e.g. `status`, `scale`, `exec`. */
  readonly subResource: string;
  readonly name: string;
  /** '' for cluster-scoped objects; a Namespace has its own name here as in Kyverno's engine. */
  readonly namespace: string;
  /** The object after the change; null on DELETE. */
  readonly object: JsonObject | null;
  /** The object before the change; null on CREATE. */
  readonly oldObject: JsonObject | null;
  /** null when nobody is known, as in a background scan or a composition function. */
  readonly userInfo: UserInfo | null;
  readonly dryRun: boolean;
  readonly options: JsonObject | null;
};
