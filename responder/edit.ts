// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { field, isArray } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import type { PatchStep } from "#responder/cluster";

/** A step of a path into an object: a member, or the item of a list that has these key fields (as fieldsV1's `k:`). */
export type PathStep = string | JsonObject;
export type Path = readonly PathStep[];

/**
 * One difference at one path, told by both values so that it can be checked before, read back after and turned round.
 * An absent value is an absent property here.
 */
export type Edit = { readonly path: Path; readonly from?: Json; readonly to?: Json };

/** The same edit backwards. */
export function inverse(edit: Edit): Edit {
  return {
    path: edit.path,
    ...(edit.to === undefined ? {} : { from: edit.to }),
    ...(edit.from === undefined ? {} : { to: edit.from }),
  };
}

/** What stands between a live object and an edit: nothing to do, these patch steps, or somebody's other value. */
export type EditState =
  | { readonly kind: "done" }
  | { readonly kind: "pending"; readonly steps: readonly PatchStep[] }
  | { readonly kind: "changed"; readonly reason: string };

/** Works out one edit against the live object. The steps carry a `test` of every value they replace or remove. */
export function editState(object: JsonObject, edit: Edit): EditState {
  const found = resolve(object, edit.path);
  if (sameJson(found.value, edit.to)) return { kind: "done" };
  if (!sameJson(found.value, edit.from)) {
    return {
      kind: "changed",
      reason: `${pathText(edit.path)} is neither the old nor the new value`,
    };
  }
  if (edit.to === undefined) {
    return { kind: "pending", steps: removal(found) };
  }
  if (found.value !== undefined) {
    return {
      kind: "pending",
      steps: [
        { op: "test", path: found.pointer, value: found.value },
        { op: "replace", path: found.pointer, value: edit.to },
      ],
    };
  }
  return { kind: "pending", steps: addition(object, edit.path, edit.to) };
}

/** The value at a path, undefined when any step is missing. */
export const valueAt = (object: JsonObject, path: Path): Json | undefined =>
  resolve(object, path).value;

type Resolved = { readonly pointer: string; readonly value: Json | undefined };

function resolve(object: JsonObject, path: Path): Resolved {
  let value: Json | undefined = object;
  let pointer = "";
  for (const step of path) {
    if (typeof step === "string") {
      pointer += `/${escapePointer(step)}`;
      value = field(value, step);
      continue;
    }
    const index: number = isArray(value) ? value.findIndex((item) => hasKeys(item, step)) : -1;
    pointer += index < 0 ? "/-" : `/${index}`;
    value = isArray(value) && index >= 0 ? value[index] : undefined;
  }
  return { pointer, value };
}

const hasKeys = (item: Json, keys: JsonObject): boolean =>
  Object.entries(keys).every(([key, wanted]) => sameJson(field(item, key), wanted));

function removal(found: Resolved): readonly PatchStep[] {
  if (found.value === undefined) return [];
  return [
    { op: "test", path: found.pointer, value: found.value },
    { op: "remove", path: found.pointer },
  ];
}

/** Adds the value, and the containers above it that are missing, as one step. */
function addition(object: JsonObject, path: Path, value: Json): readonly PatchStep[] {
  let depth = path.length;
  let adding = value;
  while (depth > 1 && resolve(object, path.slice(0, depth - 1)).value === undefined) {
    const step = path[depth - 1];
    adding = typeof step === "string" ? { [step]: adding } : [adding];
    depth -= 1;
  }
  return [{ op: "add", path: resolve(object, path.slice(0, depth)).pointer, value: adding }];
}

const escapePointer = (step: string): string => step.replaceAll("~", "~0").replaceAll("/", "~1");

/** A path for people: `spec.containers[name=web].env[name=X]`. */
export function pathText(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "string") {
      text += /^[\w-]+$/.test(step)
        ? `${text === "" ? "" : "."}${step}`
        : `[${JSON.stringify(step)}]`;
      continue;
    }
    const keys = Object.entries(step).map(([key, value]) => `${key}=${scalarText(value)}`);
    text += `[${keys.join(",")}]`;
  }
  return text;
}

const scalarText = (value: Json): string =>
  typeof value === "string" ? value : JSON.stringify(value);
