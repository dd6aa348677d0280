// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { isObject } from "#policy/json";
import { isolateInfo } from "#responder/actions/isolate";
import { policyKinds } from "#responder/reachability/policy-kinds";
import { parseResponsePolicy } from "#responder/response-policy";
import { repository } from "#test/support/shared";

it("takes the policy that its page shows", () => {
  const page = readFileSync(join(repository, "package/install/isolation.md"), "utf8");
  const [, block = ""] = /```yaml\n([^`]+)```/.exec(page) ?? [];
  const document: unknown = parse(block);
  if (!isObject(document)) throw new Error("no policy");
  const parsed = parseResponsePolicy(document);
  expect(parsed.ok ? [] : parsed.problems).toEqual([]);
});

it("asks to read every kind of policy, and to write those alone that it makes", () => {
  const verbsOf = (group: string, resource: string): readonly string[] =>
    isolateInfo.rbac
      .filter((rule) => rule.apiGroups.includes(group) && rule.resources.includes(resource))
      .flatMap((rule) => rule.verbs);
  for (const { group, resource } of policyKinds) {
    expect(verbsOf(group, resource)).toEqual(expect.arrayContaining(["get", "list", "watch"]));
  }
  const written = policyKinds.filter((kind) =>
    verbsOf(kind.group, kind.resource).includes("create"),
  );
  expect(written.map((kind) => kind.kind)).toEqual([
    "NetworkPolicy",
    "ClusterNetworkPolicy",
    "AdminNetworkPolicy",
    "CiliumNetworkPolicy",
    "GlobalNetworkPolicy",
  ]);
  // A pod is ended by detaching alone, whose rights are quarantine-label's.
  expect(verbsOf("", "pods")).not.toContain("delete");
});
