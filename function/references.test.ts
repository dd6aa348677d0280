// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { cannotExistWithout, dependantsOf } from "./references.ts";

const object = (kind: string, name: string, labels: JsonObject = {}): JsonObject => ({
  apiVersion: "example.org/v1",
  kind,
  metadata: { ...(name === "" ? {} : { name }), labels },
});
const store = { "crossplane.io/composite": "store", role: "main" };
const bucket = object("Bucket", "main", store);

const rows: readonly (readonly [string, JsonObject, JsonObject, boolean])[] = [
  ["a reference by name", bucket, { forProvider: { bucketRef: { name: "main" } } }, true],
  ["one of a list of references", bucket, { rules: [{ targetRefs: [{ name: "main" }] }] }, true],
  ["a reference to another name", bucket, { bucketRef: { name: "else" } }, false],
  ["a reference that names another kind", bucket, { ref: { kind: "Role", name: "main" } }, false],
  ["a configuration of the same name", bucket, { providerConfigRef: { name: "main" } }, false],
  [
    "a secret of the same name that is still to be written",
    object("Secret", "main"),
    { writeConnectionSecretToRef: { name: "main" } },
    false,
  ],
  [
    "a selector by label of a resource that has no name yet",
    object("Bucket", "", store),
    { forProvider: { bucketSelector: { matchLabels: { role: "main" } } } },
    true,
  ],
  [
    "a selector by labels of which one is another",
    bucket,
    { bucketSelector: { matchLabels: { role: "main", tier: "x" } } },
    false,
  ],
  [
    "a selector for any of the kind in the same composite",
    object("VPC", ""),
    { forProvider: { vpcIdSelector: { matchControllerRef: true } } },
    true,
  ],
  [
    "a selector for another kind in the same composite",
    object("VPC", ""),
    { forProvider: { subnetIdSelector: { matchControllerRef: true } } },
    false,
  ],
  [
    "a field named after a part of the kind",
    object("DatabaseInstance", ""),
    { forProvider: { instanceSelector: { matchControllerRef: true } } },
    true,
  ],
  [
    "a field named after more than the kind",
    object("SubnetGroup", ""),
    { forProvider: { dbSubnetGroupNameSelector: { matchControllerRef: true } } },
    true,
  ],
  [
    "a field named after the first part of the kind",
    object("SecurityGroupRule", ""),
    { forProvider: { securityGroupIdSelector: { matchControllerRef: true } } },
    false,
  ],
  ["a selector that says nothing", bucket, { bucketSelector: {} }, false],
  [
    "a selector of pods",
    object("Deployment", "main", { app: "x" }),
    { podSelector: { matchLabels: { app: "x" } } },
    false,
  ],
  [
    "a Usage, which says the kind beside the selector",
    bucket,
    { of: { kind: "Bucket", resourceSelector: { matchLabels: { role: "main" } } } },
    true,
  ],
  [
    "a Usage of another kind",
    bucket,
    { of: { kind: "Role", resourceRef: { name: "main" } } },
    false,
  ],
  [
    "a pod's volume",
    object("ConfigMap", "settings"),
    { template: { spec: { volumes: [{ configMap: { name: "settings" } }] } } },
    true,
  ],
  [
    "a pod's environment",
    object("Secret", "keys"),
    { containers: [{ envFrom: [{ secretRef: { name: "keys" } }] }] },
    true,
  ],
  [
    "a pod's account",
    object("ServiceAccount", "app"),
    { template: { spec: { serviceAccountName: "app" } } },
    true,
  ],
  [
    "an account of a Secret's name",
    object("Secret", "app"),
    { template: { spec: { serviceAccountName: "app" } } },
    false,
  ],
  [
    "an Ingress's backend",
    object("Service", "web"),
    { rules: [{ http: { paths: [{ backend: { service: { name: "web" } } }] } }] },
    true,
  ],
];

test.each(rows)("%s", (_, held, spec, want) => {
  expect(dependantsOf(held, [{ name: "other", object: { spec }, subject: "" }])).toEqual(
    want ? ["other"] : [],
  );
});

test.each([
  [
    "a Secret's key is no Ingress of the same name",
    object("Ingress", "web"),
    { spec: { env: [{ valueFrom: { secretKeyRef: { name: "web", key: "token" } } }] } },
    [],
  ],
  [
    "a password's Secret",
    object("Secret", "web"),
    { spec: { forProvider: { passwordSecretRef: { name: "web", key: "p" } } } },
    ["other"],
  ],
  [
    "an account's Secret",
    object("Secret", "pull"),
    { imagePullSecrets: [{ name: "pull" }] },
    ["other"],
  ],
  [
    "a role of a kind without spec",
    object("Role", "web"),
    { roleRef: { kind: "Role", name: "web" } },
    ["other"],
  ],
  [
    "what the field is named after, where another has the same name",
    object("BucketPolicy", "main"),
    { spec: { forProvider: { bucketRef: { name: "main" } } } },
    [],
  ],
  [
    "the only one with that name, whatever the field is called",
    object("EIP", "main-eip"),
    { spec: { forProvider: { allocationIdRef: { name: "main-eip" } } } },
    ["other"],
  ],
] as const)("%s", (_, held, other, want) => {
  const others = [
    { name: "other", object: other, subject: "" },
    { name: "bucket", object: bucket, subject: "" },
  ];
  expect(dependantsOf(held, others)).toEqual(want);
});

const definition = (kind: string): JsonObject => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind,
  spec: { group: "example.org", names: { kind: "Bucket" } },
});
const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "orders" } };
const inNamespace = (name: string) => ({ ...bucket, metadata: { namespace: name } });

test.each([
  ["an object in the namespace", inNamespace("orders"), namespace, true],
  ["an object in another namespace", inNamespace("other"), namespace, false],
  ["an object of the kind that is defined", bucket, definition("CustomResourceDefinition"), true],
  ["a composite of it", bucket, definition("CompositeResourceDefinition"), true],
  ["an object of another kind", object("Role", ""), definition("CustomResourceDefinition"), false],
  ["an object beside any other", inNamespace("main"), bucket, false],
])("what cannot exist without another: %s", (_, object_, absent, want) => {
  expect(cannotExistWithout(object_, absent)).toBe(want);
});
