// SPDX-License-Identifier: Apache-2.0
import type { Allowance } from "#responder/budget";
import type { Drift } from "#responder/drift/drift";
import { pathText } from "#responder/edit";
import { canonical } from "#responder/exact-json";
import { changesOf, type Target } from "#responder/plan";
import type { Remediation } from "#responder/remediation";

/** So often within {@link fightMs} a path is put right by itself; after that somebody else writes it by itself as well. */
const fightTimes = 3;
const fightMs = 900_000;

/**
 * Whether a difference was put right so often of late that doing it again is a fight, as with an autoscaler, a webhook or a GitOps controller: a
 * person has to end it, by an ignore rule or in the Composition. undefined: it is none. By the records, so that replicas and restarts agree.
 */
export function fightOver(
  remediations: readonly Remediation[],
  target: Target,
  drift: readonly Drift[],
  nowMs: number,
): Allowance | undefined {
  const done = remediations.filter(
    ({ target: { uid }, cause, status }) =>
      uid === target.uid &&
      cause.source === "Drift" &&
      status.appliedAtMs !== undefined &&
      Math.abs(nowMs - status.appliedAtMs) < fightMs,
  );
  for (const { edit } of drift) {
    const here = canonical(edit.path);
    const times = done.filter((one) => pathsOf(one).includes(here)).length;
    if (times < fightTimes) continue;
    const reason = `${pathText(edit.path)} was put right ${times} times within ${fightMs / 60_000} minutes, and changed again each time`;
    return { mode: "Propose", reason };
  }
  return undefined;
}

const pathsOf = ({ plan }: Remediation): readonly string[] =>
  plan === undefined
    ? []
    : changesOf(plan).flatMap((change) =>
        change.kind === "edit" ? change.edits.map((edit) => canonical(edit.path)) : [],
      );
