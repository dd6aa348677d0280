// SPDX-License-Identifier: Apache-2.0
import { spawnSync, type SpawnSyncOptions } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const repository = path.join(import.meta.dirname, "..");
let installed = "";
let folder = "";

/** Lays the package out as npm installs it: below node_modules, where Node strips no types. */
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "parapet-installed-"));
  installed = path.join(folder, "node_modules/parapet");
  mkdirSync(installed, { recursive: true });
  for (const name of ["cli", "policy", "package.json"]) {
    cpSync(path.join(repository, name), path.join(installed, name), { recursive: true });
  }
  symlinkSync(path.join(repository, "node_modules"), path.join(installed, "node_modules"));
  writeFileSync(
    path.join(folder, "policy.yaml"),
    `apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: denied}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  validations: [{expression: "false", message: never}]
`,
  );
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function run(args: readonly string[], stdin = "", where: SpawnSyncOptions = {}) {
  const command = [path.join(installed, "cli/parapet.js"), ...args];
  const done = spawnSync(process.execPath, command, { cwd: folder, input: stdin, ...where });
  return {
    code: done.status,
    out: done.stdout.toString("utf8"),
    err: done.stderr.toString("utf8"),
  };
}

describe("the installed command", () => {
  test("says its version and nothing else", () => {
    const { code, out, err } = run(["--version"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^parapet \d+\.\d+\.\d+\n$/);
  });

  test("checks standard input and ends with 1 on an enforced violation", () => {
    const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n";
    const { code, out, err } = run(["check", "-p", "policy.yaml", "-r", "-"], pod);
    expect({ code, err }).toEqual({ code: 1, err: "" });
    expect(out).toContain("fail: 1");
  });

  test.each([
    ["an unknown command gets a hint", ["chekc"], /did you mean check\?/],
    ["so does what others call it", ["apply"], /did you mean check\?/],
    ["an unknown option too", ["check", "--polic", "x"], /did you mean --policy\?/],
  ])("%s and exit code 2", (_reason, args, want) => {
    const { code, err } = run(args);
    expect(code).toBe(2);
    expect(err).toMatch(want);
  });

  test("as npm's script it reads files from where npm was called, not from the package", () => {
    const env = { ...process.env, npm_lifecycle_event: "parapet", INIT_CWD: folder };
    const args = ["check", "-p", "policy.yaml", "-r", "policy.yaml"];
    expect(run(args, "", { cwd: installed, env }).code).toBe(0);
    const other = { ...env, npm_lifecycle_event: "test" };
    expect(run(args, "", { cwd: installed, env: other }).err).toContain(
      "policy.yaml: no such file",
    );
  });

  test("help is no error, no command is", () => {
    expect(run(["--help"]).code).toBe(0);
    expect(run(["help", "migrate"]).out).toContain("usage: parapet migrate");
    expect(run([]).code).toBe(2);
  });
});
