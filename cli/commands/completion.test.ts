// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeFolder } from "../testing.ts";
import { completionCommand } from "./completion.ts";

const folder = makeFolder({ "policy.yaml": "", "pod.yaml": "" });
let script = "";

beforeAll(async () => {
  script = (await folder.run(completionCommand, "bash")).out;
});

afterAll(() => folder.remove());

/** What a real bash offers for the last of these words. */
function offers(...words: readonly string[]): readonly string[] {
  const ask = `${script}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _parapet; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync("bash", ["-c", ask, "bash", "parapet", ...words], {
    cwd: folder.path,
    encoding: "utf8",
  });
  return out.split("\n").filter((line) => line !== "");
}

it.each([
  { reason: "commands", words: ["m"], want: ["migrate", "mutate"] },
  { reason: "options", words: ["check", "--re"], want: ["--resource", "--report-group"] },
  { reason: "only those of the command", words: ["audit", "--re"], want: [] },
  { reason: "what an option may be", words: ["check", "-o", "s"], want: ["sarif"] },
  { reason: "by its long name, too", words: ["import", "--mode", "P"], want: ["Propose"] },
  { reason: "files", words: ["check", "-p", "po"], want: ["pod.yaml", "policy.yaml"] },
  { reason: "nothing for a command that is none", words: ["chekc", "--re"], want: [] },
])("bash completes $reason", ({ words, want }) => {
  expect([...offers(...words)].sort()).toEqual([...want].sort());
});

it("is the same in zsh, by its bash compatibility", async () => {
  const { out } = await folder.run(completionCommand, "zsh");
  expect(out).toBe(`autoload -U +X bashcompinit && bashcompinit\n${script}`);
});

it.each([[[]], [["fish"]], [["bash", "zsh"]]])("refuses %j", async (words) => {
  const { code, err } = await folder.run(completionCommand, ...words);
  expect(code).toBe(2);
  expect(err).toContain("name one shell: bash or zsh");
});
