// SPDX-License-Identifier: Apache-2.0
import { at, textAt, type JsonObject } from "#policy/json";
import { sha256Of, withoutVolatile } from "./canonical.ts";
import type { Composite } from "./composite.ts";
import type { Selector } from "./wire/response.ts";

/** Label by which approvals are found; a label holds 63 characters, so it has the start of the digest. */
export const digestLabel = "parapet.dev/digest";
const digestLabelLength = 32;

/** Annotation of a policy: how many people must approve, 1 when it says nothing. */
export const approvalsAnnotation = "parapet.dev/approvals";

/** Set on the composite by an admission policy, one name a line; a function is told no user. */
const lastWriterAnnotation = "parapet.dev/last-writer";

/**
 * The digest that an approval names: sha256 over the canonical JSON (keys sorted by code unit) of the composite, the
 * resource's name in the composition and the whole desired object after injection. Left out is what no person decides:
 * owner references, generated names, status, and the guard's own record.
 */
export function digestOf(composite: Composite, resource: string, desired: JsonObject): string {
  const { apiVersion, kind, namespace, name, uid } = composite;
  const target = { apiVersion, kind, namespace, name, uid };
  return sha256Of({ composite: target, resource, object: withoutVolatile(desired) });
}

export const digestLabelValue = (digest: string): string =>
  digest.slice("sha256:".length, "sha256:".length + digestLabelLength);

/** How the approvals of a change are fetched. */
export const approvalSelector = (digest: string, namespace: string): Selector => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "Approval",
  match: { labels: { [digestLabel]: digestLabelValue(digest) } },
  namespace,
});

export type ApprovalQuestion = {
  readonly composite: Composite;
  readonly resource: string;
  readonly digest: string;
  /** Where approvals of this composite live. */
  readonly namespace: string;
  /** How many people must agree. */
  readonly needed: number;
  readonly nowMs: number;
};

export type ApprovalState =
  | {
      readonly kind: "approved";
      readonly by: readonly string[];
      readonly untilMs: number | undefined;
    }
  | { readonly kind: "denied"; readonly by: string }
  | { readonly kind: "waiting"; readonly have: number; readonly reason: string };

type Decision = {
  readonly decision: string;
  readonly by: string;
  /** Undefined: as long as the object exists. NaN when the text is no time, which never counts. */
  readonly untilMs: number | undefined;
};

/**
 * What the approvals say about one change. One counts when it names this digest, composite and resource, lives where
 * approvals of this composite live, has not expired and is not the requester's own; one Deny outweighs all others.
 */
export function approvalState(
  objects: readonly JsonObject[],
  question: ApprovalQuestion,
): ApprovalState {
  const decisions = objects
    .filter((object) => isFor(object, question))
    .map(decisionOf)
    .filter(({ untilMs }) => untilMs === undefined || untilMs > question.nowMs)
    .toSorted((a, b) => (a.by < b.by ? -1 : 1));
  const denial = decisions.find(({ decision }) => decision === "Deny");
  if (denial !== undefined) return { kind: "denied", by: denial.by };
  const requesters = textAt(question.composite.object, [
    "metadata",
    "annotations",
    lastWriterAnnotation,
  ]).split("\n");
  const approving = decisions.filter(({ decision, by }) => decision === "Approve" && by !== "");
  const others = approving.filter(({ by }) => !requesters.includes(by));
  const people = new Map(others.map((each) => [each.by, each]));
  if (people.size >= question.needed) {
    const times = [...people.values()].flatMap(({ untilMs }) =>
      untilMs === undefined ? [] : [untilMs],
    );
    const untilMs = times.length === 0 ? undefined : Math.min(...times);
    return { kind: "approved", by: [...people.keys()], untilMs };
  }
  const reason =
    approving.length > others.length ? "whoever asked for a change cannot approve it" : "";
  return { kind: "waiting", have: people.size, reason };
}

function isFor(object: JsonObject, question: ApprovalQuestion): boolean {
  const target = at(object, ["spec", "for", "composite"]);
  const { composite } = question;
  return (
    textAt(object, ["apiVersion"]).startsWith("parapet.dev/") &&
    textAt(object, ["kind"]) === "Approval" &&
    textAt(object, ["metadata", "namespace"]) === question.namespace &&
    textAt(object, ["metadata", "deletionTimestamp"]) === "" &&
    textAt(target, ["digest"]) === question.digest &&
    textAt(target, ["resource"]) === question.resource &&
    textAt(target, ["apiVersion"]) === composite.apiVersion &&
    textAt(target, ["kind"]) === composite.kind &&
    textAt(target, ["name"]) === composite.name
  );
}

function decisionOf(object: JsonObject): Decision {
  const until = textAt(object, ["spec", "expiresAt"]);
  return {
    decision: textAt(object, ["spec", "decision"]),
    by: textAt(object, ["spec", "approvedBy"]),
    untilMs: until === "" ? undefined : Date.parse(until),
  };
}
