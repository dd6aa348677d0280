// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { dynType, objectOf, stringType } from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { alias, declare, memberOverload } from "./declare.ts";
import { answered, Receiver, worldKey, type WorldValue } from "./world.ts";

const contextType = objectOf("imagedata.Context");

const prefix = "failed to get image data";

function getMetadata(world: WorldValue, _receiver: CelValue, image: string): CelResult {
  const missing = (): CelResult =>
    new CelError(`${prefix}: image data for ${image} not found in the context`);
  return answered(world.world.imageData(image), prefix, missing);
}

/** Kyverno's imagedata library: what a registry says of an image, as far as the World knows. */
export const imageDataLibrary: Library = {
  name: "kyverno.imagedata",
  constants: [{ name: "image", type: contextType, value: new Receiver(contextType) }],
  functions: alias(
    declare(
      "GetMetadata",
      memberOverload("imagedata_get_string", [contextType, stringType], dynType, getMetadata, {
        implicit: worldKey,
        cost: () => 100,
      }),
    ),
    "getMetadata",
  ),
};
