// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { modes } from "#responder/remediation";
import type { Arguments } from "../arguments.ts";
import { type Command, exitCodes, type Io, refuseUsage } from "../command.ts";
import { importTalon, type Imported } from "../import/talon.ts";
import { parseTalonRules } from "../import/talon-rules.ts";
import { findFiles, readDocuments } from "../input/files.ts";
import { formatYaml } from "#policy/yaml";
import { showControls } from "#policy/text/controls";

/** `parapet import talon`: rules of Falco Talon as ResponsePolicies. */
export const importCommand: Command = {
  name: "import",
  summary: "turn Falco Talon rules into ResponsePolicies",
  usage:
    "import talon RULES... [--mode Propose|Automatic|Observe] [--ttl 1h] [--strict] [-o yaml|json]",
  details: `Writes one ResponsePolicy for each rule that leaves something to do, and says on standard error, rule by rule, what has no
counterpart (lost) and what means something else here (differs). Talon acts at once; the policies propose unless --mode says
otherwise.`,
  options: [
    {
      name: "mode",
      value: "MODE",
      choices: modes,
      help: "how far the policies go by themselves (default Propose)",
    },
    { name: "ttl", value: "DURATION", help: "how long what is done lasts (default 1h)" },
    { name: "strict", help: "exit with 1 when anything was lost" },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["yaml", "json"],
      help: "how to print the policies",
    },
  ],
  examples: [
    { line: "parapet import talon rules.yaml > policies.yaml", does: "policies that propose" },
    {
      line: "parapet import talon rules.yaml --strict > /dev/null",
      does: "only see what would be lost; exit code 1 if anything is",
    },
  ],
  failsWhen: "with --strict, something was lost",
  run,
};

function run(args: Arguments, io: Io): number {
  const [from = "", ...paths] = args.positionals;
  if (from !== "talon" || paths.length === 0) {
    const what =
      from === "talon"
        ? "name the rules: import talon RULES.yaml"
        : "say what from: import talon RULES.yaml";
    return refuseUsage("import", what, io);
  }
  const found = findFiles(paths, io);
  const read = readDocuments(found.files, io);
  const errors = [...found.errors, ...read.errors];
  for (const { file, message } of errors) io.err(`parapet import: ${file}: ${message}\n`);
  if (errors.length > 0) return exitCodes.usage;
  const parsed = parseTalonRules(read.documents.map(({ value }) => value));
  if (!parsed.ok) {
    io.err(`parapet import: ${paths.join(" ")}: ${parsed.message}\n`);
    return exitCodes.usage;
  }
  const mode = modes.find((one) => one === args.one("mode")) ?? "Propose";
  const imported = importTalon(parsed.rules, { mode, ttl: args.one("ttl") ?? "1h" });
  io.err(remarksText(imported));
  io.out(formatPolicies(imported, args.one("output") === "json"));
  const isLossy = imported.some(({ remarks }) => remarks.some(({ kind }) => kind === "lost"));
  return isLossy && args.flag("strict") ? exitCodes.failed : exitCodes.good;
}

function remarksText(imported: readonly Imported[]): string {
  const lines = imported.flatMap(({ rule, remarks }) =>
    remarks.map(({ kind, text }) => `rule ${showControls(rule)}: ${kind}: ${showControls(text)}\n`),
  );
  const written = imported.filter(({ policy }) => policy !== undefined).length;
  return `${lines.join("")}${written} of ${imported.length} rules became policies\n`;
}

function formatPolicies(imported: readonly Imported[], isJson: boolean): string {
  const policies = imported.flatMap(({ policy }): readonly JsonObject[] =>
    policy === undefined ? [] : [policy],
  );
  if (isJson) {
    return `${JSON.stringify({ apiVersion: "v1", kind: "List", items: policies }, null, 2)}\n`;
  }
  return policies.map(formatYaml).join("---\n");
}
