// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { isObject, textAt } from "#policy/json";
import { showControls } from "#policy/text/controls";
import { type ChainEnd, chainStart, endOfLine, verifyAudit } from "#responder/record/audit";
import { keptIn } from "#responder/evidence";
import type { Arguments } from "../arguments.ts";
import { type Command, exitCodes, refuseUsage, type Io } from "../command.ts";
import { countText } from "../output/table.ts";
import { readText } from "../input/files.ts";

/** `parapet audit verify`: whether an audit log is whole. */
export const auditCommand: Command = {
  name: "audit",
  summary: "check that the responder's audit log is whole",
  usage: "audit verify FILE... [--last HASH] [--after HASH] [--evidence FILE...] [-o table|json]",
  details: `Each line of the log carries a hash over itself and the line before, so that nothing can be changed, left out or put in
between unseen. Several files (audit.000000081234.jsonl, put aside as they grew, and audit.jsonl) are one chain, checked
in the order of their lines. A cut-off end, or a log written anew, shows only against a hash that was kept elsewhere:
note the printed one, and give it as --last. --evidence compares bundles, fetched from the store or the directory, with
the hashes that the log has for them.`,
  options: [
    {
      name: "last",
      value: "HASH",
      help: "hash of a line that must be in the log, as noted at an earlier check",
    },
    {
      name: "after",
      value: "HASH",
      help: "last hash of the files before, where those are archived: the first line continues from it",
    },
    {
      name: "evidence",
      value: "FILE",
      many: true,
      help: "bundles that the log must name with the hash of their bytes",
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
    { line: "parapet audit verify parapet-data/audit*.jsonl", does: "check a whole log" },
    {
      line: "parapet audit verify audit.jsonl --last 5d1f...",
      does: "check also that nothing up to an earlier check was cut off",
    },
    {
      line: "parapet audit verify audit.jsonl --evidence parapet-data/evidence/*.json",
      does: "check also that no bundle of evidence was changed",
    },
  ],
  failsWhen: "the log or a bundle was changed or cut off",
  run,
};

function run(args: Arguments, io: Io): number {
  const [verb = "", ...paths] = args.positionals;
  const problem = usageProblem(verb, paths, [args.one("last"), args.one("after")]);
  if (problem !== undefined) return refuseUsage("audit", problem, io);
  const bundles = args.many("evidence").map((path) => ({ path, read: readText(path, io) }));
  const logs = paths.map((path) => ({ path, read: readText(path, io) }));
  for (const { path, read } of [...logs, ...bundles]) {
    if (read.ok) continue;
    io.err(`parapet audit: ${path}: ${read.message}\n`);
    return exitCodes.usage;
  }
  const texts = logs.flatMap(({ path, read }) => (read.ok ? [{ path, text: read.text }] : []));
  const outcome = withLast(verifyAll(texts, args.one("after")), texts, args.one("last"));
  const evidence = bundles.flatMap(({ path, read }) =>
    read.ok ? [bundleOutcome(path, read.text, texts)] : [],
  );
  const isGood = outcome.ok && evidence.every((one) => one.ok);
  io.out(
    args.one("output") === "json"
      ? `${JSON.stringify({ ...(paths.length === 1 ? { file: paths[0] ?? "" } : { files: paths }), ...outcome, ...(evidence.length === 0 ? {} : { evidence }) })}\n`
      : `${textOf(texts, outcome)}${evidence.map(evidenceText).join("")}`,
  );
  return isGood ? exitCodes.good : exitCodes.failed;
}

function usageProblem(
  verb: string,
  paths: readonly string[],
  hashes: readonly (string | undefined)[],
): string | undefined {
  if (verb !== "verify")
    return `say what to do: audit verify FILE${verb === "" ? "" : `, got ${verb}`}`;
  if (paths.length === 0) return "name the log: audit verify FILE";
  if (hashes.some((hash) => hash !== undefined && !/^[0-9a-f]{64}$/.test(hash))) {
    return "--last and --after must be the 64 hexadecimal digits that an earlier check printed";
  }
  return undefined;
}

type Log = { readonly path: string; readonly text: string };

type Outcome =
  | { readonly ok: true; readonly lines: number; readonly last: string }
  | { readonly ok: false; readonly file: string; readonly line: number; readonly reason: string };

/** All files as one chain, in the order of their first lines' numbers. */
function verifyAll(logs: readonly Log[], after: string | undefined): Outcome {
  const ordered = [...logs].sort((a, b) => firstNumber(a.text) - firstNumber(b.text));
  const first = ordered[0] === undefined ? Infinity : firstNumber(ordered[0].text);
  let end: ChainEnd =
    after === undefined
      ? chainStart
      : { hash: after, number: Number.isFinite(first) ? first - 1 : 0 };
  let lines = 0;
  for (const { path, text } of ordered) {
    const verified = verifyAudit(text, end);
    if (!verified.ok)
      return { ok: false, file: path, line: verified.line, reason: verified.reason };
    lines += verified.lines;
    end = { hash: verified.last, number: end.number + verified.lines };
  }
  return { ok: true, lines, last: end.hash };
}

/** An empty file is the newest: nothing was written since the one before was put aside. */
const firstNumber = (text: string): number =>
  text === "" ? Infinity : (endOfLine(text.slice(0, Math.max(0, text.indexOf("\n"))))?.number ?? 0);

/** A log that is whole in itself may still have lost its end since somebody noted a hash. */
function withLast(verified: Outcome, logs: readonly Log[], last: string | undefined): Outcome {
  if (!verified.ok || last === undefined || verified.last === last) return verified;
  const isThere = logs.some(({ text }) => text.split("\n").some((line) => hashOf(line) === last));
  if (isThere) return verified;
  return {
    ok: false,
    file: logs.at(-1)?.path ?? "",
    line: verified.lines + 1,
    reason: `is missing: the log ends before the line with hash ${last}`,
  };
}

function hashOf(line: string): string {
  return /"hash":"([0-9a-f]{64})"\}$/.exec(line)?.[1] ?? "";
}

type BundleOutcome = { readonly file: string; readonly ok: boolean; readonly reason: string };

/** The log names a bundle by the place it was kept in; here it may lie elsewhere, so its own name and its hash are looked for. */
function bundleOutcome(path: string, text: string, logs: readonly Log[]): BundleOutcome {
  const sha256 = createHash("sha256").update(text).digest("hex");
  const name = path.split("/").at(-1) ?? "";
  const named = logs
    .flatMap((log) => log.text.split("\n"))
    .flatMap((line) => keptIn(noteOf(line)))
    .filter(({ location }) => location.split("/").at(-1) === name);
  if (named.length === 0) return { file: path, ok: false, reason: "is named nowhere in the log" };
  return named.some((one) => one.sha256 === sha256)
    ? { file: path, ok: true, reason: "as it was kept" }
    : { file: path, ok: false, reason: "was changed: the log has another hash for it" };
}

function noteOf(line: string): string {
  if (!line.includes("evidence sha256:")) return "";
  const value: unknown = JSON.parse(line);
  if (!isObject(value)) return "";
  return `${textAt(value, ["detail", "note"])}\n${textAt(value, ["detail", "message"])}`;
}

const evidenceText = ({ file, reason }: BundleOutcome): string =>
  `${showControls(file)}: ${reason}\n`;

const shownMax = 300;

function textOf(logs: readonly Log[], outcome: Outcome): string {
  if (outcome.ok) {
    const name = logs.map(({ path }) => path).join(", ");
    if (outcome.lines === 0) {
      return `${name}: no line yet, or all of them cut off: only --last with a hash noted earlier can tell\n`;
    }
    return `${name}: ${countText(outcome.lines, "line")}, whole
last hash ${outcome.last}
`;
  }
  const text = logs.find(({ path }) => path === outcome.file)?.text ?? "";
  const line = text.split("\n")[outcome.line - 1] ?? "";
  const shown = line.length <= shownMax ? line : `${line.slice(0, shownMax)}...`;
  return `${outcome.file}: line ${outcome.line} ${outcome.reason}
${line === "" ? "" : `${showControls(shown)}\n`}nothing from this line on can be trusted
`;
}
