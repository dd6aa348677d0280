// SPDX-License-Identifier: Apache-2.0
import { admissionTypes, namespaceType, requestType } from "#policy/admission/request-types";
import { resolvePatchType } from "#policy/admission/patch-types";
import { makeEnvironment } from "#policy/cel/environment";
import { cachedEnvironments } from "#policy/cel/environment-cache";
import type { Environment } from "#policy/cel/environment";
import type { Library } from "#policy/cel/library";
import { authorizerType, resourceCheckType } from "#policy/cel/libraries/authorizer";
import { kubernetesLibraries, kubernetesMutationLibraries } from "#policy/cel/libraries/kubernetes";
import { dynType } from "#policy/cel/types";

/** What an expression of an admission policy may use beside the variables that all have. */
export type AdmissionScope = {
  readonly params: boolean;
  readonly authorizer: boolean;
  /** `Object{}` and `JSONPatch{}` literals. */
  readonly patches: boolean;
};

/** The environment of kube-apiserver 1.36 for admission policies (apiserver pkg/cel/environment/base.go). */
export const admissionEnvironment = cachedEnvironments<AdmissionScope>(build);

const authorizerVariables = {
  authorizer: authorizerType,
  "authorizer.requestResource": resourceCheckType,
};

const types: Library = { name: "kubernetes.admission", objectTypes: admissionTypes };

function build(scope: AdmissionScope): Environment {
  return makeEnvironment({
    variables: {
      object: dynType,
      oldObject: dynType,
      namespaceObject: namespaceType,
      request: requestType,
      ...(scope.params ? { params: dynType } : {}),
      ...(scope.authorizer ? authorizerVariables : {}),
    },
    libraries: [...(scope.patches ? kubernetesMutationLibraries : kubernetesLibraries), types],
    ...(scope.patches ? { resolveType: resolvePatchType } : {}),
    options: { homogeneousAggregates: true, instantiate: true },
  });
}
