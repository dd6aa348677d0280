#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it is the process around the commands.
import { readSync, writeSync } from "node:fs";
import { enableCompileCache } from "node:module";
import type { Command, Io } from "./command.ts";

// Saves the stripping of types and the compiling of modules from the second start on.
enableCompileCache();

const { parseArguments } = await import("./arguments.ts");
const { commands } = await import("./commands.ts");
const { exitCodes, formatHelp, helpOption, refuseUsage } = await import("./command.ts");
const { suggest } = await import("./suggest.ts");
const { version } = await import("./version.ts");

/** What other command lines call it. */
const foreignNames: ReadonlyMap<string, string> = new Map([
  ["apply", "check"],
  ["audit-log", "audit"],
  ["deny", "approve"],
  ["eval", "check"],
  ["lint", "check"],
  ["validate", "check"],
  ["verify", "audit"],
]);

process.exitCode = await mainOrBug(process.argv.slice(2), makeIo());

/** What throws is our mistake, and must not look like a failed check. */
async function mainOrBug(words: readonly string[], io: Io): Promise<number> {
  try {
    return await main(words, io);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    io.err(`parapet: this is a bug in parapet, please report it\n${text}\n`);
    return exitCodes.usage;
  }
}

async function main(words: readonly string[], io: Io): Promise<number> {
  const [name = "", ...rest] = words;
  if (["", "help", "--help", "-h"].includes(name)) {
    const topic = rest[0];
    if (name === "help" && topic !== undefined) return main([topic, "--help"], io);
    io.out(overview());
    return name === "" ? exitCodes.usage : exitCodes.good;
  }
  if (name === "--version" || name === "version") {
    io.out(`parapet ${version()}\n`);
    return exitCodes.good;
  }
  const entry = commands.get(name);
  if (entry === undefined) {
    const meant = foreignNames.get(name) ?? suggest(name, [...commands.keys()]);
    const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
    io.err(`parapet: unknown command ${name}${hint}\nparapet --help lists the commands\n`);
    return exitCodes.usage;
  }
  return runCommand(await entry.load(), rest, io);
}

async function runCommand(command: Command, words: readonly string[], io: Io): Promise<number> {
  const parsed = parseArguments(words, [...command.options, helpOption]);
  if (!parsed.ok) return refuseUsage(command.name, parsed.message, io);
  if (parsed.args.flag("help")) {
    io.out(formatHelp(command, process.stdout.columns));
    return exitCodes.good;
  }
  return command.run(parsed.args, io);
}

function overview(): string {
  const width = Math.max(...[...commands.keys()].map((name) => name.length));
  const lines = [...commands].map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `usage: parapet COMMAND [OPTIONS]\n\ncommands:\n${lines.join("\n")}\n\nparapet COMMAND --help shows its options with examples; parapet --version says which this is\n`;
}

function makeIo(): Io {
  return {
    folder: folderOfCaller(),
    stdin: readStdin,
    out: (text) => writeAll(process.stdout.fd, text),
    err: (text) => writeAll(process.stderr.fd, text),
    interactive: process.stderr.isTTY,
    nowMs: () => Date.now(),
  };
}

/** npm runs a script in the package's folder: relative paths start where npm was called, as of any other command. */
function folderOfCaller(): string {
  const isScript = process.env["npm_lifecycle_event"] === "parapet";
  return (isScript ? process.env["INIT_CWD"] : undefined) ?? process.cwd();
}

function readStdin(): string {
  const chunks: Buffer[] = [];
  for (;;) {
    const chunk = Buffer.alloc(65_536);
    const size = retry(() => readSync(process.stdin.fd, chunk));
    if (size === 0) return Buffer.concat(chunks).toString("utf8");
    chunks.push(chunk.subarray(0, size));
  }
}

/** Synchronous, so that nothing is lost when the process ends; a closed pipe (`| head`) ends it quietly. */
function writeAll(fd: number, text: string): void {
  let bytes = Buffer.from(text, "utf8");
  while (bytes.length > 0) bytes = bytes.subarray(retry(() => writeSync(fd, bytes)));
}

/** Pipes may be set not to wait: then the call is repeated after a moment. */
function retry(call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "";
      if (code === "EOF") return 0;
      if (code === "EPIPE") process.exit(exitCodes.good);
      if (code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
