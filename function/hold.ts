// SPDX-License-Identifier: Apache-2.0
import { textAt, type JsonObject } from "#policy/json";
import { adoptedPaths, changesOf, sameAt, type Change } from "./changes.ts";
import {
  readRecord,
  stateDigest,
  withRecord,
  withState,
  type HeldEntry,
  type HeldRecord,
} from "./held-record.ts";
import { formatPath, sameJson, withPath, type Path } from "./json-edit.ts";
import { ownershipOf, type Ownership } from "./ownership.ts";

/** What is sent for an existing resource whose desired state the policies do not allow. */
export type Held =
  /** Nothing changed but the policies: the desired state goes on, so that drift is still repaired. */
  | { readonly kind: "unchanged"; readonly object: JsonObject }
  /** `object` has the last applied values at the paths that are held. */
  | { readonly kind: "held"; readonly object: JsonObject; readonly paths: readonly string[] }
  | { readonly kind: "impossible"; readonly reason: string };

/** What was applied last, as it is recorded and with the metadata that Crossplane adds. */
export type Applied = { readonly state: JsonObject; readonly object: JsonObject };

export type HoldQuestion = {
  /** The desired state after injection, with the metadata that Crossplane adds. */
  readonly wanted: JsonObject;
  readonly live: JsonObject;
  readonly fieldManager: string;
  /** All that was applied last; undefined where it is not recorded. */
  readonly last: Applied | undefined;
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
  const { live, judge, last } = question;
  if (last !== undefined) return holdTo(last, question.wanted);
  const ownership = ownershipOf(live, question.fieldManager);
  const record = readRecord(live, ownership);
  const plan = planOf(question, ownership, record);
  const sendAll = () => send(question, plan, []);
  const sendWithout = (left: readonly Change[]) => send(question, plan, left);
  // The very state that was sent before is no change, whatever somebody else made of the live object since.
  if (record.applied !== "") {
    if (record.applied === stateDigest(plan.all)) return sendAll();
    if (record.applied === stateDigest(plan.withoutNew)) {
      const added = question.unjudged ? plan.added : offending(plan, judge, judge(plan.withoutNew));
      return sendWithout(added);
    }
  }
  if (question.unjudged) return sendWithout(plan.added);
  const violations = judge(plan.all);
  if (violations.size === 0) return sendAll();
  const violationsWithoutNew = judge(plan.withoutNew);
  const none: ReadonlySet<string> = new Set();
  if (violationsWithoutNew.size === 0) return sendWithout(offending(plan, judge, none));
  // Left are violations that do not come from the change. Those that the last applied state has too may stay.
  const known = judge(plan.base);
  if (isSubset(violations, known)) return sendWithout(plan.adopted);
  if (isSubset(violationsWithoutNew, known)) return sendWithout(offending(plan, judge, known));
  return { kind: "impossible", reason: whyImpossible(plan, live) };
}

/** With all that was applied last at hand, all of it is sent again: nothing of the change, and everything repaired. */
function holdTo({ state, object: last }: Applied, wanted: JsonObject): Held {
  const changed = changesOf(wanted, last, nobody).map(({ path, live: value }) => ({ path, value }));
  const dropped = changesOf(last, wanted, nobody)
    .filter(({ kind }) => kind === "absent")
    .map(({ path, wanted: value }) => ({ path, value }));
  const entries = [...changed, ...dropped];
  if (entries.length === 0) return { kind: "unchanged", object: wanted };
  const object = withState(last, state, entries);
  return { kind: "held", object, paths: entries.map(({ path }) => formatPath(path)).sort() };
}

const nobody: Ownership = { ours: undefined, others: [], recorded: false };

/** Most new fields that are tried one by one; above it all of them wait together. */
const triesMax = 32;

/** The fields that are not live and bring a violation of their own; the others may be sent, as they repair drift. */
function offending(
  plan: Plan,
  judge: HoldQuestion["judge"],
  allowed: ReadonlySet<string>,
): readonly Change[] {
  if (plan.added.length > triesMax) return plan.added;
  let kept = plan.withoutNew;
  return plan.added.filter(({ path, wanted }) => {
    const candidate = withPath(kept, path, wanted);
    const isFine = isSubset(judge(candidate), allowed);
    if (isFine) kept = candidate;
    return !isFine;
  });
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
  /** Fields with the value that somebody else wrote already: to state them would make a forbidden value Crossplane's own. */
  readonly adopted: readonly Change[];
  readonly repairs: readonly Change[];
};

function planOf(
  { wanted, live }: HoldQuestion,
  ownership: Ownership,
  { entries: known }: HeldRecord,
): Plan {
  const recorded = known.filter((entry) => !sameAt(wanted, entry.path, entry.value));
  const isRecorded = (change: Change) => recorded.some(({ path }) => overlaps(path, change.path));
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
  const adopted = adoptedPaths(wanted, live, ownership)
    .map((path): Change => ({ kind: "repair", path, wanted: undefined, live: undefined }))
    .filter((change) => !isRecorded(change));
  return { all, withoutNew, base, entries, added, adopted, repairs };
}

/** Whether one path leads to the other or through it. */
const overlaps = (a: Path, b: Path): boolean =>
  a.slice(0, b.length).every((step, index) => sameJson(step, b[index]));

function send(question: HoldQuestion, plan: Plan, left: readonly Change[]): Held {
  const object = left.reduce((kept, { path }) => withPath(kept, path, undefined), plan.all);
  const entries = [...plan.entries, ...left.map(({ path }) => ({ path, value: undefined }))];
  // What a Secret held would stand in clear text in its annotation, so it is not recorded.
  const isSecret = textAt(question.live, ["kind"]) === "Secret";
  const sent = isSecret ? object : withRecord(object, entries);
  if (entries.length === 0) return { kind: "unchanged", object: sent };
  return { kind: "held", object: sent, paths: entries.map(({ path }) => formatPath(path)).sort() };
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
