// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library, Overload } from "#policy/cel/library";
import { boolType, objectOf, stringType, type CelType } from "#policy/cel/types";
import type { CelResult, CelValue } from "#policy/cel/values";
import { imageIdentifier, parseImageName, type ImageName } from "#policy/kubernetes/image-name";
import { declare, globalOverload, memberOverload, Opaque, orError } from "./declare.ts";

const imageType = objectOf("kyverno.Image");

const same = (a: ImageName, b: ImageName): boolean =>
  a.registry === b.registry &&
  a.repository === b.repository &&
  a.tag === b.tag &&
  a.digest === b.digest;

const toImage = (text: string): CelResult =>
  orError(parseImageName(text), (image) => new Opaque(imageType, image, same));

const parse = (id: string): Overload => globalOverload(id, [stringType], imageType, toImage);

const part = (
  name: string,
  type: CelType,
  read: (image: ImageName) => CelValue,
): FunctionDeclaration =>
  declare(
    name,
    memberOverload(
      name === "containsDigest" ? "image_contains_digest" : `image_${name}`,
      [imageType],
      type,
      (image: Opaque<ImageName>) => read(image.held),
    ),
  );

/** Kyverno's image library: names of images and their parts. `image()` is an old name of `parseImageReference()`. */
export const imageLibrary: Library = {
  name: "kyverno.image",
  functions: [
    declare("image", parse("string_to_image_deprecated")),
    declare("parseImageReference", parse("string_to_image")),
    declare(
      "isImage",
      globalOverload(
        "is_image_string",
        [stringType],
        boolType,
        (text: string) => parseImageName(text).ok,
      ),
    ),
    part("containsDigest", boolType, (image) => image.digest !== ""),
    part("registry", stringType, (image) => image.registry),
    part("repository", stringType, (image) => image.repository),
    part("identifier", stringType, imageIdentifier),
    part("tag", stringType, (image) => image.tag),
    part("digest", stringType, (image) => image.digest),
  ],
};
