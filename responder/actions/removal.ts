// SPDX-License-Identifier: Apache-2.0
import type { ActionInput, Planned } from "#responder/actions/action";
import { controllerOf } from "#responder/guard";

/** The plan of what ends a pod for good, by deletion or by eviction; bound to its uid. */
export function planRemoval(
  how: "delete" | "evict",
  { target, pod }: ActionInput,
  graceSeconds: number | undefined,
): Planned {
  const { namespace, name, uid } = target;
  return {
    ok: true,
    action: {
      action: how,
      changes: [{ kind: "remove", how, namespace, name, uid, graceSeconds }],
    },
    notes: [
      "the pod ends and cannot be brought back",
      ...(controllerOf(pod) === undefined ? ["it has no controller: nothing replaces it"] : []),
    ],
  };
}
