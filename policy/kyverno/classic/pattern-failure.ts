// SPDX-License-Identifier: Apache-2.0

/** Why a pattern did not match. `anchor` is set while the anchor's own error travels; wrapped, only its text is left. */
export type Failure = {
  readonly message: string;
  /** Slashes around every key, '' where the reference has lost it. */
  readonly path: string;
  readonly anchor?: FailedAnchor;
  /** Skips of a map or list below, taken together: no sibling's own condition. */
  readonly below?: true;
};

export type FailedAnchor = "conditional" | "global" | "negation";

const words: Readonly<Record<FailedAnchor, string>> = {
  conditional: "conditional anchor mismatch",
  global: "global anchor mismatch",
  negation: "negation anchor matched in resource",
};

export function anchorFailure(anchor: FailedAnchor, message: string, path: string): Failure {
  return { message: `${words[anchor]}: ${message}`, path, anchor };
}

/**
 * Whether a failure means that the pattern does not apply. The reference looks at the error's type, and for a wrapped
 * error at its text, in which a value of the resource counts too (pkg/engine/anchor/error.go).
 */
export function isSkip(failure: Failure): boolean {
  if (failure.anchor !== undefined) return failure.anchor !== "negation";
  return failure.message.includes(words.conditional) || failure.message.includes(words.global);
}

/** Longest message of several failures; hundreds of skipped items say the same. */
const messageLengthMax = 65_536;

/** Several skips as one failure, which is no anchor's own any more. */
export function combine(skips: readonly Failure[], path: string): Failure {
  const [only] = skips;
  if (only !== undefined && skips.length === 1) return { message: only.message, path, below: true };
  const message = skips.map((skip) => skip.message).join("; ");
  return { message: message.slice(0, messageLengthMax), path, below: true };
}
