// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { types } from "#responder/cluster";
import { type Edit, type Path, valueAt } from "#responder/edit";
import type { Change, Target } from "#responder/plan";

/** The edit that brings a path from its live value to a new one; undefined takes it away. */
export function editOf(object: JsonObject, path: Path, to: Edit["to"]): Edit {
  const from = valueAt(object, path);
  return {
    path,
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
}

/** Edits of the target pod as one change. */
export const podChange = (target: Target, edits: readonly Edit[], undo?: "delete"): Change => ({
  kind: "edit",
  type: types.pod,
  namespace: target.namespace,
  name: target.name,
  uid: target.uid,
  edits,
  ...(undo === undefined ? {} : { undo }),
});
