// SPDX-License-Identifier: Apache-2.0
import { at, isArray, type Json, type JsonObject, textAt } from "#policy/json";

/** What a composite says about one of its resources that waits for approval. */
export type Pending = {
  readonly digest: string;
  /** `waiting`, `approved` or `denied`. */
  readonly state: string;
  /** The guard's sentences about the resource: what it violates, by which policy, and what is held. */
  readonly violations: readonly string[];
  /** Paths that are held back, as far as they are told; empty for a resource that does not exist yet. */
  readonly paths: readonly string[];
};

export type FoundPending =
  | { readonly ok: true; readonly pending: Pending }
  | { readonly ok: false; readonly message: string };

/** `name: sha256:... waits for approval`: a sentence of the guard's ApprovalPending condition. */
const sentence = /^(.*): (sha256:[0-9a-f]{64}) (waits for approval|approved by|denied by)/s;
const stateOf: Readonly<Record<string, string>> = {
  "waits for approval": "waiting",
  "approved by": "approved",
  "denied by": "denied",
};

/**
 * What waits for approval under a resource name: from `status.parapet` where the composite's definition keeps it, else from
 * the condition's message. Two digests for one name are no answer: then nobody could say which is approved.
 */
export function findPending(composite: JsonObject, resource: string): FoundPending {
  const asked = [...fromStatus(composite), ...fromCondition(composite)];
  const mine = asked.filter((one) => one.resource === resource);
  const digests = new Set(mine.map(({ digest }) => digest));
  const [first] = mine;
  if (first === undefined) return { ok: false, message: nothingWaits(asked, resource) };
  if (digests.size > 1) {
    return {
      ok: false,
      message: `${resource} is named with ${digests.size} digests; wait until Crossplane has looked at the composite again`,
    };
  }
  const violations = sentencesOf(composite, resource);
  const paths = heldPaths(composite, resource, violations);
  return { ok: true, pending: { digest: first.digest, state: first.state, violations, paths } };
}

type Asked = { readonly resource: string; readonly digest: string; readonly state: string };

function nothingWaits(asked: readonly Asked[], resource: string): string {
  const waiting = [...new Set(asked.map((one) => one.resource))].sort();
  return waiting.length === 0
    ? "no change of it waits for approval: it has no ApprovalPending condition with a digest"
    : `no change of resource ${resource} waits for approval; there are ${waiting.join(", ")}`;
}

function fromStatus(composite: JsonObject): readonly Asked[] {
  return items(at(composite, ["status", "parapet", "approvals"])).flatMap((one) => {
    const digest = textAt(one, ["digest"]);
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) return [];
    return [{ resource: textAt(one, ["resource"]), digest, state: textAt(one, ["state"]) }];
  });
}

function fromCondition(composite: JsonObject): readonly Asked[] {
  return messageOf(composite, "ApprovalPending")
    .split("; ")
    .flatMap((text) => {
      const match = sentence.exec(text);
      const [, resource = "", digest = "", words = ""] = match ?? [];
      return match === null ? [] : [{ resource, digest, state: stateOf[words] ?? "" }];
    });
}

function sentencesOf(composite: JsonObject, resource: string): readonly string[] {
  const message = messageOf(composite, "PolicyCompliant").replace(
    /^\d+ resources? held back\. /,
    "",
  );
  const told = message.split("; ").filter((text) => text.startsWith(`${resource}: `));
  if (told.length > 0) return told;
  return items(at(composite, ["status", "parapet", "violations"]))
    .filter((one) => textAt(one, ["resource"]) === resource)
    .map((one) => `${resource}: ${textAt(one, ["message"])} (${textAt(one, ["policy"])})`);
}

function heldPaths(
  composite: JsonObject,
  resource: string,
  sentences: readonly string[],
): readonly string[] {
  const entry = items(at(composite, ["status", "parapet", "held"])).find(
    (one) => textAt(one, ["resource"]) === resource,
  );
  const listed = items(at(entry, ["paths"])).filter((one) => typeof one === "string");
  if (listed.length > 0) return listed;
  const told = sentences.flatMap(
    (text) => / - held back: (.*)$/s.exec(text)?.[1]?.split(", ") ?? [],
  );
  return [...new Set(told)].sort();
}

function messageOf(composite: JsonObject, type: string): string {
  const condition = items(at(composite, ["status", "conditions"])).find(
    (one) => textAt(one, ["type"]) === type,
  );
  return textAt(condition, ["message"]);
}

const items = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
