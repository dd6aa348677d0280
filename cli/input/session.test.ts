// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseArguments } from "../arguments.ts";
import { evaluateResource } from "../evaluate.ts";
import { openSession, sessionOptions } from "./session.ts";
import type { Session } from "./session.ts";

const pods = `resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [pods]}]`;

const celPolicy = (name: string, constraints: string, expression: string): string => `
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: ${name}}
spec:
  validationActions: [Deny]
  matchConstraints: {${pods.replace("resourceRules: ", "resourceRules: ")}${constraints}}
  validations: [{expression: ${JSON.stringify(expression)}}]
`;

const classicPolicy = (rule: string): string => `
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: classic}
spec:
  rules:
    - name: rule
${rule}`;

const files: Readonly<Record<string, string>> = {
  "pod.yaml":
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: prod}\nspec: {containers: [{name: a, image: 'nginx:1'}]}\n",
  "selected.yaml": celPolicy(
    "selected",
    ", namespaceSelector: {matchLabels: {tier: one}}",
    "false",
  ),
  "lookup.yaml": celPolicy(
    "lookup",
    "",
    "resource.Get('v1', 'configmaps', 'default', 'allowed').data.names.contains(object.metadata.name)",
  ),
  "image.yaml": celPolicy(
    "image",
    "",
    "image.GetMetadata(object.spec.containers[0].image).config.architecture == 'amd64'",
  ),
  "denied.yaml": celPolicy("denied", "", "false"),
  "deletes.yaml": celPolicy("deletes", "", "request.operation != 'DELETE'"),
  "exception.yaml": `
apiVersion: policies.kyverno.io/v1
kind: PolicyException
metadata: {name: web-may}
spec:
  policyRefs: [{name: denied, kind: ValidatingPolicy}]
  matchConditions: [{name: web, expression: "object.metadata.name == 'web'"}]
`,
  "configmap.yaml":
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: allowed, namespace: default}\ndata: {names: 'web,db'}\n",
  "context.yaml":
    "kind: Context\nspec:\n  images: [{image: 'nginx:1', config: {architecture: amd64}}]\n",
  "by-user.yaml":
    classicPolicy(`      match: {any: [{resources: {kinds: [Pod]}, clusterRoles: [admin]}]}
      validate: {message: no, deny: {}}
`),
  "by-map.yaml": classicPolicy(`      match: {any: [{resources: {kinds: [Pod]}}]}
      context: [{name: allowed, configMap: {name: allowed, namespace: default}}]
      validate:
        message: no
        deny: {conditions: {all: [{key: "{{ request.object.metadata.name }}", operator: NotEquals, value: "{{ allowed.data.names }}"}]}}
`),
  "by-call.yaml": classicPolicy(`      match: {any: [{resources: {kinds: [Pod]}}]}
      context: [{name: pods, apiCall: {urlPath: "/api/v1/namespaces/prod/pods", jmesPath: "length(items)"}}]
      validate:
        message: no
        deny: {conditions: {all: [{key: "{{ pods }}", operator: Equals, value: 1}]}}
`),
  "by-value.yaml": classicPolicy(`      match: {any: [{resources: {kinds: [Pod]}}]}
      validate:
        message: no
        deny: {conditions: {all: [{key: "{{ request.object.metadata.labels.tier }}", operator: Equals, value: gold}]}}
`),
  "values.yaml": `
kind: Values
policies:
  - name: classic
    resources: [{name: web, values: {request.object.metadata.labels.tier: gold}}]
namespaceSelector: [{name: prod, labels: {tier: one}}]
`,
  "user.yaml": "kind: UserInfo\nclusterRoles: [admin]\nuserInfo: {username: ann}\n",
};

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "parapet-session-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function openFor(line: string): Session {
  const parsed = parseArguments(line.split(" "), sessionOptions);
  if (!parsed.ok) throw new Error(parsed.message);
  const opened = openSession(parsed.args, {
    folder,
    stdin: () => "",
    out: () => {},
    err: () => {},
    interactive: false,
    nowMs: () => 1_750_000_000_000,
  });
  if (!opened.ok) throw new Error(opened.message);
  return opened.session;
}

function verdicts(line: string): readonly string[] {
  const session = openFor(line);
  if (session.errors.length > 0) throw new Error(session.errors.join("; "));
  return session.resources.flatMap(({ object }) =>
    evaluateResource(session.compilation.set, object, session.options).responses.flatMap(
      ({ results }) => results.map(({ result }) => result),
    ),
  );
}

const rows: readonly (readonly [reason: string, line: string, want: readonly string[]])[] = [
  ["a namespace that nobody describes has no labels", "-p selected.yaml -r pod.yaml", []],
  [
    "labels on the command line",
    "-p selected.yaml -r pod.yaml --namespace-labels prod:tier=one,x=y",
    ["fail"],
  ],
  ["labels in a Values file", "-p selected.yaml -r pod.yaml -f values.yaml", ["fail"]],
  ["a look-up without a cluster cannot be answered", "-p lookup.yaml -r pod.yaml", ["error"]],
  [
    "objects may stand for the cluster",
    "-p lookup.yaml -r pod.yaml --cluster-resource configmap.yaml",
    ["pass"],
  ],
  ["a Context file has images", "-p image.yaml -r pod.yaml --context context.yaml", ["pass"]],
  ["a policy without exception", "-p denied.yaml -r pod.yaml", ["fail"]],
  ["and with one", "-p denied.yaml -r pod.yaml -e exception.yaml", ["skip"]],
  ["the operation is told", "-p deletes.yaml -r pod.yaml --operation DELETE", ["fail"]],
  [
    "nobody known has a role that match asks for: matched by kind, as in a background scan",
    "-p by-user.yaml -r pod.yaml",
    ["fail"],
  ],
  ["a user with the role", "-p by-user.yaml -r pod.yaml -u user.yaml", ["fail"]],
  ["a ConfigMap entry without a cluster", "-p by-map.yaml -r pod.yaml", ["error"]],
  ["and with one", "-p by-map.yaml -r pod.yaml --cluster-resource configmap.yaml", ["fail"]],
  [
    "API calls see the given resources, as in kyverno apply",
    "-p by-call.yaml -r pod.yaml",
    ["fail"],
  ],
  ["a variable that is missing", "-p by-value.yaml -r pod.yaml", ["error"]],
  ["and set by a Values file", "-p by-value.yaml -r pod.yaml -f values.yaml", ["fail"]],
];

describe("what the options tell the engine", () => {
  test.each(rows)("%s", (_reason, line, want) => {
    expect(verdicts(line)).toEqual(want);
  });
});

test("rules that ask for a user say so where no user is known", () => {
  expect(openFor("-p by-user.yaml -r pod.yaml").warnings).toEqual([
    "ClusterPolicy/classic rule rule: match by clusterRoles counts for everybody: no user is known (--userinfo)",
  ]);
  expect(openFor("-p by-user.yaml -r pod.yaml -u user.yaml").warnings).toEqual([]);
});
