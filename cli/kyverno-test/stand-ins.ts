// SPDX-License-Identifier: Apache-2.0
import { field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { QueryFailure } from "#policy/jmespath/query";
import type { Answer, World } from "#policy/world";
import { noValues } from "../input/values.ts";
import { makeWorld, noParts } from "../input/world.ts";
import type { CallResponse } from "../input/world.ts";

/** An entry of `apiCallResponses`: what a URL answers. */
export function parseCall(entry: Json): CallResponse {
  const status = field(field(entry, "response"), "statusCode");
  return {
    url: (textAt(entry, ["url"]) || textAt(entry, ["urlPath"])).trim(),
    method: textAt(entry, ["method"]).trim().toUpperCase(),
    statusCode: typeof status === "number" && status !== 0 ? status : 200,
    body: field(field(entry, "response"), "body") ?? null,
  };
}

/** Kyverno's tests hand CEL's http functions the canned body with its status; classic rules get the body alone. */
export function withStatus(world: World, calls: readonly CallResponse[]): World {
  if (calls.length === 0) return world;
  const wrapped = calls.map((call): CallResponse => ({
    ...call,
    statusCode: 200,
    body: { body: call.body, statusCode: call.statusCode },
  }));
  const canned = makeWorld({ ...noParts, nowMs: world.nowMs, values: noValues, calls: wrapped });
  return { ...world, call: canned.call };
}

/**
 * An entry of `globalContextEntries`: its data, or the list of its resources, after its fieldPath. With projections the
 * whole entry is an object of them, and each can be asked for by its name (cmd/cli/kubectl-kyverno/store).
 */
export function globalEntry(
  entry: Json,
  resources: readonly JsonObject[],
  nowMs: number,
): ReadonlyMap<string, Answer> {
  const data = field(entry, "data") ?? resources;
  const fieldPath = textAt(entry, ["fieldPath"]);
  const root = fieldPath === "" ? found(data) : search(fieldPath, data, nowMs);
  const projections = field(entry, "projections");
  if (root.kind !== "found" || !isArray(projections) || projections.length === 0) {
    return new Map([["", root]]);
  }
  const answers = projections.map((projection): [string, Answer] => [
    textAt(projection, ["name"]),
    search(textAt(projection, ["path"]), root.value, nowMs),
  ]);
  const failed = answers.find(([, answer]) => answer.kind !== "found");
  const values = answers.flatMap(([name, answer]): [string, Json][] =>
    answer.kind === "found" ? [[name, answer.value]] : [],
  );
  return new Map([...answers, ["", failed?.[1] ?? found(Object.fromEntries(values))]]);
}

const found = (value: Json): Answer => ({ kind: "found", value });

function search(path: string, root: Json, nowMs: number): Answer {
  const value = compileQuery(path).evaluate(root, { nowMs, random: () => 0.5 });
  if (!(value instanceof QueryFailure)) return found(value);
  return { kind: "unavailable", reason: `${path}: ${value.message}` };
}
