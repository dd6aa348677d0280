// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { isArray, isObject } from "#policy/json";
import { sameJson } from "#policy/kubernetes/json-patch";
import { formatYaml } from "#policy/yaml";
import type { Reply } from "#responder/cluster";
import { diffLines, type Hunk, hunksOf } from "#responder/console/line-diff";
import { type Edit, type Path, valueAt } from "#responder/edit";
import { maskJson } from "#responder/mask";
import { cut } from "#responder/record/remediation-record";
import type { WriteChange } from "#responder/plan";

/** Where a change stands in the cluster now. `Unknown`: it could not be read. */
export type ChangeState = "NotThere" | "AsPlanned" | "ChangedSince" | "Unknown";

export type ChangeView = {
  readonly state: ChangeState;
  /** What is there and what would be, or was and is, as YAML. */
  readonly hunks: readonly Hunk[];
  /** True when what changes is a secret value, which the difference does not show. */
  readonly isMasked: boolean;
};

/** Lines around a change in somebody else's object; an object of ours is shown whole. */
const context = 3;
/** Longest YAML that is compared, in lines. */
const linesMax = 2_000;

/** A change as a difference between what stands without it and with it, in the words of `kubectl get -o yaml`. */
export function viewChange(change: WriteChange, live: Reply<JsonObject>): ChangeView {
  return change.kind === "apply" ? viewApply(change.manifest, live) : viewEdits(change.edits, live);
}

function viewApply(manifest: JsonObject, live: Reply<JsonObject>): ChangeView {
  const planned = linesOf(manifest);
  if (!live.ok) {
    const state = live.code === "NotFound" ? "NotThere" : "Unknown";
    return { state, hunks: hunksOf(diffLines([], planned), context), isMasked: false };
  }
  const shown = sharedPart(live.value, manifest);
  const state = sameJson(shown, manifest) ? "AsPlanned" : "ChangedSince";
  const lines = diffLines(state === "AsPlanned" ? [] : linesOf(shown), planned);
  return { state, hunks: hunksOf(lines, context), isMasked: false };
}

/** Of the live object only what the manifest speaks of: defaults and bookkeeping of the server are no difference. */
function sharedPart(live: Json, wanted: Json): Json {
  if (isObject(live) && isObject(wanted)) {
    const kept = Object.entries(wanted).flatMap(([key, value]) => {
      const there = live[key];
      return there === undefined ? [] : [[key, sharedPart(there, value)] as const];
    });
    return Object.fromEntries(kept);
  }
  if (isArray(live) && isArray(wanted)) {
    return live.map((item, i) => {
      const other = wanted[i];
      return other === undefined ? item : sharedPart(item, other);
    });
  }
  return live;
}

function viewEdits(edits: readonly Edit[], live: Reply<JsonObject>): ChangeView {
  const base = live.ok ? live.value : {};
  const values = edits.map((edit) => valueAt(base, edit.path));
  const isDone = edits.every((edit, i) => sameJson(values[i], edit.to));
  const isPending = edits.every((edit, i) => sameJson(values[i], edit.from));
  const known = isDone ? "AsPlanned" : isPending ? "NotThere" : "ChangedSince";
  const state = live.ok ? known : live.code === "NotFound" ? "NotThere" : "Unknown";
  const before = edits.reduce((object, edit) => withValue(object, edit.path, edit.from), base);
  const after = edits.reduce((object, edit) => withValue(object, edit.path, edit.to), base);
  const hunks = hunksOf(diffLines(linesOf(before), linesOf(after)), context);
  return { state, hunks, isMasked: hunks.length === 0 };
}

/** The object with another value at a path; undefined takes it away. Nothing else changes. */
export function withValue(object: Json, path: Path, value: Json | undefined): JsonObject {
  const changed = set(object, path, value);
  return isObject(changed) ? changed : {};
}

function set(current: Json | undefined, path: Path, value: Json | undefined): Json | undefined {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (typeof step === "string") {
    const object = isObject(current) ? current : {};
    const below = set(object[step], rest, value);
    const { [step]: _, ...others } = object;
    return below === undefined ? others : { ...object, [step]: below };
  }
  const list = isArray(current) ? current : [];
  const index = list.findIndex((item) =>
    Object.entries(step).every(([key, wanted]) => isObject(item) && sameJson(item[key], wanted)),
  );
  const below = set(index < 0 ? step : list[index], rest, value);
  if (index < 0) return below === undefined ? list : [...list, below];
  return list.flatMap((item, i) => (i !== index ? [item] : below === undefined ? [] : [below]));
}

const bookkeeping = new Set([
  "creationTimestamp",
  "managedFields",
  "resourceVersion",
  "generation",
  "selfLink",
]);
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

function linesOf(object: Json): readonly string[] {
  const shown = isObject(object) ? withoutBookkeeping(object) : object;
  return formatYaml(sorted(shown))
    .trimEnd()
    .split("\n")
    .slice(0, linesMax)
    .map((line) => cut(line, 500));
}

/** Without what the server keeps for itself, without status, and without secrets. */
function withoutBookkeeping(object: JsonObject): Json {
  const { status: _, ...rest } = object;
  const metadata = isObject(rest["metadata"]) ? rest["metadata"] : undefined;
  const shown = isSecret(rest) ? withoutValues(rest) : maskJson(rest);
  if (metadata === undefined || !isObject(shown) || !isObject(shown["metadata"])) return shown;
  const annotations = shown["metadata"]["annotations"];
  const kept = Object.entries(shown["metadata"])
    .filter(([key]) => !bookkeeping.has(key))
    .map(([key, value]): [string, Json] => [
      key,
      key === "annotations" && isObject(annotations) ? without(annotations, lastApplied) : value,
    ]);
  return { ...shown, metadata: Object.fromEntries(kept) };
}

const without = (object: JsonObject, name: string): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key !== name));

const isSecret = (object: JsonObject): boolean =>
  object["kind"] === "Secret" && object["apiVersion"] === "v1";

function withoutValues(secret: JsonObject): JsonObject {
  const masked = (value: Json | undefined): Json =>
    isObject(value)
      ? Object.fromEntries(Object.keys(value).map((key) => [key, "[masked]"]))
      : "[masked]";
  return Object.fromEntries(
    Object.entries(secret).map(([key, value]) => [
      key,
      key === "data" || key === "stringData" ? masked(value) : value,
    ]),
  );
}

/** As people write it: what it is and what it is called first, then the rest by name. */
const first = ["apiVersion", "kind", "metadata", "name", "namespace", "spec"];

function sorted(value: Json): Json {
  if (isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const rank = (key: string): number =>
    first.indexOf(key) < 0 ? first.length : first.indexOf(key);
  const entries = Object.entries(value).sort(
    ([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0),
  );
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}
