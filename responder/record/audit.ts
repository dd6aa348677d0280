// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";
import { maskJson } from "#responder/mask";
import { type Change, changeJson } from "#responder/plan";
import type { Remediation } from "#responder/remediation";

/** Who did what to what, why, and what came of it. Nothing secret: alert texts are masked before. */
export type AuditEntry = {
  readonly what: string;
  readonly who: string;
  readonly remediation: string;
  readonly detail: JsonObject;
};

/** Where a chain stands: the hash of its last line and that line's number. */
export type ChainEnd = { readonly hash: string; readonly number: number };

/** Hash that the first line continues from. */
export const genesis = "0".repeat(64);
export const chainStart: ChainEnd = { hash: genesis, number: 0 };

/** Why something is done, for every line about a remediation: its policy, the alert behind it, the plan and the approvals. */
export const reasonsOf = ({ policy, cause, plan, status }: Remediation): JsonObject => ({
  policy,
  alert: cause.fingerprint,
  digest: plan?.digest ?? "",
  ...(status.approval === undefined ? {} : { approvedBy: status.approval.by }),
});

/** Characters of an exact change in one line; a longer one is named by its hash, and stands in the Remediation. */
const changeCharsMax = 16_384;

/** The exact change as it is written, secrets masked. */
export function exactChange(change: Change): Json {
  const json = maskChange(change);
  const text = JSON.stringify(json);
  return text.length <= changeCharsMax ? json : { tooLong: `sha256:${sha256(text)}` };
}

/** Of a Secret not even the values' own text is kept, whatever they look like. */
function maskChange(change: Change): Json {
  const isSecret =
    (change.kind === "apply" || change.kind === "edit") &&
    change.type.apiVersion === "v1" &&
    change.type.kind === "Secret";
  if (!isSecret) return maskJson(changeJson(change));
  if (change.kind === "apply") return { apply: "[masked Secret]" };
  const edits = change.edits.map((edit) => ({ path: edit.path, value: "[masked]" }));
  return { edit: { namespace: change.namespace, name: change.name, uid: change.uid, edits } };
}

/** Who wrote an object last as far as the object tells: the program that it was written with, a hint. '' when it tells nothing. */
export function lastWriter(object: JsonObject | undefined): string {
  const fields = at(object, ["metadata", "managedFields"]);
  const entries = (isArray(fields) ? fields : []).filter(
    (one) => textAt(one, ["subresource"]) === "",
  );
  const newest = entries.toSorted((a, b) => (textAt(a, ["time"]) < textAt(b, ["time"]) ? -1 : 1));
  const manager = textAt(newest.at(-1), ["manager"]);
  return manager === "" ? "" : `field manager ${manager.slice(0, 128)}`;
}

/** One line of the audit log: the entry, its time and number, and a hash over it all and the line before. */
export function auditLine(
  previous: ChainEnd,
  entry: AuditEntry,
  nowMs: number,
): ChainEnd & { readonly text: string } {
  const number = previous.number + 1;
  const content: Record<string, Json> = {
    number,
    at: new Date(nowMs).toISOString(),
    ...entry,
    previous: previous.hash,
  };
  const hash = sha256(canonical(content));
  return { text: JSON.stringify({ ...content, hash }), hash, number };
}

export type Verified =
  | { readonly ok: true; readonly lines: number; readonly last: string }
  | { readonly ok: false; readonly line: number; readonly reason: string };

/**
 * Checks a whole log, or what follows `from`: nothing changed, left out or put in between, not even a space or a member that is there
 * twice. A cut-off end, and a log that somebody wrote anew from some line to its end, show only by a hash that was kept elsewhere.
 */
export function verifyAudit(text: string, from: ChainEnd = chainStart): Verified {
  let previous = from;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const [index, line] of lines.entries()) {
    const wrong = (reason: string): Verified => ({ ok: false, line: index + 1, reason });
    const read = readLine(line);
    if (read === undefined) return wrong("is no JSON object");
    const { hash, ...content } = read;
    if (textAt(content, ["previous"]) !== previous.hash) {
      return wrong("does not continue the line before");
    }
    const number = previous.number + 1;
    if (content["number"] !== number) return wrong("has another number");
    if (typeof hash !== "string" || hash !== sha256(canonical(content))) {
      return wrong("was changed");
    }
    if (JSON.stringify({ ...content, hash }) !== line) return wrong("was written in another way");
    previous = { hash, number };
  }
  return { ok: true, lines: lines.length, last: previous.hash };
}

function readLine(line: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Where the chain stands after a line that was verified; undefined for anything else. */
export function endOfLine(line: string): ChainEnd | undefined {
  const read = readLine(line);
  const number = read?.["number"];
  const hash = read?.["hash"];
  return typeof number === "number" && typeof hash === "string" ? { hash, number } : undefined;
}
