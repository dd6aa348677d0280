// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { compileWildcards } from "#policy/kubernetes/wildcard";
import type { Wildcard } from "#policy/kubernetes/wildcard";
import { extractImages, readImageExtractors } from "#policy/kyverno/classic/images";
import type { ImageInfo } from "#policy/kyverno/classic/images";
import { texts } from "#policy/kyverno/classic/resource-filter";
import { errored, failed, passed } from "#policy/kyverno/classic/rule-state";
import type { Validator, Verdict } from "#policy/kyverno/classic/rule-state";

/** One entry of `verifyImages` that needs no registry. */
type Entry = {
  readonly covers: Wildcard;
  readonly verifyDigest: boolean;
  readonly required: boolean;
};

/** Where Kyverno writes which images of a resource it has verified. */
const verifiedAnnotation = "kyverno.io/verify-images";

/** Fields that ask for signatures, attestations or digests: all of them are in a registry. */
const registryFields = [
  "attestors",
  "attestations",
  "key",
  "issuer",
  "subject",
  "roots",
  "cosignOCI11",
  "validate",
] as const;

/**
 * Plans `verifyImages` as far as it asks only whether images have digests (Kyverno, validate_image.go); undefined when
 * an entry needs a registry.
 */
export function compileVerifyImages(rule: JsonObject): Validator | undefined {
  const stated = field(rule, "verifyImages");
  const entries = isArray(stated) ? stated : [];
  if (!entries.every(isObject) || entries.some(needsRegistry)) return undefined;
  const planned = entries.map(readEntry);
  const extractors = readImageExtractors(field(rule, "imageExtractors"));
  return ({ review: { object }, world }) => {
    if (object === null) return undefined;
    const extracted = extractImages(object, extractors, world);
    if (!extracted.ok) return errored(`failed to extract images: ${extracted.message}`);
    const images = Object.values(extracted.value).flatMap((group) => Object.values(group));
    return judge(planned, images, object);
  };
}

/** `mutateDigest` is on unless it is off, and asks the registry for the digest. */
const needsRegistry = (entry: JsonObject): boolean =>
  field(entry, "mutateDigest") !== false ||
  registryFields.some((name) => isStated(field(entry, name)));

const isStated = (value: Json | undefined): boolean =>
  value !== undefined && value !== null && value !== "" && !(isArray(value) && value.length === 0);

const readEntry = (entry: JsonObject): Entry => {
  const references = field(entry, "imageReferences");
  const image = textAt(entry, ["image"]);
  return {
    covers: compileWildcards([
      ...(isArray(references) ? texts(references) : []),
      ...(image === "" ? [] : [image]),
    ]),
    verifyDigest: field(entry, "verifyDigest") !== false,
    required: field(entry, "required") !== false,
  };
};

function judge(
  entries: readonly Entry[],
  images: readonly ImageInfo[],
  object: JsonObject,
): Verdict | undefined {
  const failures = new Set<string>();
  let covered = false;
  for (const { covers, verifyDigest, required } of entries) {
    for (const { reference, digest } of images) {
      if (!covers(reference)) continue;
      covered = true;
      if (verifyDigest && digest === "") failures.add(`missing digest for ${reference}`);
      else if (required) {
        const annotations = at(object, ["metadata", "annotations"]);
        if (field(annotations, verifiedAnnotation) !== undefined) return unknowable;
        failures.add(
          isObject(annotations) && Object.keys(annotations).length > 0
            ? "image is not verified"
            : `unverified image ${reference}`,
        );
      }
    }
  }
  if (!covered) return undefined;
  return failures.size === 0 ? passed("image verified") : failed([...failures].join("; "));
}

/** Anyone can write the annotation; only its author in the cluster can know whether it did. */
const reason = `the annotation ${verifiedAnnotation} can only be trusted where Kyverno has written it`;
const unknowable: Verdict = { ...errored(reason), unsupported: reason };
