// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parsed } from "#policy/kubernetes/parsed";
import type { Parsed } from "#policy/kubernetes/parsed";
import { compileWildcards } from "#policy/kubernetes/wildcard";
import type { Wildcard } from "#policy/kubernetes/wildcard";
import { extractImages, readImageExtractors } from "#policy/kyverno/classic/images";
import type { ImageInfo } from "#policy/kyverno/classic/images";
import { texts } from "#policy/kyverno/classic/resource-filter";
import { errored, failed, passed, skipped } from "#policy/kyverno/classic/rule-state";
import type { Validator, Verdict } from "#policy/kyverno/classic/rule-state";
import type { World } from "#policy/world";

type Entry = {
  readonly covers: Wildcard;
  /** Images that are let through unverified. */
  readonly skips: Wildcard;
  readonly needsRegistry: boolean;
  readonly verifyDigest: boolean;
  readonly required: boolean;
};

/** The `verifyImages` of a rule, planned. */
export type ImageVerifier = {
  /** Why an image that it covers cannot be judged here; undefined when all can. */
  readonly unsupported: string | undefined;
  /** Whether the resource has images that the rule is about; without any it says nothing at all. */
  readonly concerns: (object: JsonObject, world: World) => boolean;
  readonly check: Validator;
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

const needsSignatures =
  "verifyImages needs the signatures of a registry, which the engine never calls";

/**
 * Plans `verifyImages` (Kyverno, validate_image.go): whether images have digests is judged, what a registry would have
 * to answer is an error.
 */
export function compileVerifyImages(rule: JsonObject): ImageVerifier {
  const stated = field(rule, "verifyImages");
  const entries = (isArray(stated) ? stated : []).map(readEntry);
  const extractors = readImageExtractors(field(rule, "imageExtractors"));
  const imagesOf = (object: JsonObject, world: World): Parsed<readonly ImageInfo[]> => {
    const extracted = extractImages(object, extractors, world);
    if (!extracted.ok) return extracted;
    return parsed(Object.values(extracted.value).flatMap((group) => Object.values(group)));
  };
  return {
    unsupported: entries.some((entry) => entry.needsRegistry) ? needsSignatures : undefined,
    concerns: (object, world) => {
      if (!entries.some(asksAnything)) return false;
      const images = imagesOf(object, world);
      if (!images.ok) return true;
      return images.value.some(({ reference }) => entries.some(({ covers }) => covers(reference)));
    },
    check: ({ review: { object }, world }) => {
      if (object === null) return undefined;
      const images = imagesOf(object, world);
      if (!images.ok) return errored(`failed to extract images: ${images.message}`);
      return judge(entries, images.value, object);
    },
  };
}

const asksAnything = (entry: Entry): boolean =>
  entry.needsRegistry || entry.verifyDigest || entry.required;

/** `mutateDigest` is on unless it is off, and asks the registry for the digest. */
const needsRegistry = (entry: Json): boolean =>
  field(entry, "mutateDigest") !== false ||
  registryFields.some((name) => isStated(field(entry, name)));

const isStated = (value: Json | undefined): boolean =>
  value !== undefined && value !== null && value !== "" && !(isArray(value) && value.length === 0);

function readEntry(entry: Json): Entry {
  const image = textAt(entry, ["image"]);
  return {
    covers: compileWildcards([
      ...texts(field(entry, "imageReferences")),
      ...(image === "" ? [] : [image]),
    ]),
    skips: compileWildcards(texts(field(entry, "skipImageReferences"))),
    needsRegistry: needsRegistry(entry),
    verifyDigest: field(entry, "verifyDigest") !== false,
    required: field(entry, "required") !== false,
  };
}

function judge(
  entries: readonly Entry[],
  images: readonly ImageInfo[],
  object: JsonObject,
): Verdict {
  const failures = new Set<string>();
  const passedOver: string[] = [];
  for (const { covers, skips, needsRegistry: isRemote, verifyDigest, required } of entries) {
    for (const { reference, digest } of images) {
      if (!covers(reference)) continue;
      const isSkipped = skips(reference);
      if (isRemote && !isSkipped) return unanswerable(needsSignatures);
      if (verifyDigest && digest === "") failures.add(`missing digest for ${reference}`);
      else if (required && isSkipped) passedOver.push(reference);
      else if (required) {
        const failure = unverified(reference, object);
        if (typeof failure !== "string") return failure;
        failures.add(failure);
      }
    }
  }
  if (failures.size > 0) return failed([...failures].join("; "));
  if (passedOver.length === 0) return passed("image verified");
  return skipped(`image skipped, skipped images: ${passedOver.join(" ")}`);
}

/** Why a required image is not verified. */
function unverified(reference: string, object: JsonObject): string | Verdict {
  const annotations = at(object, ["metadata", "annotations"]);
  if (field(annotations, verifiedAnnotation) !== undefined) return unanswerable(unknowable);
  const hasOthers = isObject(annotations) && Object.keys(annotations).length > 0;
  return hasOthers ? "image is not verified" : `unverified image ${reference}`;
}

const unanswerable = (reason: string): Verdict => ({ ...errored(reason), unsupported: reason });

/** Anyone can write the annotation; only its author in the cluster can know whether it did. */
const unknowable = `the annotation ${verifiedAnnotation} can only be trusted where Kyverno has written it`;
