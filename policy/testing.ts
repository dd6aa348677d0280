// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";

/** For tests: what CREATE of a Pod matches. */
export const podRules = [
  { apiGroups: [""], apiVersions: ["v1"], resources: ["pods"], operations: ["CREATE"] },
];
export const validating: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: "named" },
  spec: {
    matchConstraints: { resourceRules: podRules },
    matchConditions: [{ name: "c", expression: "true" }],
    variables: [{ name: "v", expression: "object.metadata.name" }],
    validations: [{ expression: "variables.v != ''", messageExpression: "'no name'" }],
    auditAnnotations: [{ key: "a", valueExpression: "'x'" }],
  },
};
export const mutating: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "MutatingPolicy",
  metadata: { name: "mutating" },
  spec: {
    matchConstraints: { resourceRules: podRules },
    mutations: [
      {
        patchType: "JSONPatch",
        jsonPatch: { expression: "[JSONPatch{op: 'add', path: '/x', value: 1}]" },
      },
      { patchType: "ApplyConfiguration", applyConfiguration: { expression: "Object{}" } },
    ],
  },
};
const generating: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "GeneratingPolicy",
  metadata: { name: "generating" },
  spec: {
    matchConstraints: { resourceRules: podRules },
    generate: [
      { expression: "generator.Apply('a', [{'kind': 'ConfigMap'}])" },
      { template: { interpolate: "cel", value: "kind: X\nname: (( object.metadata.name ))" } },
    ],
  },
};
const admission: JsonObject = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicy",
  metadata: { name: "vap" },
  spec: {
    paramKind: { apiVersion: "v1", kind: "ConfigMap" },
    matchConstraints: { resourceRules: podRules },
    validations: [{ expression: "object.metadata.name != ''" }],
  },
};
const binding: JsonObject = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicyBinding",
  metadata: { name: "bound" },
  spec: { policyName: "vap", paramRef: { name: "p" }, validationActions: ["Deny"] },
};
const mutatingAdmission: JsonObject = {
  ...mutating,
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingAdmissionPolicy",
};
const exception: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "PolicyException",
  metadata: { name: "e", namespace: "n" },
  spec: {
    policyRefs: [{ name: "named", kind: "ValidatingPolicy" }],
    matchConditions: [{ name: "c", expression: "true" }],
  },
};
const classic: JsonObject = {
  apiVersion: "kyverno.io/v1",
  kind: "ClusterPolicy",
  metadata: { name: "classic" },
  spec: {
    rules: [
      {
        name: "r",
        match: { any: [{ resources: { kinds: ["Pod"] } }] },
        validate: { message: "m", pattern: { metadata: { name: "?*" } } },
      },
    ],
  },
};
const deleting: JsonObject = {
  apiVersion: "policies.kyverno.io/v1",
  kind: "DeletingPolicy",
  metadata: { name: "deleting" },
  spec: {
    schedule: "0 1 * * *",
    matchConstraints: { resourceRules: podRules },
    variables: [{ name: "v", expression: "object.metadata.name" }],
    conditions: [{ name: "c", expression: "variables.v != ''" }],
  },
};
const cleanup: JsonObject = {
  apiVersion: "kyverno.io/v2",
  kind: "ClusterCleanupPolicy",
  metadata: { name: "cleanup" },
  spec: {
    schedule: "0 1 * * *",
    match: { any: [{ resources: { kinds: ["Pod"] } }] },
    conditions: { all: [{ key: "{{ target.metadata.name }}", operator: "NotEquals", value: "" }] },
  },
};
/** For tests: a good document of each kind that compiles, in an order that bindings need. */
export const onePolicyOfEachKind: readonly JsonObject[] = [
  validating,
  mutating,
  generating,
  admission,
  binding,
  mutatingAdmission,
  exception,
  classic,
  deleting,
  cleanup,
];
export const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "n" },
  spec: {},
};
