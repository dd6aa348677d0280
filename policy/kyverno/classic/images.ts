// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";

/** `imageExtractors` of a rule: kind to where its images are. */
export type ImageExtractors = Readonly<
  Record<
    string,
    readonly {
      readonly path: string;
      readonly name: string;
      readonly key: string;
      readonly value: string;
      readonly jmesPath: string;
    }[]
  >
>;

/** One image of a resource, as `images.containers.NAME` shows it. */
export type ImageInfo = {
  readonly registry: string;
  readonly name: string;
  readonly path: string;
  readonly tag: string;
  readonly digest: string;
  readonly reference: string;
  readonly referenceWithTag: string;
  readonly registryURL: string;
  /** Where the image stands in the resource, as a JSON pointer. */
  readonly pointer: string;
};

export type Images = Readonly<Record<string, Readonly<Record<string, ImageInfo>>>>;

/** The images of a resource by extractor name (`containers`, `initContainers`, ...) and container name; a text says why not. */
export declare function extractImages(
  resource: JsonObject,
  extractors: ImageExtractors | undefined,
): Images | string;

/** Reads `imageExtractors` of a rule; entries that are no objects are left out. */
export declare function readImageExtractors(
  document: Json | undefined,
): ImageExtractors | undefined;

/** One image reference in its parts, with `docker.io` and `latest` filled in; a text says what is wrong. */
export declare function parseImage(image: string): ImageInfo | string;
