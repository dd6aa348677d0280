// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import type { Schema } from "#policy/kubernetes/schemas";
import type { GroupVersionKind } from "#policy/review";

/** What the World says to a question. `unavailable` means that it cannot know, which is never taken for `absent`. */
export type Answer =
  | { readonly kind: "found"; readonly value: Json }
  | { readonly kind: "absent" }
  | { readonly kind: "unavailable"; readonly reason: string };

export type ObjectQuery = {
  readonly apiVersion: string;
  /** Plural, e.g. `configmaps`. */
  readonly resource: string;
  /** '' for cluster-scoped objects, or for a list over all namespaces. */
  readonly namespace: string;
  readonly name: string;
};

export type ListQuery = Omit<ObjectQuery, "name"> & {
  readonly labels: Readonly<Record<string, string>>;
};

/** A call that a policy would make over the network, either to the API server (`urlPath`) or to a service (`url`). */
export type CallQuery = {
  readonly method: string;
  /** API server path with query, e.g. `/api/v1/namespaces/x/pods`, or an absolute URL. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json | undefined;
};

/**
 * All that the engine may know beside the object under review. Plain synchronous functions over data fetched before:
 * the engine itself never reads a clock, a network or an environment.
 */
export type World = {
  /** The time of the evaluation, in milliseconds since 1970. */
  readonly nowMs: number;
  /** A number in [0, 1), from a seeded source where answers must repeat. */
  readonly random: () => number;
  /** The plural and scope of a kind, undefined when the World has never heard of it. */
  readonly resourceOf: (
    kind: GroupVersionKind,
  ) => { readonly resource: string; readonly namespaced: boolean } | undefined;
  /** How objects of a kind are built that Kubernetes itself does not serve; undefined when the World does not know. */
  readonly schemaOf: (kind: GroupVersionKind) => Schema | undefined;
  /** A Namespace object, for namespace selectors and `namespaceObject`. */
  readonly namespace: (name: string) => JsonObject | undefined;
  readonly get: (query: ObjectQuery) => Answer;
  /** Answers with an object that has `items`. */
  readonly list: (query: ListQuery) => Answer;
  readonly call: (query: CallQuery) => Answer;
  /** A GlobalContextEntry's data, or of one named projection of it. */
  readonly globalContext: (name: string, projection: string) => Answer;
  /** Registry metadata of an image: manifest, configuration, digest. */
  readonly imageData: (reference: string) => Answer;
  /** The composite resource whose composed resource is under review; null outside a composition. */
  readonly composite: JsonObject | null;
  /**
   * Values that replace a classic rule's context entries, as a `kyverno test` Values file does; undefined for none.
   * `resource` is the name of the resource under review.
   */
  readonly contextValues: (
    policy: string,
    rule: string,
    resource: string,
  ) => ContextValues | undefined;
};

export type ContextValues = {
  /** Dotted names as in a Values file, e.g. `{"request.operation": "UPDATE", "dictionary.data.env": "prod"}`. */
  readonly values: JsonObject;
  /** Name to one value per foreach element. */
  readonly foreachValues: Readonly<Record<string, readonly Json[]>>;
};

const unavailable: Answer = {
  kind: "unavailable",
  reason: "nothing outside the object is known here",
};

/** A World that knows only the time: the start for all others, by spreading it. */
export function emptyWorld(nowMs: number): World {
  return {
    nowMs,
    random: () => 0.5,
    resourceOf: () => undefined,
    schemaOf: () => undefined,
    namespace: () => undefined,
    get: () => unavailable,
    list: () => unavailable,
    call: () => unavailable,
    globalContext: () => unavailable,
    imageData: () => unavailable,
    composite: null,
    contextValues: () => undefined,
  };
}
