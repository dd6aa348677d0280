// SPDX-License-Identifier: Apache-2.0
import { sameJson } from "#policy/kubernetes/json-patch";
import { keyOf } from "#responder/cluster";
import type { Edit } from "#responder/edit";
import { type Change, changesOf, type PlannedAction } from "#responder/plan";
import { mayBeInForce, type Remediation } from "#responder/remediation";
import type { WantedBy } from "#responder/take-back";

/**
 * Two responses can want one value of one object: two rules about one pod label it, two pods of one node have it cordoned. What they
 * share is taken back by the last of them, to what it was before the first.
 */
export function wantedByOthers(all: readonly Remediation[], self: Remediation): WantedBy {
  const others = all.filter(
    (one) => isInForce(one) && keyOf(one.name) !== keyOf(self.name) && one.uid !== self.uid,
  );
  return (uid, inverse) => {
    const holder = others.find((one) => editOf(one, uid, inverse.path, inverse.from) !== undefined);
    return holder === undefined ? "" : `Remediation ${keyOf(holder.name)} wants it as well`;
  };
}

/** The actions, with what stood before the first of those that set the same: else the last of them would have nothing to go back to. */
export function withFirstValues(
  actions: readonly PlannedAction[],
  all: readonly Remediation[],
): readonly PlannedAction[] {
  const inForce = all.filter(isInForce);
  if (inForce.length === 0) return actions;
  return actions.map(({ action, changes }) => ({
    action,
    changes: changes.map((change) => withFirst(change, inForce)),
  }));
}

function withFirst(change: Change, inForce: readonly Remediation[]): Change {
  if (change.kind !== "edit") return change;
  const edits = change.edits.map((edit): Edit => {
    if (edit.to === undefined || !sameJson(edit.from, edit.to)) return edit;
    const earlier = inForce
      .map((one) => editOf(one, change.uid, edit.path, edit.to))
      .find((one) => one !== undefined && !sameJson(one.from, one.to));
    return earlier ?? edit;
  });
  return { ...change, edits };
}

const isInForce = ({ status }: Remediation): boolean =>
  mayBeInForce[status.state] && status.state !== "Failed" && status.undo === undefined;

function editOf(
  { plan }: Remediation,
  uid: string,
  path: Edit["path"],
  to: Edit["to"],
): Edit | undefined {
  if (plan === undefined || to === undefined) return undefined;
  return changesOf(plan)
    .flatMap((change) => (change.kind === "edit" && change.uid === uid ? change.edits : []))
    .find((edit) => sameJson(edit.path, path) && sameJson(edit.to, to));
}
