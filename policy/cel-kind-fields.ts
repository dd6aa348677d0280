// SPDX-License-Identifier: Apache-2.0
import { anything, documentWith, listOf, named, objectWith, oneOf } from "#policy/document-fields";
import type { Fields } from "#policy/document-fields";

// The fields of the policy kinds in CEL, of all their versions: Kyverno v1.19's definitions (config/crds), to which a test
// holds these tables, and the types of admissionregistration.k8s.io of Kubernetes 1.36.

const selector = objectWith({
  matchExpressions: listOf(named("key", "operator", "values")),
  matchLabels: anything,
});
const rules = listOf(
  named("apiGroups", "apiVersions", "operations", "resourceNames", "resources", "scope"),
);
const constraints = {
  excludeResourceRules: rules,
  matchPolicy: anything,
  namespaceSelector: selector,
  objectSelector: selector,
  resourceRules: rules,
};
const conditions = listOf(named("expression", "name"));
const auditAnnotations = listOf(named("key", "valueExpression"));
const validations = listOf(named("expression", "message", "messageExpression", "reason"));
const enabled = named("enabled");
const expression = named("expression");
const failurePolicy = oneOf("Ignore", "Fail");
const validationActions = listOf(oneOf("Deny", "Audit", "Warn"));
const mutations = listOf(
  objectWith({ applyConfiguration: expression, jsonPatch: expression, patchType: anything }),
);

/** What every policy in CEL of Kyverno has. */
const common = {
  auditAnnotations,
  failurePolicy,
  matchConditions: conditions,
  matchConstraints: objectWith(constraints),
  variables: conditions,
  webhookConfiguration: named("timeoutSeconds"),
};

const validatingPolicy = {
  ...common,
  autogen: objectWith({ podControllers: named("controllers"), validatingAdmissionPolicy: enabled }),
  evaluation: objectWith({ admission: enabled, background: enabled, mode: anything }),
  validationActions,
  validations,
};

const mutatingPolicy = {
  ...common,
  autogen: objectWith({ podControllers: named("controllers"), mutatingAdmissionPolicy: enabled }),
  evaluation: objectWith({
    admission: enabled,
    background: enabled,
    mode: anything,
    mutateExisting: enabled,
    skipBackgroundRequests: anything,
    useServerSideApply: anything,
  }),
  mutations,
  reinvocationPolicy: anything,
  targetMatchConditions: conditions,
  targetMatchConstraints: objectWith({ ...constraints, expression: anything }),
};

const { failurePolicy: _none, ...withoutFailurePolicy } = common;
const generatingPolicy = {
  ...withoutFailurePolicy,
  evaluation: objectWith({
    admission: enabled,
    generateExisting: enabled,
    orphanDownstreamOnPolicyDelete: enabled,
    skipBackgroundRequests: anything,
    synchronize: enabled,
  }),
  generate: listOf(
    objectWith({
      expression: anything,
      template: objectWith({ interpolate: oneOf("none", "cel"), value: anything }),
    }),
  ),
  useServerSideApply: anything,
};

const deletingPolicy = {
  conditions,
  deletionPropagationPolicy: oneOf("Orphan", "Background", "Foreground"),
  matchConstraints: objectWith(constraints),
  schedule: anything,
  variables: conditions,
};

const policyException = {
  allowedValues: anything,
  evaluationMode: anything,
  expiresAt: anything,
  images: anything,
  matchConditions: conditions,
  policyRefs: listOf(named("kind", "name")),
  properties: anything,
  reportResult: oneOf("skip", "pass"),
};

const admissionPolicy = {
  failurePolicy,
  matchConditions: conditions,
  matchConstraints: objectWith({ ...constraints, matchPolicy: oneOf("Exact", "Equivalent") }),
  paramKind: named("apiVersion", "kind"),
  variables: conditions,
};
const binding = {
  matchResources: objectWith({ ...constraints, matchPolicy: oneOf("Exact", "Equivalent") }),
  paramRef: objectWith({
    name: anything,
    namespace: anything,
    parameterNotFoundAction: oneOf("Allow", "Deny"),
    selector,
  }),
  policyName: anything,
};

/** By group and kind. Kinds that are not here are read by their own rules. */
export const celKindFields: ReadonlyMap<string, Fields> = new Map([
  ["policies.kyverno.io/ValidatingPolicy", documentWith(validatingPolicy)],
  ["policies.kyverno.io/NamespacedValidatingPolicy", documentWith(validatingPolicy)],
  ["policies.kyverno.io/MutatingPolicy", documentWith(mutatingPolicy)],
  ["policies.kyverno.io/NamespacedMutatingPolicy", documentWith(mutatingPolicy)],
  ["policies.kyverno.io/GeneratingPolicy", documentWith(generatingPolicy)],
  ["policies.kyverno.io/NamespacedGeneratingPolicy", documentWith(generatingPolicy)],
  ["policies.kyverno.io/DeletingPolicy", documentWith(deletingPolicy)],
  ["policies.kyverno.io/NamespacedDeletingPolicy", documentWith(deletingPolicy)],
  ["policies.kyverno.io/PolicyException", documentWith(policyException)],
  [
    "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
    documentWith({ ...admissionPolicy, auditAnnotations, validations }),
  ],
  [
    "admissionregistration.k8s.io/MutatingAdmissionPolicy",
    documentWith({
      ...admissionPolicy,
      mutations,
      reinvocationPolicy: oneOf("Never", "IfNeeded"),
    }),
  ],
  [
    "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
    documentWith({ ...binding, validationActions }),
  ],
  ["admissionregistration.k8s.io/MutatingAdmissionPolicyBinding", documentWith(binding)],
]);
