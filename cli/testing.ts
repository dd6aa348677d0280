// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: tests run commands in a folder of their own with it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { RuleResult } from "#policy/report/result";
import { parseArguments } from "./arguments.ts";
import { type Command, helpOption, type Io } from "./command.ts";

/** What a command said, and its exit code. */
export type Ran = { readonly code: number; readonly out: string; readonly err: string };

export type Folder = {
  readonly path: string;
  /** Runs a command there; words that hold spaces are given as such. Throws where the options themselves are wrong. */
  readonly run: (command: Command, ...words: readonly string[]) => Promise<Ran>;
  readonly remove: () => void;
};

/** A folder with these files. */
export function makeFolder(files: Readonly<Record<string, string>>): Folder {
  const path = mkdtempSync(join(tmpdir(), "parapet-cli-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return {
    path,
    run: async (command, ...words) => {
      const parsed = parseArguments(words, [...command.options, helpOption]);
      if (!parsed.ok) throw new Error(parsed.message);
      const said = { out: "", err: "" };
      const code = await command.run(parsed.args, makeIo(path, said));
      return { code, ...said };
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** A time that tests may count with. */
export const testNowMs = Date.UTC(2026, 10, 22, 10, 0, 0);

/** The process around a command, as far as tests look at it. */
export const makeIo = (folder: string, said: { out: string; err: string }): Io => ({
  folder,
  stdin: () => "",
  out: (text) => (said.out += text),
  err: (text) => (said.err += text),
  interactive: false,
  nowMs: () => testNowMs,
});

/** A verdict of a classic policy's rule, with what a test does not speak of. */
export const ruleResult = (more: Partial<RuleResult>): RuleResult => ({
  policy: { apiVersion: "kyverno.io/v1", kind: "ClusterPolicy", namespace: "", name: "labels" },
  rule: "check",
  type: "Validation",
  result: "fail",
  message: "label app is missing",
  action: "Audit",
  severity: undefined,
  category: undefined,
  scored: true,
  source: "kyverno",
  properties: {},
  exceptions: [],
  unsupported: undefined,
  ...more,
});
