// SPDX-License-Identifier: Apache-2.0
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Longest image reference read, in characters: registries allow 255 for the name and 128 for the tag. */
export const imageLengthMax = 1_024;

/** An image reference in its parts, `docker.io` filled in where it names no registry. */
export type ImageReference = {
  readonly registry: string;
  /** Repository with its folders, e.g. `library/busybox`. */
  readonly path: string;
  /** Last part of the path. */
  readonly name: string;
  /** `latest` where neither tag nor digest is given; '' with a digest alone. */
  readonly tag: string;
  readonly digest: string;
  /** With the digest, or else with the tag. */
  readonly full: string;
  /** With the tag even when there is a digest. */
  readonly withTag: string;
};

const defaultRegistry = "docker.io";

// distribution/reference regexp.go. No part can match the same text in two ways, so none of it backtracks far.
const host = String.raw`(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?`;
const component = String.raw`[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*`;
const tagText = String.raw`[\w][\w.-]{0,127}`;
const digestText = String.raw`[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}`;
const pattern = new RegExp(
  `^(${host})/(${component}(?:/${component})*)(?::(${tagText}))?(?:@(${digestText}))?$`,
);

/** Reads an image reference as Kyverno does (pkg/utils/image/infos.go). Never throws. */
export function parseImageReference(image: string): Parsed<ImageReference> {
  const complete = namesRegistry(image) ? image : `${defaultRegistry}/${image}`;
  const parts = image.length > imageLengthMax ? null : pattern.exec(complete);
  if (parts === null) {
    return unparsed(
      `bad image: ${complete.slice(0, imageLengthMax)}, defaultRegistry: ${defaultRegistry}, enableDefaultRegistryMutation: true: invalid reference format`,
    );
  }
  const [, registry = "", path = "", givenTag = "", digest = ""] = parts;
  const tag = givenTag === "" && digest === "" ? "latest" : givenTag;
  const repository = `${registry}/${path}`;
  return parsed({
    registry,
    path,
    name: path.slice(path.lastIndexOf("/") + 1),
    tag,
    digest,
    full: digest === "" ? `${repository}:${tag}` : `${repository}@${digest}`,
    withTag: `${repository}:${tag}`,
  });
}

function namesRegistry(image: string): boolean {
  const slash = image.indexOf("/");
  if (slash === -1) return false;
  const first = image.slice(0, slash);
  return /[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first;
}
