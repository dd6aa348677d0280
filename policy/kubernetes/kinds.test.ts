// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import {
  guessPlural,
  isNamespacedKind,
  parseApiVersion,
  pluralOf,
  reviewOf,
} from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";

const plurals = {
  Pod: ["pods", "the plain rule"],
  NetworkPolicy: ["networkpolicies", "consonant and y"],
  Gateway: ["gateways", "vowel and y: a provider kind that Kyverno's own guess gets wrong"],
  Ingress: ["ingresses", "ss"],
  Endpoints: ["endpoints", "the only plural kind of the core group"],
  EndpointSlice: ["endpointslices", "starts like the irregular one"],
  BucketOwnershipControls: ["bucketownershipcontrols", "already plural"],
  AccountSettings: ["accountsettings", "already plural"],
  Index: ["indices", "irregular"],
  ReplicaIndex: ["replicaindices", "irregular at the end of a longer name"],
  Status: ["statuses", "us is no plural"],
  FirewallRules: ["firewallrules", "already plural after a vowel"],
} satisfies Record<string, readonly [string, string]>;

describe("guessPlural", () => {
  for (const [kind, [want, reason]] of Object.entries(plurals)) {
    test(`${kind}: ${reason}`, () => expect(guessPlural(kind)).toBe(want));
  }
});

test("apiVersions split at the first slash; the core group has no name", () => {
  expect(parseApiVersion("v1")).toEqual({ group: "", version: "v1" });
  expect(parseApiVersion("apps/v1")).toEqual({ group: "apps", version: "v1" });
});

test("scope is known for Kubernetes' kinds only", () => {
  const kind = (group: string, name: string) =>
    isNamespacedKind({ group, version: "v1", kind: name });
  expect(kind("", "Node")).toBe(false);
  expect(kind("", "Pod")).toBe(true);
  expect(kind("rbac.authorization.k8s.io", "ClusterRole")).toBe(false);
  expect(kind("rbac.authorization.k8s.io", "Role")).toBe(true);
  expect(kind("s3.aws.upbound.io", "Bucket")).toBeUndefined();
  expect(kind("constructor", "Bucket")).toBeUndefined();
});

test("the World's plural wins over the guess", () => {
  const world = {
    ...emptyWorld(0),
    resourceOf: () => ({ resource: "indexes", namespaced: false }),
  };
  const kind = { group: "x", version: "v1", kind: "Index" };
  expect(pluralOf(kind, world)).toEqual({ resource: "indexes", namespaced: false });
});

describe("reviewOf", () => {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "a", namespace: "b" } };
  test("DELETE has the object as oldObject alone, as in an admission request", () => {
    const review = reviewOf(pod, { operation: "DELETE" });
    expect([review.object, review.oldObject]).toEqual([null, pod]);
  });
  test("UPDATE without an old object compares the object with itself", () => {
    expect(reviewOf(pod, { operation: "UPDATE" }).oldObject).toBe(pod);
    expect(reviewOf(pod, { operation: "UPDATE", oldObject: null }).oldObject).toBeNull();
  });
  test("a Namespace is in itself", () => {
    const review = reviewOf({ apiVersion: "v1", kind: "Namespace", metadata: { name: "team" } });
    expect(review.namespace).toBe("team");
    expect(review.resource.resource).toBe("namespaces");
  });
  test("an object without metadata has empty names and no crash", () => {
    expect(reviewOf({}).name).toBe("");
  });
});
