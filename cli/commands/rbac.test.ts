// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { at, isArray, isObject, type JsonObject, textAt } from "#policy/json";
import { actionNames } from "#responder/action-spec";
import { repository } from "#test/support/shared";
import { makeFolder } from "../testing.ts";
import { rbacCommand } from "./rbac.ts";

const folder = makeFolder({});
afterAll(folder.remove);

const documents = (text: string): readonly JsonObject[] =>
  parseAllDocuments(text)
    .map((one) => {
      const value: unknown = one.toJS();
      return value;
    })
    .filter(isObject);

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

  it("allows pods where probes are made, and nowhere else", async () => {
    const ran = await folder.run(rbacCommand, "--probes", "probes", "--stand-ins", "shop, dev");
    const roles = documents(ran.out).filter((one) => at(one, ["kind"]) === "Role");
    const pods = roles.flatMap((one) => {
      const rules = at(one, ["rules"]);
      const has = JSON.stringify(rules).includes('"pods"');
      return has ? [textAt(one, ["metadata", "namespace"])] : [];
    });
    expect(pods).toEqual(["dev", "probes", "shop"]);
    const [cluster] = documents(ran.out);
    const rules = at(cluster, ["rules"]);
    const verbs = isArray(rules)
      ? rules.filter((one) => at(one, ["resources", 0]) === "pods").map((one) => at(one, ["verbs"]))
      : [];
    expect(verbs).toEqual([["get", "list", "watch", "patch"]]);
  });

  it("leaves out the right to delete closed records where they are kept", async () => {
    const ran = await folder.run(rbacCommand, "--keep-records");
    expect(JSON.stringify(documents(ran.out)[0])).not.toMatch(/"remediations"[^}]*"delete"/);
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
    { reason: "Nor is this one.", words: ["--probes", "a: b"], said: "probes" },
    { reason: "Nor this.", words: ["--stand-ins", "shop,a: b"], said: "stand-ins" },
  ])("refuses: $reason", async ({ words, said }) => {
    const ran = await folder.run(rbacCommand, ...words);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain(said);
  });
});
