// SPDX-License-Identifier: Apache-2.0
import type { Variables } from "#policy/admission/expressions";
import { namespaceObjectOf, requestOf } from "#policy/admission/request";
import type { Budget } from "#policy/cel/budget";
import type { Activation } from "#policy/cel/compile";
import { WorldValue, worldKey } from "#policy/cel/libraries/world";
import type { Generate } from "#policy/cel/libraries/world";
import type { Json, JsonObject } from "#policy/json";
import type { Review } from "#policy/review";
import type { World } from "#policy/world";

const nothing: JsonObject = {};

/** What the expressions of Kyverno's kinds see of a review, before exceptions and variables. */
export type BaseActivation = {
  readonly object: JsonObject;
  readonly oldObject: JsonObject;
  readonly request: JsonObject;
  readonly namespaceObject: JsonObject | null;
  readonly composite: Json;
  readonly [worldKey]: WorldValue;
};

/** Who asks: a namespaced policy sees its own namespace, and only generating ones generate. */
export type Asking = { readonly namespace: string; readonly generate?: Generate };

/** Kept for the policies that come next: the same for all cluster-scoped ones. */
const bases = new WeakMap<Review, { readonly world: World; readonly base: BaseActivation }>();

/**
 * What the expressions of Kyverno's kinds see of a review. An object that is not there (the old one on CREATE) is an
 * empty map in Kyverno, not null as in Kubernetes.
 */
export function baseActivation(review: Review, world: World, policy: Asking): BaseActivation {
  const known = bases.get(review);
  const base = known?.world === world ? known.base : makeBase(review, world);
  if (base !== known?.base) bases.set(review, { world, base });
  if (policy.namespace === "" && policy.generate === undefined) return base;
  return { ...base, [worldKey]: new WorldValue(world, policy) };
}

const makeBase = (review: Review, world: World): BaseActivation => ({
  object: review.object ?? nothing,
  oldObject: review.oldObject ?? nothing,
  request: { ...requestOf(review), object: review.object, oldObject: review.oldObject },
  namespaceObject: namespaceObjectOf(review, world),
  composite: world.composite,
  [worldKey]: new WorldValue(world),
});

/** What exceptions allow to a resource that they do not exempt as a whole. */
export type Allowed = { readonly images: readonly string[]; readonly values: readonly string[] };

/**
 * Adds what exceptions allow, as `exceptions.allowedImages` and `exceptions.allowedValues`, and the policy's variables.
 * Written out, not spread: this runs for every policy on every resource.
 */
export function withVariables(
  base: BaseActivation,
  allowed: Allowed,
  variables: Variables,
  budget: Budget,
): Activation {
  const activation: Activation = {
    object: base.object,
    oldObject: base.oldObject,
    request: base.request,
    namespaceObject: base.namespaceObject,
    composite: base.composite,
    [worldKey]: base[worldKey],
    exceptions: { allowedImages: allowed.images, allowedValues: allowed.values },
    variables: variables.bind(() => activation, budget),
  };
  return activation;
}
