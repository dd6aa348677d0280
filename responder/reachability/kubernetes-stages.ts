// SPDX-License-Identifier: Apache-2.0
import type { Stage } from "#responder/reachability/stage";

/** The stages of Kubernetes' own policies, between which network implementations put theirs. */
export type KubernetesStages = {
  readonly admin: Stage;
  readonly networkPolicies: Stage;
  readonly baseline: Stage;
};
