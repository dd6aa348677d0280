// SPDX-License-Identifier: Apache-2.0
import type { Library, Overload } from "#policy/cel/library";
import { dynType, objectOf, stringType, type CelType } from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { quoteText } from "#policy/kubernetes/go-text";
import { alias, declare, memberOverload } from "./declare.ts";
import { answered, Receiver, worldKey, type WorldValue } from "./world.ts";

const contextType = objectOf("globalContext.Context");

const prefix = "failed to get global reference";

function get(world: WorldValue, _receiver: CelValue, name: string, projection = ""): CelResult {
  const missing = (): CelResult =>
    projection === ""
      ? null
      : new CelError(
          `${prefix}: projection ${quoteText(projection)} not found in global context entry ${quoteText(name)}`,
        );
  return answered(world.world.globalContext(name, projection), prefix, missing);
}

const overload = (id: string, types: readonly CelType[]): Overload =>
  memberOverload(`globalcontext_get_${id}`, [contextType, ...types], dynType, get, {
    implicit: worldKey,
    cost: () => 100,
  });

/** Kyverno's globalContext library. An entry that is not there is null, one without the projection an error. */
export const globalContextLibrary: Library = {
  name: "kyverno.globalcontext",
  constants: [{ name: "globalContext", type: contextType, value: new Receiver(contextType) }],
  functions: alias(
    declare(
      "Get",
      overload("string", [stringType]),
      overload("string_string", [stringType, stringType]),
    ),
    "get",
  ),
};
