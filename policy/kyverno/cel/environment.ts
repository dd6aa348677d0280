// SPDX-License-Identifier: Apache-2.0
import { resolvePatchType } from "#policy/admission/patch-types";
import {
  admissionTypes,
  kyvernoRequestType,
  namespaceType,
  requestType,
  structType,
} from "#policy/admission/request-types";
import { makeEnvironment } from "#policy/cel/environment";
import { cachedEnvironments } from "#policy/cel/environment-cache";
import type { Environment } from "#policy/cel/environment";
import type { Library } from "#policy/cel/library";
import { kyvernoLibraries } from "#policy/cel/libraries/kyverno";
import { dynType, listOf, objectOf, stringType } from "#policy/cel/types";
import type { CelType } from "#policy/cel/types";

export type KyvernoScope = {
  /** `json` is a ValidatingPolicy over any JSON, which has no request. */
  readonly kind: "validating" | "mutating" | "generating" | "deleting" | "json";
  /** Namespaced policies see their own namespace only. */
  readonly namespaced: boolean;
};

/** The environment of Kyverno v1.19 for its CEL kinds (pkg/cel/compiler/env.go and the compiler of each kind). */
export const kyvernoEnvironment = cachedEnvironments<KyvernoScope>(build);

const exceptionsType = structType("libs.Exception", {
  allowedImages: listOf(stringType),
  allowedValues: listOf(stringType),
});

const types: Library = {
  name: "kyverno.admission",
  objectTypes: [...admissionTypes, kyvernoRequestType, exceptionsType],
};

const admissionVariables: Readonly<Record<string, CelType>> = {
  oldObject: dynType,
  request: requestType,
  namespaceObject: namespaceType,
};

function build(scope: KyvernoScope): Environment {
  return makeEnvironment({
    variables: {
      object: dynType,
      exceptions: objectOf("libs.Exception"),
      // The composite resource whose composed resource is judged: ours, Kyverno does not have it.
      composite: dynType,
      ...(scope.kind === "json" ? {} : admissionVariables),
    },
    libraries: [
      ...kyvernoLibraries(scope.kind === "json" ? "validating" : scope.kind, scope.namespaced),
      types,
    ],
    ...(scope.kind === "mutating" || scope.kind === "deleting"
      ? { resolveType: resolvePatchType }
      : {}),
    // Generated resources mix types in their literals.
    options: { homogeneousAggregates: scope.kind !== "generating" },
  });
}
