// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { isNamespacedKind, kindOf, parseApiVersion, pluralOf } from "#policy/kubernetes/kinds";
import { labelsOf, parseLabelSelector } from "#policy/kubernetes/label-selector";
import type { LabelSelector } from "#policy/kubernetes/label-selector";
import type { GroupVersionKind, Review } from "#policy/review";
import type { World } from "#policy/world";

export type FoundParams =
  /** One evaluation for each; null for a policy that has no params. */
  | { readonly is: "found"; readonly params: readonly (JsonObject | null)[] }
  | { readonly is: "error"; readonly message: string; readonly unsupported: boolean };

export type ParamFinder = (review: Review, world: World) => FoundParams;

/** Most objects that one selector may bring. */
const paramsMax = 1_000;

const noParams: FoundParams = { is: "found", params: [null] };

/**
 * Finds the objects that a binding's paramRef names (apiserver CollectParams): by name or by selector, in the
 * namespace of the reference, else in that of the object. `given` are looked at before the World is asked. Nothing
 * found is nothing to evaluate, or an error where parameterNotFoundAction is Deny. `asList`: what a selector finds is
 * one param, a list with `items`, as in Kyverno's command line; see {@link readsParamList}.
 */
export function makeParamFinder(
  paramKind: Json | undefined,
  paramRef: Json | undefined,
  given: readonly JsonObject[],
  asList = false,
): ParamFinder {
  if (!isObject(paramKind) || !isObject(paramRef)) return () => noParams;
  const kind = {
    ...parseApiVersion(textAt(paramKind, ["apiVersion"])),
    kind: textAt(paramKind, ["kind"]),
  };
  const selector = parseLabelSelector(field(paramRef, "selector"));
  if (!selector.ok) {
    return () => failed(`paramRef.selector.${selector.path}: ${selector.message}`);
  }
  const reference: Reference = {
    kind,
    apiVersion: textAt(paramKind, ["apiVersion"]),
    name: textAt(paramRef, ["name"]),
    namespace: textAt(paramRef, ["namespace"]),
    selector: selector.selector,
    selectorJson: field(paramRef, "selector"),
    deny: textAt(paramRef, ["parameterNotFoundAction"]) === "Deny",
    asList,
  };
  const ours = given.filter((object) => sameKind(kindOf(object), kind));
  return (review, world) => findParams(reference, ours, review, world);
}

/**
 * Whether a policy reads `params.items`. The API server evaluates a policy once for each object that a selector finds,
 * where such a policy would always fail; Kyverno's command line evaluates it once with all of them in a list. What is
 * written for the one cannot mean the other.
 */
export const readsParamList = (spec: Json | undefined): boolean =>
  JSON.stringify(spec ?? null).includes("params.items");

type Reference = {
  readonly kind: GroupVersionKind;
  readonly apiVersion: string;
  readonly name: string;
  readonly namespace: string;
  readonly selector: LabelSelector;
  readonly selectorJson: Json | undefined;
  readonly deny: boolean;
  readonly asList: boolean;
};

const failed = (message: string, unsupported = false): FoundParams => ({
  is: "error",
  message,
  unsupported,
});

const sameKind = (a: GroupVersionKind, b: GroupVersionKind): boolean =>
  a.group === b.group && a.version === b.version && a.kind === b.kind;

function findParams(
  reference: Reference,
  given: readonly JsonObject[],
  review: Review,
  world: World,
): FoundParams {
  const known = world.resourceOf(reference.kind)?.namespaced ?? isNamespacedKind(reference.kind);
  const namespaced = known ?? (reference.namespace !== "" || review.namespace !== "");
  if (!namespaced && reference.namespace !== "") {
    return failed("paramRef.namespace must not be provided for a cluster-scoped `paramKind`");
  }
  const namespace = namespaced ? reference.namespace || review.namespace : "";
  if (namespaced && namespace === "") {
    return failed(
      "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
    );
  }
  const here = given.filter((object) => textAt(object, ["metadata", "namespace"]) === namespace);
  const found =
    reference.name === ""
      ? bySelector(reference, here, namespace, world)
      : byName(reference, here, namespace, world);
  if (found.is === "error" || found.params.length > 0 || !reference.deny) return found;
  return failed("no params found for policy binding with `Deny` parameterNotFoundAction");
}

function byName(
  reference: Reference,
  given: readonly JsonObject[],
  namespace: string,
  world: World,
): FoundParams {
  const { name } = reference;
  const ours = given.find((object) => textAt(object, ["metadata", "name"]) === name);
  if (ours !== undefined) return { is: "found", params: [ours] };
  const { resource } = pluralOf(reference.kind, world);
  const answer = world.get({ apiVersion: reference.apiVersion, resource, namespace, name });
  if (answer.kind === "unavailable") {
    // Objects that were handed over are all there are, unless the World knows better.
    if (given.length > 0) return { is: "found", params: [] };
    return failed(`params ${reference.kind.kind} ${name}: ${answer.reason}`, true);
  }
  if (answer.kind === "absent") return { is: "found", params: [] };
  return isObject(answer.value)
    ? { is: "found", params: [answer.value] }
    : failed(`params ${name} is no object`);
}

function bySelector(
  reference: Reference,
  given: readonly JsonObject[],
  namespace: string,
  world: World,
): FoundParams {
  const { resource } = pluralOf(reference.kind, world);
  const answer = world.list({ apiVersion: reference.apiVersion, resource, namespace, labels: {} });
  if (answer.kind === "unavailable" && given.length === 0) {
    return failed(`params ${reference.kind.kind} by selector: ${answer.reason}`, true);
  }
  const items = answer.kind === "found" ? field(answer.value, "items") : [];
  const listed = isArray(items) ? items.filter(isObject) : [];
  const params = [...given, ...listed].filter((object) =>
    reference.selector.matches(labelsOf(object)),
  );
  if (params.length > paramsMax) {
    return failed(
      `paramRef.selector finds ${params.length} objects, at most ${paramsMax} are used`,
    );
  }
  if (!reference.asList || params.length === 0) return { is: "found", params };
  const list = {
    apiVersion: reference.apiVersion,
    kind: `${reference.kind.kind}List`,
    items: params,
  };
  return { is: "found", params: [list] };
}
