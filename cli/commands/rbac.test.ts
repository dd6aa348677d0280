// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { actionNames } from "#responder/action-spec";
import { repository } from "#test/support/shared";
import { makeFolder } from "../testing.ts";
import { rbacCommand } from "./rbac.ts";

const folder = makeFolder({});
afterAll(folder.remove);

const documents = (text: string): readonly unknown[] =>
  parseAllDocuments(text).map((one) => {
    const value: unknown = one.toJS();
    return value;
  });

describe("parapet rbac", () => {
  it("prints what package/install holds", async () => {
    const ran = await folder.run(rbacCommand, "--console");
    expect(ran.code).toBe(0);
    const installed = readFileSync(join(repository, "package/install/role.yaml"), "utf8");
    expect(documents(ran.out)).toEqual(documents(installed));
  });

  it("grants watched kinds only with what rollback needs of them", async () => {
    const ran = await folder.run(rbacCommand, "--watch", "apps/v1/deployments");
    expect(documents(ran.out)[0]).toMatchObject({
      rules: expect.arrayContaining([
        {
          apiGroups: ["apps"],
          resources: ["deployments"],
          verbs: ["get", "list", "watch", "patch"],
        },
      ]) as unknown,
    });
  });

  it("binds the account that is named", async () => {
    const ran = await folder.run(rbacCommand, "-n", "security", "--account", "responder");
    expect(documents(ran.out)[2]).toMatchObject({
      kind: "ClusterRoleBinding",
      subjects: [{ kind: "ServiceAccount", name: "responder", namespace: "security" }],
    });
  });

  it("lists every action", async () => {
    const ran = await folder.run(rbacCommand, "--list");
    const heads = ran.out.split("\n").filter((line) => /^[a-z]/.test(line));
    expect(heads).toEqual([...actionNames]);
  });

  it.each([
    { reason: "No such action.", words: ["--actions", "isolate,exec"], said: '"exec"' },
    { reason: "No such kind.", words: ["--watch", "deployments"], said: "apps/v1/deployments" },
    { reason: "Nothing else is taken.", words: ["isolate"], said: "isolate" },
    { reason: "A name is no YAML.", words: ["-n", "a: b"], said: "namespace" },
  ])("refuses: $reason", async ({ words, said }) => {
    const ran = await folder.run(rbacCommand, ...words);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain(said);
  });
});
