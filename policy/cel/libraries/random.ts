// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { stringType } from "#policy/cel/types";
import { CelError, type CelResult } from "#policy/cel/values";
import { generateText } from "#policy/text/random-text";
import { alias, declare, globalOverload } from "./declare.ts";
import { worldKey, type WorldValue } from "./world.ts";

/** What `random()` makes without a pattern. */
const defaultPattern = "[0-9a-z]{8}";

function random(world: WorldValue, pattern = defaultPattern): CelResult {
  const text = generateText(pattern, world.world.random);
  return text.ok ? text.value : new CelError(text.message);
}

const options = { implicit: worldKey, cost: () => 100 };

/** Kyverno's random library: a text that a pattern matches, made of the World's random numbers. */
export const randomLibrary: Library = {
  name: "kyverno.random",
  functions: alias(
    declare(
      "random",
      globalOverload("random_string", [stringType], stringType, random, options),
      globalOverload("random_string_default_expr", [], stringType, random, options),
    ),
    "random.random",
  ),
};
