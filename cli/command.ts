// SPDX-License-Identifier: Apache-2.0
import type { Arguments, Option } from "./arguments.ts";
import type { Disk } from "./input/files.ts";

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
  /** Gives the exit code: 0 good, 1 a failed check or an enforced violation, 2 bad usage or unreadable input. */
  readonly run: (args: Arguments, io: Io) => number | Promise<number>;
};

export const exitCodes = { good: 0, failed: 1, usage: 2 } as const;

export const helpOption: Option = { name: "help", short: "h", help: "show this help" };

/** The help text of one command. */
export function formatHelp(command: Command): string {
  const options = [...command.options, helpOption].map((option): [string, string] => [
    optionLabel(option),
    optionHelp(option),
  ]);
  const width = Math.max(...options.map(([label]) => label.length));
  const lines = [
    `usage: parapet ${command.usage}`,
    "",
    command.details,
    "",
    "options:",
    ...options.map(([label, help]) => `  ${label.padEnd(width)}  ${help}`),
    "",
    "examples:",
    ...command.examples.flatMap(({ line, does }) => [`  # ${does}`, `  ${line}`]),
    "",
    "exit code: 0 good, 1 a failed check or an enforced violation, 2 bad usage or unreadable input",
  ];
  return `${lines.join("\n")}\n`;
}

function optionLabel(option: Option): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  const value = option.value === undefined ? "" : ` ${option.value}`;
  return `${short}--${option.name}${value}${option.many === true ? "..." : ""}`;
}

const optionHelp = (option: Option): string =>
  option.choices === undefined ? option.help : `${option.help}: ${option.choices.join(", ")}`;
