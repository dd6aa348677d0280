// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CORE_SCHEMA, load } from "js-yaml";
import { parseConfig } from "#responder/config/config";
import { repository } from "#test/support/shared";
import { parseArguments } from "../arguments.ts";
import type { Command } from "../command.ts";
import { approveCommand } from "./approve.ts";
import { auditCommand } from "./audit.ts";
import { explainCommand } from "./explain.ts";
import { importCommand } from "./import.ts";
import { rbacCommand } from "./rbac.ts";

const text = readFileSync(join(repository, "package/install/OPERATE.md"), "utf8");
const commands: readonly Command[] = [
  approveCommand,
  auditCommand,
  explainCommand,
  importCommand,
  rbacCommand,
];

/** The words of a line of a shell, whose only quotes are double and which ends at a comment. */
const wordsOf = (line: string): readonly string[] =>
  [...(line.split(" #")[0] ?? "").matchAll(/"([^"]*)"|(\S+)/g)].map(
    ([, quoted, word]) => quoted ?? word ?? "",
  );

describe("the page for whoever is on call", () => {
  const lines = text.split("\n").filter((line) => line.startsWith("parapet "));

  it("shows every command that operates the responder", () => {
    const shown = new Set(lines.map((line) => wordsOf(line)[1]));
    expect(shown).toEqual(new Set(commands.map(({ name }) => name)));
  });

  it.each(lines)("%s", (line) => {
    const [, name, ...words] = wordsOf(line);
    const command = commands.find((one) => one.name === name);
    expect(parseArguments(words, command?.options ?? [])).toMatchObject({ ok: true });
  });

  it("has settings that the responder takes", () => {
    const blocks = [...text.matchAll(/```yaml\n([^`]*)```/g)].map(([, block]): unknown =>
      load(block ?? "", { schema: CORE_SCHEMA }),
    );
    expect(blocks).toHaveLength(2);
    const environment = { PARAPET_INTAKE_TOKEN: "0123456789abcdef" };
    for (const block of blocks) {
      expect(parseConfig(block, environment)).toMatchObject({ ok: true });
    }
  });
});
