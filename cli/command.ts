// SPDX-License-Identifier: Apache-2.0
import type { Arguments, Option } from "./arguments.ts";
import type { Disk } from "./input/files.ts";
import { wrap } from "./output/wrap.ts";

/** What a command may touch of the process around it. */
export type Io = Disk & {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Whether a person watches standard error, so that a progress line makes sense. */
  readonly interactive: boolean;
  readonly nowMs: () => number;
};

export type Command = {
  readonly name: string;
  readonly summary: string;
  /** After the program's name, e.g. `test PATH...`. */
  readonly usage: string;
  readonly details: string;
  readonly options: readonly Option[];
  /** Command lines that work as they are, each with what it does. */
  readonly examples: readonly { readonly line: string; readonly does: string }[];
  /** When the exit code is 1; absent for a command that never ends so. */
  readonly failsWhen?: string;
  /** Gives the exit code, one of {@link exitCodes}. */
  readonly run: (args: Arguments, io: Io) => number | Promise<number>;
};

/** `failed`: what was asked was done, and the answer is no; `usage`: it could not be done as asked. */
export const exitCodes = { good: 0, failed: 1, usage: 2 } as const;

export const helpOption: Option = { name: "help", short: "h", help: "show this help" };

/** Says what is wrong with the words that a command was given, and where to look. */
export function refuseUsage(name: string, message: string, io: Io): number {
  io.err(`parapet ${name}: ${message}\nparapet ${name} --help shows its options\n`);
  return exitCodes.usage;
}

/** Help is at least and at most so wide, in characters, whatever the terminal: longer lines nobody reads. */
const helpWidth = { min: 40, default: 100, max: 120 } as const;
/** An option whose name and value are longer than this share of a line has its help below it. */
const labelShare = 0.4;

/** The help text of one command, for a terminal of so many columns; undefined where nobody knows. */
export function formatHelp(command: Command, columns?: number): string {
  const width = Math.min(Math.max(columns ?? helpWidth.default, helpWidth.min), helpWidth.max);
  const options = [...command.options, helpOption];
  const labels = options.map(optionLabel);
  const widest = Math.max(...labels.map((label) => label.length));
  const indent = Math.min(widest, Math.floor(width * labelShare)) + 4;
  const failed = command.failsWhen === undefined ? "" : `1 ${command.failsWhen}, `;
  const exits = `exit code: 0 good, ${failed}2 bad usage, or something that cannot be read`;
  const lines = [
    ...wrap(`usage: parapet ${command.usage}`, width),
    "",
    ...command.details.split("\n\n").flatMap((part) => wrap(part, width)),
    "",
    "options:",
    ...options.flatMap((option) => optionLines(option, indent, width)),
    "",
    "examples:",
    ...command.examples.flatMap(({ line, does }) => [`  # ${does}`, `  ${line}`]),
    "",
    ...wrap(exits, width),
  ];
  return `${lines.join("\n")}\n`;
}

function optionLines(option: Option, indent: number, width: number): readonly string[] {
  const label = `  ${optionLabel(option)}`;
  const [first = "", ...rest] = wrap(optionHelp(option), width - indent);
  const below = rest.map((line) => `${" ".repeat(indent)}${line}`);
  return label.length + 2 > indent
    ? [label, `${" ".repeat(indent)}${first}`, ...below]
    : [`${label.padEnd(indent)}${first}`, ...below];
}

function optionLabel(option: Option): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  const value = option.value === undefined ? "" : ` ${option.value}`;
  return `${short}--${option.name}${value}${option.many === true ? "..." : ""}`;
}

const optionHelp = (option: Option): string =>
  option.choices === undefined ? option.help : `${option.help}: ${option.choices.join(", ")}`;
