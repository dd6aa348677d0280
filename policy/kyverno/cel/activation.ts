// SPDX-License-Identifier: Apache-2.0
import type { Variables } from "#policy/admission/expressions";
import { makeRequest, namespaceObjectOf } from "#policy/admission/request";
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
let last:
  | { readonly review: Review; readonly world: World; readonly base: BaseActivation }
  | undefined;

/**
 * What the expressions of Kyverno's kinds see of a review. An object that is not there (the old one on CREATE) is an
 * empty map in Kyverno, not null as in Kubernetes.
 */
export function baseActivation(review: Review, world: World, policy: Asking): BaseActivation {
  if (last?.review !== review || last.world !== world) {
    last = { review, world, base: makeBase(review, world) };
  }
  const { base } = last;
  if (policy.namespace === "" && policy.generate === undefined) return base;
  return { ...base, [worldKey]: new WorldValue(world, policy) };
}

const makeBase = (review: Review, world: World): BaseActivation => ({
  object: review.object ?? nothing,
  oldObject: review.oldObject ?? nothing,
  request: makeRequest(review, review.object, review.oldObject),
  namespaceObject: namespaceObjectOf(review, world),
  composite: world.composite,
  [worldKey]: new WorldValue(world),
});

/** What exceptions allow to a resource that they do not exempt as a whole. */
export type Allowed = { readonly images: readonly string[]; readonly values: readonly string[] };

/** What most policies see, which have neither variables nor exceptions: the same for all of them. */
let plain: { readonly base: BaseActivation; readonly activation: Activation } | undefined;

/** Adds what exceptions allow, as `exceptions.allowedImages` and `exceptions.allowedValues`, and the policy's variables. */
export function withVariables(
  base: BaseActivation,
  allowed: Allowed,
  variables: Variables,
  budget: Budget,
): Activation {
  if (!variables.isEmpty || allowed.images.length + allowed.values.length > 0) {
    return joined(base, allowed, variables, budget);
  }
  if (plain?.base !== base) {
    plain = { base, activation: joined(base, allowed, variables, budget) };
  }
  return plain.activation;
}

/** Written out, not spread: this runs for every policy on every resource. */
function joined(
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
