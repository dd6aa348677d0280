// SPDX-License-Identifier: Apache-2.0
import { textAt, type JsonObject } from "#policy/json";
import { changesOf, sameAt, type Change } from "./changes.ts";
import { readRecord, withRecord, type HeldEntry } from "./held-record.ts";
import { formatPath, sameJson, withPath } from "./json-edit.ts";
import { ownershipOf, type Ownership } from "./ownership.ts";

/** What is sent for an existing resource whose desired state the policies do not allow. */
export type Held =
  /** Nothing changed but the policies: the desired state goes on, so that drift is still repaired. */
  | { readonly kind: "unchanged" }
  /** `object` has the last applied values at the paths that are held. */
  | { readonly kind: "held"; readonly object: JsonObject; readonly paths: readonly string[] }
  | { readonly kind: "impossible"; readonly reason: string };

export type HoldQuestion = {
  /** The desired state after injection, with the metadata that Crossplane adds. */
  readonly wanted: JsonObject;
  readonly live: JsonObject;
  readonly fieldManager: string;
  /** Some policy cannot be asked at all: then nothing new may pass, whatever the others say. */
  readonly unjudged: boolean;
  /** What stands against sending this object, one key per violation; empty when the policies allow it. */
  readonly judge: (candidate: JsonObject) => ReadonlySet<string>;
};

/**
 * Holds back the pending change of an existing resource path by path while everything else of it is still applied and
 * repaired. Each path of the desired state that differs from the live object is a pending change when Crossplane owns
 * the live value (keep what was applied last), and a repair when somebody else wrote it (send the desired value). The
 * mixture must pass the policies itself, or be no worse than what was applied last; else there is nothing safe to send.
 */
export function hold(question: HoldQuestion): Held {
  const { live } = question;
  const ownership = ownershipOf(live, question.fieldManager);
  const plan = planOf(question, ownership);
  const candidates = question.unjudged ? [plan.withoutNew] : [plan.all, plan.withoutNew];
  for (const candidate of candidates) {
    const violations = question.judge(candidate);
    if (violations.size === 0) return send(question, plan, candidate);
  }
  // Left are violations that do not come from the change. Those that the last applied state has too may stay.
  const known = question.judge(plan.base);
  for (const candidate of candidates) {
    if (!isSubset(question.judge(candidate), known)) continue;
    const isWhole = candidate === plan.all || plan.added.length === 0;
    if (plan.entries.length === 0 && isWhole) return { kind: "unchanged" };
    return send(question, plan, candidate);
  }
  return { kind: "impossible", reason: whyImpossible(plan, live) };
}

type Plan = {
  /** The desired state with the last applied value at every pending path. */
  readonly all: JsonObject;
  /** The same without the fields that are not live. */
  readonly withoutNew: JsonObject;
  /** The same with the live values where somebody wrote over the desired ones: what is known to have been allowed. */
  readonly base: JsonObject;
  readonly entries: readonly HeldEntry[];
  readonly added: readonly Change[];
  readonly repairs: readonly Change[];
};

function planOf({ wanted, live }: HoldQuestion, ownership: Ownership): Plan {
  const recorded = readRecord(live, ownership).filter(
    (entry) => !sameAt(wanted, entry.path, entry.value),
  );
  const isRecorded = (change: Change) =>
    recorded.some((entry) => sameJson([...entry.path], [...change.path]));
  const changes = changesOf(wanted, live, ownership).filter((change) => !isRecorded(change));
  const pending = changes.filter(({ kind }) => kind === "pending" || kind === "removal");
  const added = changes.filter(({ kind }) => kind === "absent");
  const repairs = changes.filter(({ kind }) => kind === "repair");
  const entries = [...recorded, ...pending.map(({ path, live: value }) => ({ path, value }))];
  const all = entries.reduce((object, { path, value }) => withPath(object, path, value), wanted);
  const withoutNew = added.reduce((object, { path }) => withPath(object, path, undefined), all);
  const base = repairs.reduce(
    (object, { path, live: value }) => withPath(object, path, value),
    withoutNew,
  );
  return { all, withoutNew, base, entries, added, repairs };
}

function send(question: HoldQuestion, plan: Plan, candidate: JsonObject): Held {
  const heldBack =
    candidate === plan.withoutNew
      ? [...plan.entries, ...plan.added.map(({ path }) => ({ path, value: undefined }))]
      : plan.entries;
  const paths = heldBack.map(({ path }) => formatPath(path)).sort();
  // What a Secret held would stand in clear text in its annotation, so it is not recorded.
  const isSecret = textAt(question.live, ["kind"]) === "Secret";
  const recorded = isSecret ? undefined : withRecord(candidate, heldBack);
  return { kind: "held", object: recorded ?? candidate, paths };
}

const isSubset = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean =>
  [...a].every((each) => b.has(each));

function whyImpossible(plan: Plan, live: JsonObject): string {
  const written = plan.repairs.map(({ path }) => formatPath(path)).sort();
  if (written.length === 0)
    return "no mixture of the desired and the applied state passes the policies";
  const list = written.slice(0, 5).join(", ");
  const hint =
    textAt(live, ["metadata", "uid"]) === ""
      ? ""
      : " Restore it, or undo the change of the composite.";
  return `${list} was written by somebody other than Crossplane, and the value that was applied before is recorded nowhere, so the change cannot be held back.${hint}`;
}
