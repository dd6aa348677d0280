// SPDX-License-Identifier: Apache-2.0
import { namespaceObjectOf, requestOf } from "#policy/admission/request";
import type { Activation } from "#policy/cel/compile";
import { WorldValue, worldKey } from "#policy/cel/libraries/world";
import type { Generate } from "#policy/cel/libraries/world";
import type { JsonObject } from "#policy/json";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

const nothing: JsonObject = {};

/**
 * What the expressions of Kyverno's kinds see of a review. An object that is not there (the old one on CREATE) is an
 * empty map in Kyverno, not null as in Kubernetes.
 */
export function baseActivation(
  review: Review,
  world: World,
  policy: { readonly namespace: string; readonly generate?: Generate },
): Activation {
  return {
    object: review.object ?? nothing,
    oldObject: review.oldObject ?? nothing,
    request: { ...requestOf(review), object: review.object, oldObject: review.oldObject },
    namespaceObject: namespaceObjectOf(review, world),
    composite: world.composite,
    [worldKey]: worldOf(world, policy),
  };
}

const worlds = new WeakMap<World, WorldValue>();

/** The World as library functions get it: one value for all cluster-scoped policies. */
function worldOf(
  world: World,
  policy: { readonly namespace: string; readonly generate?: Generate },
): WorldValue {
  if (policy.namespace !== "" || policy.generate !== undefined)
    return new WorldValue(world, policy);
  const known = worlds.get(world);
  if (known !== undefined) return known;
  const made = new WorldValue(world);
  worlds.set(world, made);
  return made;
}

/** Adds what exceptions allow, as `exceptions.allowedImages` and `exceptions.allowedValues`. */
export const withExceptions = (
  activation: Activation,
  images: readonly string[],
  values: readonly string[],
): Activation => ({
  ...activation,
  exceptions: { allowedImages: images, allowedValues: values },
});
