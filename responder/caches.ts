// SPDX-License-Identifier: Apache-2.0
import type { Approval } from "#responder/approval";
import { readApproval } from "#responder/record/approval-record";
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { keyOf } from "#responder/cluster";
import type { Remediation } from "#responder/remediation";
import { findingLabel, readRemediation } from "#responder/record/remediation-record";
import type { Change } from "#responder/watcher";

/** Things by key, and by one more name each; kept by a watch. */
export type Index<T> = {
  readonly of: (group: string) => readonly T[];
  readonly all: () => readonly T[];
  readonly change: (key: string, value: T | undefined, group: string) => void;
};

export function makeIndex<T>(): Index<T> {
  const groups = new Map<string, Map<string, T>>();
  const groupOf = new Map<string, string>();
  return {
    of: (group) => [...(groups.get(group)?.values() ?? [])],
    all: () => [...groups.values()].flatMap((group) => [...group.values()]),
    change: (key, value, group) => {
      const before = groupOf.get(key);
      if (before !== undefined) {
        const members = groups.get(before);
        members?.delete(key);
        if (members?.size === 0) groups.delete(before);
        groupOf.delete(key);
      }
      if (value === undefined) return;
      const members = groups.get(group) ?? new Map<string, T>();
      members.set(key, value);
      groups.set(group, members);
      groupOf.set(key, group);
    },
  };
}

/** Remediations as the watch knows them, by finding and by namespace. */
export type RemediationCache = {
  readonly ofFinding: (finding: string) => readonly Remediation[];
  readonly inNamespace: (namespace: string) => readonly Remediation[];
  readonly all: () => readonly Remediation[];
  /** By `namespace/name`. */
  readonly get: (key: string) => Remediation | undefined;
  readonly change: (change: Change) => void;
};

export function makeRemediationCache(
  onUnreadable: (key: string, why: string) => void,
): RemediationCache {
  const byFinding = makeIndex<Remediation>();
  const byNamespace = makeIndex<Remediation>();
  const byKey = new Map<string, Remediation>();
  return {
    ofFinding: byFinding.of,
    inNamespace: byNamespace.of,
    all: byFinding.all,
    get: (key) => byKey.get(key),
    change: ({ key, after }) => {
      const read = after === undefined ? undefined : readRemediation(after);
      if (typeof read === "string") onUnreadable(key, read);
      const remediation = typeof read === "string" ? undefined : read;
      if (remediation === undefined) byKey.delete(key);
      else byKey.set(key, remediation);
      byFinding.change(key, remediation, findingOf(after));
      byNamespace.change(key, remediation, remediation?.name.namespace ?? "");
    },
  };
}

const findingOf = (object: JsonObject | undefined): string =>
  textAt(object, ["metadata", "labels", findingLabel]);

/** Approvals as the watch knows them, by namespace. */
export type ApprovalCache = {
  readonly inNamespace: (namespace: string) => readonly Approval[];
  readonly all: () => readonly Approval[];
  /** Takes a change in and gives the keys of the remediations that it is about. */
  readonly change: (change: Change) => readonly string[];
};

export function makeApprovalCache(): ApprovalCache {
  const byNamespace = makeIndex<Approval>();
  return {
    inNamespace: byNamespace.of,
    all: byNamespace.all,
    change: ({ key, before, after }) => {
      const now = after === undefined ? undefined : readApproval(after);
      byNamespace.change(key, now, now?.namespace ?? "");
      const then = before === undefined ? undefined : readApproval(before);
      return [now, then].flatMap((one) =>
        one === undefined ? [] : [keyOf({ namespace: one.namespace, name: one.remediation })],
      );
    },
  };
}
