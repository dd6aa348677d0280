// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { parseAnchor } from "#policy/kyverno/classic/anchors";
import type { Anchor } from "#policy/kyverno/classic/anchors";
import { isSkip } from "#policy/kyverno/classic/pattern-failure";
import type { Failure } from "#policy/kyverno/classic/pattern-failure";

/**
 * What a pattern says of a resource. `error` is a mismatch that the reference reports without a path: a list that is
 * too short, or any mismatch while an anchored key of the pattern was nowhere in the resource.
 */
export type PatternOutcome =
  | { readonly kind: "pass" }
  | { readonly kind: "skip"; readonly message: string }
  | { readonly kind: "fail"; readonly message: string; readonly path: string }
  | { readonly kind: "error"; readonly message: string };

const pass: PatternOutcome = { kind: "pass" };

/** One matching of a pattern: which anchored keys were met, and whether any resource map had them. */
export type PatternRun = { anchors: Map<string, boolean> | undefined };

export function outcomeOf(failure: Failure | undefined, run: PatternRun): PatternOutcome {
  if (failure === undefined) return pass;
  const { message, path } = failure;
  if (isSkip(failure)) return { kind: "skip", message };
  const negated =
    failure.anchor === undefined ? message.includes(negationText) : failure.anchor === "negation";
  const missing = !negated && [...(run.anchors?.values() ?? [])].includes(false);
  return path === "" || missing ? { kind: "error", message } : { kind: "fail", message, path };
}

const negationText = "negation anchor matched in resource";

/** The anchors of a map whose keys the resource has to have somewhere: those of a negation it must not have. */
export function markedAnchors(
  pattern: JsonObject,
): readonly { readonly text: string; readonly key: string }[] {
  return Object.keys(pattern).flatMap((text) => {
    const anchor = parseAnchor(text);
    return anchor !== undefined && marked[anchor.kind] ? [{ text, key: anchor.key }] : [];
  });
}

const marked: Readonly<Record<Anchor["kind"], boolean>> = {
  condition: true,
  existence: true,
  negation: false,
  equality: false,
  global: false,
  addIfNotPresent: false,
};

/** Kept by the text of the anchor, wherever in the pattern it is: the same key in two places counts once. */
export function noteAnchor(run: PatternRun, text: string, present: boolean): void {
  run.anchors ??= new Map();
  if (run.anchors.get(text) !== true) run.anchors.set(text, present);
}
