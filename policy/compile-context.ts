// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";

export type CompileOptions = {
  /**
   * What a ValidatingAdmissionPolicy or MutatingAdmissionPolicy without any binding does. In a cluster it does nothing
   * (`required`); `implied`, the default, evaluates it as if a binding with Deny and no selector named it, as Kyverno's
   * command line does: who hands a policy to the engine means it to hold. Bindings that are given always decide.
   */
  readonly bindings?: "required" | "implied";
  /** Objects that paramRefs may name, looked at before the World is asked. */
  readonly params?: readonly JsonObject[];
};

/** The documents of one compilation, sorted by what they are for. */
export type CompileContext = {
  /** PolicyExceptions of policies.kyverno.io. */
  readonly exceptions: readonly JsonObject[];
  /** PolicyExceptions of kyverno.io. */
  readonly classicExceptions: readonly JsonObject[];
  /** Bindings by kind and policy name, as `ValidatingAdmissionPolicyBinding/require-labels`. */
  readonly bindings: ReadonlyMap<string, readonly JsonObject[]>;
  readonly options: CompileOptions;
};
