// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import { type JsonObject, textAt } from "#policy/json";
import { kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";

// The API server computes constants when a policy is written, and refuses a policy whose constants fail: so does compile.
const kubernetes = kubernetesBinaries();
const expressions = [
  "int('1') == 1",
  "int('a') == 1",
  "[1, 2][int('z')] == 1",
  "object.metadata.name == 'a' ? int('b') == 1 : true",
  "object.spec.containers.all(c, uint(-1) == 1u)",
  "1 in [int('x')]",
  "bool('maybe')",
  "int(string(1)) == 1",
  "int(string('a')) == 1",
  "int(string(1) + 'a') == 1",
  "object.x[null] == 1",
  "object.x['a'][[1]] == 2",
  "object.x[{'a': 1}] == 1",
  "object.x[[object.y]] == 1",
  "object.x[1.5] == 1",
];

const policyOf = (name: string, expression: string): JsonObject => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingAdmissionPolicy",
  metadata: { name },
  spec: {
    matchConstraints: {
      resourceRules: [
        { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
      ],
    },
    validations: [{ expression }],
  },
});

describe.skipIf(kubernetes === undefined)("constants of admission policies", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    const started = await startControlPlane({ controllers: false });
    if (started === undefined) throw new Error("no control plane");
    plane = started;
  });
  afterAll(() => plane?.stop());

  it.each(expressions.map((expression, index) => ({ expression, name: `p-${index}` })))(
    "$expression",
    async ({ name, expression }) => {
      const path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies?dryRun=All";
      const reply = await plane.api.send("POST", path, policyOf(name, expression));
      const [problem] = compile([policyOf(name, expression)]).problems;
      expect(problem === undefined ? 201 : 422).toBe(reply.status);
      // Ours says where in the text, too.
      const words = problem?.message.replace("line 1, column 1: ", "") ?? "";
      expect(textAt(reply.body, ["message"])).toContain(words);
    },
  );
});
