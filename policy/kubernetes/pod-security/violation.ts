// SPDX-License-Identifier: Apache-2.0
import type { PodView } from "#policy/kubernetes/pod-security/pod";

/** One field that a check does not allow. */
export type FieldError = {
  /** e.g. `spec.containers[0].securityContext.privileged`. */
  readonly field: string;
  /** The field must be set and is not. */
  readonly required: boolean;
  /** The value that is not allowed; undefined where only the field is. */
  readonly value: string | number | boolean | readonly string[] | undefined;
};

export type Violation = {
  /** Short, always shown, e.g. `host namespaces`. */
  readonly reason: string;
  readonly errors: readonly FieldError[];
};

/** Says what is wrong with a pod; undefined when nothing is. */
export type CheckPod = (pod: PodView) => Violation | undefined;

/** A check of the Pod Security Standards, with the versions of Kubernetes (1.x) from which each form of it holds. */
export type PodCheck = {
  readonly id: string;
  readonly level: "baseline" | "restricted";
  readonly versions: readonly { readonly minor: number; readonly check: CheckPod }[];
};

export const forbidden = (path: string, value?: FieldError["value"]): FieldError => ({
  field: path,
  required: false,
  value,
});

export const required = (path: string): FieldError => ({
  field: path,
  required: true,
  value: undefined,
});

/** A violation for these errors, none when there are none. */
export const violation = (reason: string, errors: readonly FieldError[]): Violation | undefined =>
  errors.length === 0 ? undefined : { reason, errors };
