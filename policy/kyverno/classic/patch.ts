// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { applyJsonPatch, classicPatchOptions, sameJson } from "#policy/kubernetes/json-patch";
import type { PatchOperation } from "#policy/kubernetes/json-patch";
import { strategicMerge } from "#policy/kubernetes/strategic-merge";
import { parseYaml } from "#policy/text/go-yaml";
import { preparePatch } from "#policy/kyverno/classic/mutate-conditions";
import { errored, failedQuery } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, Verdict } from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";
import { compileTemplate } from "#policy/kyverno/classic/variables";

/** What a patch did: the same object when it changed nothing, which the reference calls a skip. */
export type Patched =
  | { readonly kind: "patched"; readonly object: JsonObject }
  | { readonly kind: "unchanged" }
  | { readonly kind: "error"; readonly verdict: Verdict };

export type Patcher = (object: JsonObject, scope: Scope) => Patched;

/**
 * Plans patchStrategicMerge, else patchesJson6902, of a mutate block or a foreach entry; undefined when it has neither.
 * `path` and `whole` say where the block is in what the reference substitutes at once.
 */
export function compilePatcher(
  block: JsonObject,
  path: string,
  whole: Json,
  problems: RuleProblem[],
): Patcher | undefined {
  const merge = field(block, "patchStrategicMerge");
  if (merge !== undefined && merge !== null) {
    return makePatcher(merge, `${path}/patchStrategicMerge`, whole, mergePatch);
  }
  const operations = textAt(block, ["patchesJson6902"]);
  if (operations === "") return undefined;
  const problem = findPatchProblem(operations);
  if (problem !== undefined) problems.push({ path: "patchesJson6902", message: problem });
  return makePatcher(operations, `${path}/patchesJson6902`, whole, makeJsonPatch());
}

type Applied =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly message: string };

function makePatcher(
  document: Json,
  path: string,
  whole: Json,
  apply: (patch: Json, object: JsonObject) => Applied,
): Patcher {
  const template = compileTemplate(document, { path, whole });
  return (object, scope) => {
    const substituted = template.substitute(scope);
    if (!substituted.ok) {
      return {
        kind: "error",
        verdict: failedQuery("variable substitution failed", substituted.failure),
      };
    }
    const applied = apply(substituted.value, object);
    if (!applied.ok) {
      return { kind: "error", verdict: errored(`failed to patch resource: ${applied.message}`) };
    }
    if (!isObject(applied.value)) {
      return { kind: "error", verdict: errored("failed to unmarshal patched resource") };
    }
    if (applied.value === object || sameJson(applied.value, object)) return { kind: "unchanged" };
    return { kind: "patched", object: applied.value };
  };
}

function mergePatch(patch: Json, object: JsonObject): Applied {
  const prepared = preparePatch(patch, object);
  switch (prepared.kind) {
    case "invalid":
      return { ok: false, message: prepared.message };
    case "unmet":
      return strategicMerge(object, {});
    case "patch":
      return strategicMerge(object, prepared.patch);
    default:
      return prepared satisfies never;
  }
}

const patchOperations = ["add", "remove", "replace", "move", "copy", "test"];

/** What is wrong with a JSON patch that has no variables; what variables make of one shows when it is applied. */
function findPatchProblem(text: string): string | undefined {
  if (/\{\{|\$\(/.test(text)) return undefined;
  const operations = decodePatch(text);
  if (typeof operations === "string") return operations;
  for (const { op, path } of operations) {
    if (!patchOperations.includes(op)) return `unknown operation "${op}"`;
    if (!path.startsWith("/")) return `path "${path}" must begin with a slash`;
  }
  return undefined;
}

type Decoded = readonly PatchOperation[] | string;

function decodePatch(text: string): Decoded {
  const parsed = parseYaml(text);
  return parsed.ok ? readOperations(parsed.value) : `failed to decode patch: ${parsed.message}`;
}

/** Applies the text of a JSON patch; without variables in it, it is the same for every resource and read once. */
function makeJsonPatch(): (patch: Json, object: JsonObject) => Applied {
  let last: { readonly text: string; readonly decoded: Decoded } | undefined;
  return (patch, object) => {
    const text = typeof patch === "string" ? patch : JSON.stringify(patch);
    if (last?.text !== text) last = { text, decoded: decodePatch(text) };
    const { decoded } = last;
    if (typeof decoded === "string") return { ok: false, message: decoded };
    return applyJsonPatch(object, decoded, classicPatchOptions);
  };
}

function readOperations(value: Json): readonly PatchOperation[] | string {
  if (!isArray(value)) return "failed to decode patch: must be a list of operations";
  const operations: PatchOperation[] = [];
  for (const entry of value) {
    if (!isObject(entry)) return "failed to decode patch: an operation must be an object";
    const from = textAt(entry, ["from"]);
    const stated = field(entry, "value");
    operations.push({
      op: textAt(entry, ["op"]),
      path: textAt(entry, ["path"]),
      ...(from === "" ? {} : { from }),
      ...(stated === undefined ? {} : { value: stated }),
    });
  }
  return operations;
}
