// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseArguments } from "#cli/arguments";
import { helpOption } from "#cli/command";
import { commands } from "#cli/commands";
import { field, isObject, parseJson } from "#policy/json";
import { findUntruths, type Repository } from "#test/support/documents";

const root = join(import.meta.dirname, "../..");

describe("what documents say", () => {
  const repository = (text: string): Repository => ({
    documents: new Map([
      ["docs/a.md", text],
      ["docs/b.md", "# Open connections, and `more`\n"],
    ]),
    files: ["docs/a.md", "docs/b.md", "policy/compile.ts", "function/metrics-http.ts"],
    scripts: new Set(["bench", "parapet"]),
    targets: new Set(["demo"]),
    commandProblem: ([name]) => (name === "check" ? undefined : `no command ${name}`),
  });
  it.each([
    {
      reason: "a link to a file",
      text: "[b](b.md), [folder](../docs), [web](https://x.org/y)",
      want: [],
    },
    { reason: "a dead link", text: "[c](c.md)", want: ["the link c.md leads to nothing"] },
    { reason: "a heading", text: "[b](b.md#open-connections-and-more)", want: [] },
    {
      reason: "a dead heading",
      text: "[b](b.md#open)",
      want: ["the link b.md#open leads to no heading"],
    },
    {
      reason: "a file by its end, and several",
      text: "`compile.ts`, `metrics*.ts`, `policy/`",
      want: [],
    },
    {
      reason: "a file that is gone",
      text: "`decide.ts`",
      want: ["decide.ts is no file of the repository"],
    },
    {
      reason: "a path that is gone",
      text: "`policy/x`",
      want: ["policy/x is no file of the repository"],
    },
    { reason: "somebody else's file", text: "`alert.json` and `kubectl get x`", want: [] },
    {
      reason: "a script and a target",
      text: "```\n$ make demo   # see\nnpm run bench -- NAME\n```\n",
      want: [],
    },
    { reason: "no such script", text: "`npm run benhc`", want: ["npm has no script benhc"] },
    { reason: "no such target", text: "```\nmake dmeo\n```\n", want: ["make has no dmeo"] },
    {
      reason: "a command of ours behind a pipe, in npm's words, over two lines",
      text: "```\nhelm template . | parapet check -r -\nnpm run -s parapet -- \\\n  chekc\n```\n",
      want: ["npm run -s parapet -- chekc: no command chekc"],
    },
  ])("is held to be so: $reason", ({ text, want }) => {
    expect(findUntruths(repository(text))).toEqual(want.map((line) => `docs/a.md: ${line}`));
  });
});

/** The options that a command line gives must be options of that command; files need not be there. */
async function commandProblems(): Promise<Repository["commandProblem"]> {
  const loaded = new Map(
    await Promise.all(
      [...commands].map(async ([name, { load }]) => [name, (await load()).options] as const),
    ),
  );
  return ([name = "", ...words]) => {
    const options = loaded.get(name);
    // Options of the program itself, and a word that stands for any command.
    if (name.startsWith("-") || /^[A-Z]+$/.test(name)) return undefined;
    if (options === undefined) return `no command ${name}`;
    const parsed = parseArguments(words, [...options, helpOption]);
    return parsed.ok ? undefined : parsed.message;
  };
}

it("every variable that the tests read is in CONTRIBUTING.md", () => {
  const listed = execFileSync("git", ["grep", "-hoE", 'env\\["[A-Z_]+"\\]', "--", "test"], {
    cwd: root,
    encoding: "utf8",
  });
  const names = new Set([...listed.matchAll(/"([A-Z_]+)"/g)].map(([, name = ""]) => name));
  const ours = [...names].filter((name) => /^(PARAPET|KUBEBUILDER)_/.test(name)).sort();
  const text = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");
  expect(ours.length).toBeGreaterThan(5);
  expect(ours.filter((name) => !text.includes(`\`${name}`))).toEqual([]);
});

it("what our own documents say is so", async () => {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  const files = listed.split("\n").filter((file) => file !== "");
  const read = (file: string): string => readFileSync(join(root, file), "utf8");
  const scripts = field(parseJson(read("package.json")), "scripts");
  const targets = [...read("Makefile").matchAll(/^([a-z_-]+):/gm)].map(([, name = ""]) => name);
  const documents = files.filter((file) => file.endsWith(".md"));
  expect(documents.length).toBeGreaterThan(20);
  expect(
    findUntruths({
      documents: new Map(documents.map((file) => [file, read(file)])),
      // The image has the function bundled into one file.
      files: [...files, "function/main.js"],
      scripts: new Set(isObject(scripts) ? Object.keys(scripts) : []),
      targets: new Set(targets),
      commandProblem: await commandProblems(),
    }),
  ).toEqual([]);
});
