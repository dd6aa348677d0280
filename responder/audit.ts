// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { isObject, textAt } from "#policy/json";
import { canonical } from "#responder/exact-json";
import { sha256 } from "#responder/finding";

/** Who did what to what, why, and what came of it. Nothing secret: alert texts are masked before. */
export type AuditEntry = {
  readonly what: string;
  readonly who: string;
  readonly remediation: string;
  readonly detail: JsonObject;
};

/** Hash that the first line continues from. */
export const genesis = "0".repeat(64);

/** One line of the audit log: the entry, its time and number, and a hash over it all and the line before. */
export function auditLine(
  previous: { readonly hash: string; readonly number: number },
  entry: AuditEntry,
  nowMs: number,
): { readonly text: string; readonly hash: string; readonly number: number } {
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

/** Checks a whole log: nothing changed, left out or put in between. A cut-off end shows only by `last`. */
export function verifyAudit(text: string): Verified {
  let previous = genesis;
  const lines = text.split("\n").filter((line) => line !== "");
  for (const [index, line] of lines.entries()) {
    const read = readLine(line);
    if (read === undefined) return { ok: false, line: index + 1, reason: "is no JSON object" };
    const { hash, ...content } = read;
    if (textAt(content, ["previous"]) !== previous) {
      return { ok: false, line: index + 1, reason: "does not continue the line before" };
    }
    if (content["number"] !== index + 1) {
      return { ok: false, line: index + 1, reason: "has another number" };
    }
    if (hash !== sha256(canonical(content))) {
      return { ok: false, line: index + 1, reason: "was changed" };
    }
    previous = hash;
  }
  return { ok: true, lines: lines.length, last: previous };
}

function readLine(line: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
