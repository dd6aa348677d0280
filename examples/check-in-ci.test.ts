// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { at, isArray, isObject, parseJson, type Json } from "#policy/json";
import { parseText } from "#policy/yaml";
import { repository } from "#test/support/shared";

// What the README of check-in-ci says, as it is written in the files for GitHub and GitLab.

const example = join(repository, "examples/check-in-ci");
const folder = mkdtempSync(join(tmpdir(), "parapet-ci-"));
symlinkSync(repository, join(folder, ".parapet"));
symlinkSync(join(example, "compositions"), join(folder, "compositions"));
afterAll(() => rmSync(folder, { recursive: true }));

const run = (line: string, compositions = "compositions") => {
  const words = line.replace("-r compositions", `-r ${compositions}`).split(" ").slice(1);
  const done = spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" });
  return { code: done.status, out: done.stdout, err: done.stderr };
};

function documentOf(file: string): Json {
  const read = parseText(readFileSync(join(example, file), "utf8"));
  if (!read.ok) throw new Error(read.message);
  return read.documents[0] ?? null;
}

const linesIn = (value: Json): readonly string[] => {
  if (typeof value === "string") return [value];
  if (isArray(value)) return value.flatMap(linesIn);
  return isObject(value) ? Object.values(value).flatMap(linesIn) : [];
};

/** The command that the file for a CI system runs. */
function commandIn(file: string): string {
  const found = linesIn(documentOf(file)).find((line) => line.startsWith("node .parapet/cli"));
  if (found === undefined) throw new Error(`no command in ${file}`);
  return found.replace(/ > .*/, "");
}

const findings = [
  ["caches", "after function-parapet only these functions may come: function-auto-ready"],
  ["networks", "the pipeline has no step of function-parapet; add it as the last step"],
  ["stores", "onViolation of the guard must be Hold or Fatal; Report lets violations through"],
] as const;

test("on GitHub each finding is an annotation of its file, and the job fails", () => {
  const { code, out, err } = run(commandIn("github.yaml"));
  expect([code, err]).toEqual([1, ""]);
  const lines = out.trim().split("\n");
  expect(lines).toHaveLength(findings.length);
  for (const [index, [name, message]] of findings.entries()) {
    expect(lines[index]).toContain(`::error file=compositions/${name}.yaml`);
    expect(lines[index]).toContain(message);
  }
});

test("on GitLab they are a SARIF file", () => {
  const { code, out, err } = run(commandIn("gitlab.yaml"));
  expect([code, err]).toEqual([1, ""]);
  const results = at(parseJson(out), ["runs", 0, "results"]);
  const texts = (isArray(results) ? results : []).map((each) => at(each, ["message", "text"]));
  for (const [, message] of findings) {
    expect(texts).toContainEqual(expect.stringContaining(message));
  }
});

test("a Composition that ends with the guard passes, settings that are missing do not", () => {
  const good = run(commandIn("github.yaml"), "compositions/queues.yaml");
  expect(good).toMatchObject({ code: 0, err: "" });
  const line = commandIn("github.yaml").replace(/ --param \S+/, "");
  expect(run(line, "compositions/queues.yaml").code).toBe(1);
});

test("a file that is no YAML is no pass", () => {
  writeFileSync(join(folder, "broken.yaml"), "a: b: c\n");
  const { code, err } = run(commandIn("github.yaml"), "broken.yaml");
  expect(code).toBe(2);
  expect(err).toContain("broken.yaml");
});
