// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { readApiPath } from "#policy/kyverno/classic/api-path";
import { splitDotted } from "#policy/kyverno/classic/dotted";

const list = (apiVersion: string, resource: string, namespace = "", labels = {}) => ({
  apiVersion,
  resource,
  namespace,
  labels,
});
const one = (apiVersion: string, resource: string, name: string, namespace = "") => ({
  apiVersion,
  resource,
  name,
  namespace,
});

test.each([
  { path: "/api/v1/namespaces", want: list("v1", "namespaces") },
  { path: "/api/v1/namespaces/x", want: one("v1", "namespaces", "x") },
  { path: "/api/v1/namespaces/x/pods", want: list("v1", "pods", "x") },
  { path: "/api/v1/namespaces/x/pods/y", want: one("v1", "pods", "y", "x") },
  { path: "/apis/apps/v1/deployments", want: list("apps/v1", "deployments") },
  {
    path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab",
    want: one("rbac.authorization.k8s.io/v1", "clusterroles", "a:b"),
  },
  {
    path: "/api/v1/pods?labelSelector=app%3Dweb,tier==x&limit=5",
    want: list("v1", "pods", "", { app: "web", tier: "x" }),
  },
  { path: "/api/v1/pods?labelSelector=app!%3Dweb", want: undefined },
  { path: "/api/v1/pods?labelSelector=app", want: undefined },
  { path: "/api/v1/pods?fieldSelector=spec.nodeName%3Dx", want: undefined },
  { path: "/api/v1/namespaces/x/pods/y/log", want: undefined },
  { path: "/api/v1", want: undefined },
  { path: "/version", want: undefined },
  { path: "/api/v1/%", want: undefined },
  { path: "", want: undefined },
])("$path", ({ path, want }) => {
  expect(readApiPath(path)).toEqual(want);
});

test.each([
  { name: "a.b.c", want: ["a", "b", "c"] },
  { name: 'a."b.c".d', want: ["a", "b.c", "d"] },
  { name: '"a""b"', want: ['a"b'] },
  { name: "", want: [""] },
])("a dotted name: $name", ({ name, want }) => {
  expect(splitDotted(name)).toEqual(want);
});
