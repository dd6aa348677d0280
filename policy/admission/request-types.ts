// SPDX-License-Identifier: Apache-2.0
import {
  dynType,
  intType,
  listOf,
  mapOf,
  objectOf,
  stringType,
  timestampType,
} from "#policy/cel/types";
import { boolType } from "#policy/cel/types";
import type { CelType } from "#policy/cel/types";
import type { ObjectType } from "#policy/cel/library";

/** A type with a fixed list of fields; other fields are compile errors. */
export const structType = (
  name: string,
  fields: Readonly<Record<string, CelType>>,
): ObjectType => ({
  name,
  field: (field) => (Object.hasOwn(fields, field) ? fields[field] : undefined),
});

export const requestType = objectOf("kubernetes.AdmissionRequest");
export const namespaceType = objectOf("kubernetes.Namespace");

const strings = listOf(stringType);
const kindType = objectOf("kubernetes.GroupVersionKind");
const resourceType = objectOf("kubernetes.GroupVersionResource");

const requestFields = {
  kind: kindType,
  resource: resourceType,
  subResource: stringType,
  requestKind: kindType,
  requestResource: resourceType,
  requestSubResource: stringType,
  name: stringType,
  namespace: stringType,
  operation: stringType,
  userInfo: objectOf("kubernetes.UserInfo"),
  dryRun: boolType,
  options: dynType,
};

/** Of `request` and `namespaceObject`, as apiserver pkg/admission/plugin/cel/compile.go declares them. */
export const admissionTypes: readonly ObjectType[] = [
  structType("kubernetes.AdmissionRequest", requestFields),
  structType("kubernetes.GroupVersionKind", {
    group: stringType,
    version: stringType,
    kind: stringType,
  }),
  structType("kubernetes.GroupVersionResource", {
    group: stringType,
    version: stringType,
    resource: stringType,
  }),
  structType("kubernetes.UserInfo", {
    username: stringType,
    uid: stringType,
    groups: strings,
    extra: mapOf(stringType, strings),
  }),
  structType("kubernetes.Namespace", {
    metadata: objectOf("kubernetes.NamespaceMetadata"),
    spec: objectOf("kubernetes.NamespaceSpec"),
    status: objectOf("kubernetes.NamespaceStatus"),
  }),
  structType("kubernetes.NamespaceMetadata", {
    name: stringType,
    generateName: stringType,
    namespace: stringType,
    labels: mapOf(stringType, stringType),
    annotations: mapOf(stringType, stringType),
    UID: stringType,
    creationTimestamp: timestampType,
    deletionGracePeriodSeconds: intType,
    deletionTimestamp: timestampType,
    generation: intType,
    resourceVersion: stringType,
    finalizers: strings,
  }),
  structType("kubernetes.NamespaceSpec", { finalizers: strings }),
  structType("kubernetes.NamespaceStatus", {
    conditions: listOf(objectOf("kubernetes.NamespaceCondition")),
    phase: stringType,
  }),
  structType("kubernetes.NamespaceCondition", {
    status: stringType,
    type: stringType,
    lastTransitionTime: timestampType,
    message: stringType,
    reason: stringType,
  }),
];

/** Kyverno's request also has the objects (pkg/cel/compiler/request.go). */
export const kyvernoRequestType: ObjectType = structType("kubernetes.AdmissionRequest", {
  ...requestFields,
  object: dynType,
  oldObject: dynType,
});
