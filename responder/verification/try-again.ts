// SPDX-License-Identifier: Apache-2.0
import type { EventKind, Status } from "#responder/remediation";
import { type Evidence, withEvidence } from "#responder/verification/evidence";

/** Why something is Unverifiable now, by its newest finding; '' in any other state. */
export function unverifiableFor({ state, history }: Status): string {
  if (state !== "Unverifiable") return "";
  return history.findLast(({ to, reason }) => to === state && reason !== "Renewed")?.reason ?? "";
}

type Retry = NonNullable<Status["retry"]>;

/** How often it is tried again whether an isolation holds after all, where what stands in the way may pass by itself. */
export type TryAgain = {
  /** Wait before the first further try; doubled with each, up to {@link waitMsMax}. */
  readonly after: number;
  /** Further tries; 0: none. */
  readonly times: number;
};

/** Eight tries end an hour and a half after the first: what lasts longer is nothing that passes. */
export const tryAgainDefault: TryAgain = { after: 30_000, times: 8 };
const waitMsMax = 1_800_000;

/** What a look at an isolation came to: the event to record, if any, and what changes in the status. */
export type Looked = {
  readonly event:
    | {
        readonly kind: EventKind;
        readonly reason: string;
        readonly message: string;
        readonly by: string;
      }
    | undefined;
  readonly status: Partial<Status>;
  readonly againMs?: number;
};

/**
 * That an isolation cannot be shown to hold. A passing cause is tried again; of tries that only fail as the one before nothing is said,
 * so that people are told once: when it was found, and when it is given up.
 */
export function unverified(
  status: Status,
  found: { readonly reason: string; readonly message: string; readonly passing: boolean },
  evidence: readonly Evidence[],
  { nowMs, tryAgain }: { readonly nowMs: number; readonly tryAgain: TryAgain },
): Looked {
  const { reason, passing } = found;
  const made = status.retry === undefined ? 0 : status.retry.count + 1;
  const retry = passing ? nextTry(made, tryAgain, nowMs) : undefined;
  const kept = { evidence: withEvidence(status.evidence, evidence) };
  if (retry !== undefined && unverifiableFor(status) === reason) {
    return { event: undefined, status: { ...kept, retry }, againMs: retry.atMs - nowMs };
  }
  const message = `${found.message}${ending(retry, made, passing, tryAgain)}`;
  return {
    event: { kind: "unverifiable", reason, message, by: "parapet" },
    status: { ...kept, retry },
  };
}

function nextTry(made: number, { after, times }: TryAgain, nowMs: number): Retry | undefined {
  if (made >= times) return undefined;
  return { count: made, atMs: nowMs + Math.min(waitMsMax, after * 2 ** made) };
}

function ending(
  retry: Retry | undefined,
  made: number,
  passing: boolean,
  { times }: TryAgain,
): string {
  if (!passing || times === 0) return "";
  return retry === undefined
    ? `; tried again ${made} times, and not any more`
    : `; tried again by itself, at most ${times} times`;
}
