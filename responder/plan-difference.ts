// SPDX-License-Identifier: Apache-2.0
import { isObject, type Json, type JsonObject } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import { keyOf, nameOf } from "#responder/cluster";
import { type Path, pathText } from "#responder/edit";
import {
  type Change,
  changeJson,
  changesOf,
  changeText,
  type Plan,
  residualText,
} from "#responder/plan";
import { cutResiduals } from "#responder/record/plan-record";

/** Differences that are named one by one. */
const namedMax = 6;
const depthMax = 6;

/**
 * How a plan that was made now differs from one that people saw, by changes and by what stays open; '' where it does not. Names and
 * paths alone: values may be anybody's. Notes are left out, which change nothing.
 */
export function planDifference(seen: Plan, now: Plan): string {
  const found = [...changeDifferences(seen, now), ...residualDifferences(seen, now)];
  if (found.length === 0) return seen.digest === now.digest ? "" : "its actions are others";
  const more = found.length - namedMax;
  return [...found.slice(0, namedMax), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}

function changeDifferences(seen: Plan, now: Plan): readonly string[] {
  const before = new Map(changesOf(seen).map((change) => [subjectOf(change), change]));
  const after = new Map(changesOf(now).map((change) => [subjectOf(change), change]));
  const found: string[] = [];
  for (const [subject, change] of before) {
    const other = after.get(subject);
    if (other === undefined) found.push(`not any more: ${changeText(change)}`);
    else if (!sameJson(changeJson(change), changeJson(other))) {
      found.push(`otherwise: ${changeText(other)}${whereText(change, other)}`);
    }
  }
  for (const [subject, change] of after) {
    if (!before.has(subject)) found.push(`as well: ${changeText(change)}`);
  }
  return found;
}

/** What a change is about, by which it is found in another plan. */
function subjectOf(change: Change): string {
  if (change.kind === "apply") return `apply ${change.type.kind} ${keyOf(nameOf(change.manifest))}`;
  if (change.kind === "edit") return `edit ${change.type.kind} ${keyOf(change)} ${change.uid}`;
  return change.kind === "notify" ? `notify ${change.to}` : `${change.kind} ${change.uid}`;
}

function whereText(seen: Change, now: Change): string {
  const paths =
    seen.kind === "edit" && now.kind === "edit"
      ? editPaths(seen, now)
      : differentPaths(changeJson(seen), changeJson(now), []);
  const texts = paths.map((path) => pathText(path[0] === "apply" ? path.slice(1) : path));
  return texts.length === 0 ? "" : ` (${[...new Set(texts)].slice(0, namedMax).join(", ")})`;
}

type EditChange = Extract<Change, { kind: "edit" }>;

function editPaths(seen: EditChange, now: EditChange): readonly Path[] {
  const only = (one: EditChange, other: EditChange): readonly Path[] =>
    one.edits
      .filter((edit) => !other.edits.some((same) => sameEdit(edit, same)))
      .map(({ path }) => path);
  return [...only(seen, now), ...only(now, seen)];
}

const sameEdit = (one: EditChange["edits"][number], other: EditChange["edits"][number]): boolean =>
  sameJson(one.path, other.path) && sameJson(one.from, other.from) && sameJson(one.to, other.to);

/** The paths at which two values differ; lists are compared as a whole. */
function differentPaths(
  one: Json | undefined,
  other: Json | undefined,
  path: Path,
): readonly Path[] {
  if (sameJson(one, other)) return [];
  if (!isObject(one) || !isObject(other) || path.length >= depthMax) return [path];
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])].sort();
  return keys.flatMap((key) => differentPaths(one[key], other[key], [...path, key]));
}

function residualDifferences(seen: Plan, now: Plan): readonly string[] {
  const before = cutResiduals(seen.residualAllows);
  const after = cutResiduals(now.residualAllows);
  const only = (all: readonly JsonObject[], others: readonly JsonObject[]) =>
    all.flatMap((one, i) => (others.some((other) => sameJson(one, other)) ? [] : [i]));
  const texts = (plan: Plan, indices: readonly number[]): readonly string[] =>
    indices.flatMap((i) => {
      const allow = plan.residualAllows[i];
      return allow === undefined ? [] : [residualText(allow)];
    });
  return [
    ...texts(now, only(after, before)).map((text) => `stays open now: ${text}`),
    ...texts(seen, only(before, after)).map((text) => `open no more: ${text}`),
  ];
}
