// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { compile } from "#policy/compile";
import { generate, mutate, validate } from "#policy/evaluate";
import { isObject, textAt } from "#policy/json";
import type { Json } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { onePolicyOfEachKind as all, pod } from "#policy/testing";
import { emptyWorld } from "#policy/world";

describe("hostile documents give problems, never an exception", () => {
  const junk: readonly Json[] = [null, 7, "text", [], {}, [null], { a: { b: [1] } }, [[]], true];

  /** Every path of a document, deepest last. */
  function paths(
    value: Json,
    path: readonly (string | number)[] = [],
  ): readonly (readonly (string | number)[])[] {
    if (typeof value !== "object" || value === null) return [path];
    const below = Object.entries(value).flatMap(([key, item]) =>
      paths(item, [...path, Array.isArray(value) ? Number(key) : key]),
    );
    return [path, ...below];
  }
  function replaced(value: Json, path: readonly (string | number)[], by: Json): Json {
    const [step, ...rest] = path;
    if (step === undefined) return by;
    if (Array.isArray(value)) {
      return value.map((item: Json, index) => (index === step ? replaced(item, rest, by) : item));
    }
    if (!isObject(value)) return value;
    return { ...value, [step]: replaced(value[step] ?? null, rest, by) };
  }

  for (const document of all) {
    test(`${textAt(document, ["kind"])} with junk at every path compiles or is refused, and evaluates without a throw`, () => {
      const world = emptyWorld(0);
      let compiled = 0;
      for (const path of paths(document)) {
        for (const by of junk) {
          const others = all.filter((other) => other !== document);
          const { set } = compile([replaced(document, path, by), ...others]);
          compiled += set.policies.length;
          const review = reviewOf(pod);
          validate(set, review, world);
          mutate(set, review, world);
          generate(set, review, world);
          for (const policy of set.policies) policy.deletion?.(review, world);
        }
      }
      expect(compiled).toBeGreaterThan(0);
    });
  }
});
