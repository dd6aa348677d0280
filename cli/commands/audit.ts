// SPDX-License-Identifier: Apache-2.0
import { verifyAudit, type Verified } from "#responder/audit";
import type { Arguments } from "../arguments.ts";
import { type Command, exitCodes, type Io } from "../command.ts";
import { readText } from "../input/files.ts";
import { showControls } from "../output/table.ts";

/** `parapet audit verify`: whether an audit log is whole. */
export const auditCommand: Command = {
  name: "audit",
  summary: "check that the responder's audit log is whole",
  usage: "audit verify FILE [--last HASH] [-o table|json]",
  details: `Each line of the log carries a hash over itself and the line before, so that nothing can be changed, left out or put in
between unseen. A cut-off end shows only against a hash that was kept elsewhere: note the printed one, and give it as --last.`,
  options: [
    {
      name: "last",
      value: "HASH",
      help: "hash of a line that must be in the log, as noted at an earlier check",
    },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["table", "json"],
      help: "how to print the outcome",
    },
  ],
  examples: [
    { line: "parapet audit verify parapet-data/audit.jsonl", does: "check a whole log" },
    {
      line: "parapet audit verify audit.jsonl --last 5d1f...",
      does: "check also that nothing up to an earlier check was cut off",
    },
  ],
  run,
};

function run(args: Arguments, io: Io): number {
  const [verb = "", file = "", ...more] = args.positionals;
  const last = args.one("last");
  const problem = usageProblem(verb, file, more, last);
  if (problem !== undefined) {
    io.err(`parapet audit: ${problem}\nparapet audit --help shows its options\n`);
    return exitCodes.usage;
  }
  const read = readText(file, io);
  if (!read.ok) {
    io.err(`parapet audit: ${file}: ${read.message}\n`);
    return exitCodes.usage;
  }
  const outcome = withLast(verifyAudit(read.text), read.text, last);
  const isJson = args.one("output") === "json";
  io.out(isJson ? `${JSON.stringify({ file, ...outcome })}\n` : textOf(file, read.text, outcome));
  return outcome.ok ? exitCodes.good : exitCodes.failed;
}

function usageProblem(
  verb: string,
  file: string,
  more: readonly string[],
  last: string | undefined,
): string | undefined {
  if (verb !== "verify")
    return `say what to do: audit verify FILE${verb === "" ? "" : `, got ${verb}`}`;
  if (file === "") return "name the log: audit verify FILE";
  if (more.length > 0) return `one log at a time, got ${[file, ...more].join(" ")}`;
  if (last !== undefined && !/^[0-9a-f]{64}$/.test(last)) {
    return "--last must be the 64 hexadecimal digits that an earlier check printed";
  }
  return undefined;
}

type Outcome = Verified | { readonly ok: false; readonly line: number; readonly reason: string };

/** A log that is whole in itself may still have lost its end since somebody noted a hash. */
function withLast(verified: Verified, text: string, last: string | undefined): Outcome {
  if (!verified.ok || last === undefined || verified.last === last) return verified;
  const isThere = text.split("\n").some((line) => hashOf(line) === last);
  if (isThere) return verified;
  return {
    ok: false,
    line: verified.lines + 1,
    reason: `is missing: the log ends before the line with hash ${last}`,
  };
}

function hashOf(line: string): string {
  return /"hash":"([0-9a-f]{64})"\}$/.exec(line)?.[1] ?? "";
}

const shownMax = 300;

function textOf(file: string, text: string, outcome: Outcome): string {
  if (outcome.ok) {
    return `${file}: ${outcome.lines} line${outcome.lines === 1 ? "" : "s"}, whole
last hash ${outcome.last}
`;
  }
  const line = text.split("\n").filter((one) => one !== "")[outcome.line - 1] ?? "";
  const shown = line.length <= shownMax ? line : `${line.slice(0, shownMax)}...`;
  return `${file}: line ${outcome.line} ${outcome.reason}
${line === "" ? "" : `${showControls(shown)}\n`}nothing from this line on can be trusted
`;
}
