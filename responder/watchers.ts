// SPDX-License-Identifier: Apache-2.0
import { type Cluster, types } from "#responder/cluster";
import type { Log } from "#responder/log";
import { makeWatcher, namesOnly, type Watcher } from "#responder/watcher";

type OnChange = Parameters<typeof makeWatcher>[0]["onChange"];

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
  const onFailure = (message: string): void => log("warn", message);
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
