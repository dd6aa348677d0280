// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert";
import {
  RunFunctionResponse,
  Severity,
  type ResourceSelector,
} from "@crossplane-org/function-sdk-typescript";
import { expect, test } from "vitest";
import { makeHandler, type Evaluate } from "#function/handler";
import { withPath } from "#function/json-edit";
import { at, isObject, textAt, type JsonObject } from "#policy/json";
import { makeRandom, type Random } from "#test/conformance/cel-spec-generate";
import { encodeRequest, type TestRequest } from "#test/support/run-function";
import { readScene, resourceName, sceneNames, type Scene } from "#test/support/scenes";

// Two replicas with different pasts, and one that has just started, are asked the same at any point of a composite's life:
// the composition changes, writes get lost, time goes by, and everything comes in another order each time. A replica that
// answered otherwise would make Crossplane write what another takes back. And what has settled stays as it is.

const rounds = 100;

/** What the cluster knows of a scene between two calls. */
type Life = {
  readonly observed: Readonly<Record<string, JsonObject>>;
  readonly status: JsonObject;
};

const startOf = ({ observed, composite }: Scene): Life => ({
  observed: Object.fromEntries(observed.map((object) => [resourceName(object), object])),
  status: isObject(composite["status"]) ? composite["status"] : {},
});

/** The composition of the moment: now and then a resource is gone, or has another value somewhere. */
function composedNow({ composed }: Scene, random: Random): Readonly<Record<string, JsonObject>> {
  const value = () => `n${Math.floor(random() * 3)}`;
  return Object.fromEntries(
    Object.entries(composed).flatMap(([name, object]): readonly [string, JsonObject][] => {
      const chance = random();
      if (chance < 0.05) return [];
      if (chance < 0.15)
        return [[name, withPath(object, ["spec", "forProvider", "note"], value())]];
      if (chance < 0.2) return [[name, withPath(object, ["metadata", "labels", "x"], value())]];
      return [[name, object]];
    }),
  );
}

/** Calls until nothing more is asked for, as Crossplane does. */
function settle(evaluate: Evaluate, request: TestRequest, scene: Scene, random: Random) {
  let required: TestRequest["required"] = {};
  for (let calls = 0; ; calls++) {
    const bytes = evaluate(encodeRequest({ ...request, required }, random));
    const response = RunFunctionResponse.decode(bytes);
    const asked = Object.entries(response.requirements?.resources ?? {});
    if (asked.every(([name]) => Object.hasOwn(required ?? {}, name))) return response;
    assert(calls < 6, "Crossplane would give up");
    required = Object.fromEntries(
      asked.map(([name, selector]) => [name, scene.required.filter(isSelected(selector))]),
    );
  }
}

const isSelected =
  ({ apiVersion, kind, namespace, matchName, matchLabels }: ResourceSelector) =>
  (object: JsonObject): boolean =>
    textAt(object, ["apiVersion"]) === apiVersion &&
    textAt(object, ["kind"]) === kind &&
    (matchName === undefined || textAt(object, ["metadata", "name"]) === matchName) &&
    (namespace === undefined || textAt(object, ["metadata", "namespace"]) === namespace) &&
    Object.entries(matchLabels?.labels ?? {}).every(
      ([key, value]) => textAt(object, ["metadata", "labels", key]) === value,
    );

const statuses = ["", "Unknown", "True", "False"];

/** What the cluster knows once Crossplane has written an answer. */
function writtenBy(response: RunFunctionResponse, life: Life): Life {
  const isFatal = response.results.some(({ severity }) => severity === Severity.SEVERITY_FATAL);
  const conditions = response.conditions.map(({ type, status, reason, message = "" }) => ({
    type,
    status: statuses[status] ?? "",
    reason,
    message,
  }));
  const told = at(response.desired?.composite?.resource ?? {}, ["status"]);
  const resources = Object.entries(response.desired?.resources ?? {});
  return {
    status: { ...life.status, ...(isObject(told) ? told : {}), conditions },
    observed: isFatal
      ? life.observed
      : Object.fromEntries(
          resources.map(([name, { resource }]) => [name, created(name, resource ?? {})]),
        ),
  };
}

function created(name: string, object: JsonObject): JsonObject {
  const known = textAt(object, ["metadata", "name"]);
  const facts = [
    [["metadata", "name"], known === "" ? `x-${name.length}` : known],
    [["metadata", "uid"], `u-${name}`],
    [["metadata", "creationTimestamp"], "2026-05-05T00:00:00Z"],
    [["metadata", "annotations", "crossplane.io/composition-resource-name"], name],
  ] as const;
  return facts.reduce((made, [path, value]) => withPath(made, path, value), object);
}

test.each([1, 2])("replicas agree, whatever they lived through (seed %i)", (seed) => {
  const random = makeRandom(seed);
  const scenes = sceneNames.map(readScene);
  const lives = new Map<string, Life>();
  let nowMs = Date.parse("2026-06-01T00:00:00Z");
  const start = () =>
    makeHandler({
      now: () => nowMs,
      log: (_level, message) => assert.fail(message),
      approvalNamespace: "apps",
    });
  const [one, other] = [start(), start()];
  for (let round = 0; round < rounds; round++) {
    const scene = scenes[round % scenes.length];
    if (scene === undefined) continue;
    const known = lives.get(scene.name);
    const life = known === undefined || random() < 0.3 ? startOf(scene) : known;
    const input = {
      apiVersion: "parapet.fn.crossplane.io/v1beta1",
      kind: "Guardrails",
      policies: { inline: scene.policies },
      writeStatus: true,
      recordApplied: random() < 0.3,
    };
    const request = (now: Life): TestRequest => ({
      input,
      desired,
      observed: now.observed,
      composite: { ...scene.composite, status: now.status },
    });
    const desired = composedNow(scene, random);
    nowMs += Math.floor(random() * 3_000);
    const answer = settle(one, request(life), scene, random);
    // The other replica hears of every second moment only.
    if (random() < 0.5) {
      for (const replica of [other, other, start()]) {
        assert.deepStrictEqual(settle(replica, request(life), scene, random), answer);
      }
    }
    if (random() < 0.2) continue;
    const written = writtenBy(answer, life);
    lives.set(scene.name, written);
    const second = settle(one, request(written), scene, random);
    nowMs += 61_000;
    const third = settle(other, request(writtenBy(second, written)), scene, random);
    // A Fatal answer says so each time, for that is how the pipeline ends.
    expect(third.results.filter(({ severity }) => severity !== Severity.SEVERITY_FATAL)).toEqual(
      [],
    );
    const kept = (each: RunFunctionResponse) => [each.desired, each.conditions];
    assert.deepStrictEqual(kept(third), kept(second), `${scene.name} does not settle`);
  }
});
