// SPDX-License-Identifier: Apache-2.0
import { type Cluster, type FailureCode, types } from "#responder/cluster";
import type { Log } from "#responder/log";
import { makeWatcher, namesOnly, type Watcher } from "#responder/watcher";

type OnChange = Parameters<typeof makeWatcher>[0]["onChange"];

/** Nothing is acted on while these cannot be read: what to do about it. */
const advice: Partial<Record<FailureCode, string>> = {
  NotFound: "our kinds are not installed: kubectl apply -k package/crds",
  Forbidden:
    "our rights are not: kubectl apply -f package/install/role.yaml, as `parapet rbac` makes it",
  Unauthorized: "the API server does not know us: see to the service account or the kubeconfig",
};

/** Follows the kinds of our own: what to do, who approved, and the records. */
export function startWatchers(
  cluster: Cluster,
  log: Log,
  on: {
    readonly policies: OnChange;
    readonly approvals: OnChange;
    readonly remediations: OnChange;
  },
): readonly Watcher[] {
  const onFailure = (message: string, code: FailureCode): void => {
    const todo = advice[code];
    log("warn", message, todo === undefined ? {} : { advice: todo });
  };
  return [
    makeWatcher({ cluster, type: types.responsePolicy, onChange: on.policies, onFailure }),
    makeWatcher({ cluster, type: types.approval, onChange: on.approvals, onFailure }),
    makeWatcher({
      ...{ cluster, type: types.remediation, onChange: on.remediations, onFailure },
      // Kept in its own cache, as a Remediation.
      keep: namesOnly,
    }),
  ];
}
