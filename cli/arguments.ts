// SPDX-License-Identifier: Apache-2.0
import { suggest } from "./suggest.ts";

export type Option = {
  /** Without dashes, e.g. `policy`. */
  readonly name: string;
  /** One letter, e.g. `p`. */
  readonly short?: string;
  /** What its value is called in help; absent for a flag. */
  readonly value?: string;
  /** Takes every word up to the next option, and may be repeated. */
  readonly many?: boolean;
  readonly choices?: readonly string[];
  readonly help: string;
};

export type Arguments = {
  readonly positionals: readonly string[];
  readonly flag: (name: string) => boolean;
  /** The last value given, undefined when there is none. */
  readonly one: (name: string) => string | undefined;
  readonly many: (name: string) => readonly string[];
};

export type ParsedArguments =
  | { readonly ok: true; readonly args: Arguments }
  | { readonly ok: false; readonly message: string };

class UsageError extends Error {}

/**
 * Parses words by the options a command has: `--name value`, `--name=value`, `-n value`, `-nvalue`, flags, and options
 * that take several words (`-p a.yaml b.yaml -r c.yaml`). After `--` all is positional; `-` is a value.
 */
export function parseArguments(
  words: readonly string[],
  options: readonly Option[],
): ParsedArguments {
  try {
    return { ok: true, args: parse(words, options) };
  } catch (error) {
    if (error instanceof UsageError) return { ok: false, message: error.message };
    throw error;
  }
}

function parse(words: readonly string[], options: readonly Option[]): Arguments {
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  let place = 0;
  while (place < words.length) {
    const word = words[place] ?? "";
    place += 1;
    if (word === "--") {
      positionals.push(...words.slice(place));
      break;
    }
    if (!isOption(word)) {
      positionals.push(word);
      continue;
    }
    const { option, attached } = findOption(word, options);
    const given = values.get(option.name) ?? [];
    values.set(option.name, given);
    if (option.value === undefined) {
      if (attached !== undefined) throw new UsageError(`--${option.name} takes no value`);
      given.push("true");
      continue;
    }
    const taken = takeValues(option, attached, words, place);
    for (const value of taken) checkChoice(option, value);
    given.push(...taken);
    place += attached === undefined ? taken.length : taken.length - 1;
  }
  return {
    positionals,
    flag: (name) => values.has(name),
    one: (name) => values.get(name)?.at(-1),
    many: (name) => values.get(name) ?? [],
  };
}

const isOption = (word: string): boolean => word.startsWith("-") && word !== "-";

function findOption(
  word: string,
  options: readonly Option[],
): { readonly option: Option; readonly attached: string | undefined } {
  if (word.startsWith("--")) {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals === -1 ? undefined : equals);
    const option = options.find((one) => one.name === name);
    if (option === undefined) throw unknownOption(`--${name}`, name, options);
    return { option, attached: equals === -1 ? undefined : word.slice(equals + 1) };
  }
  const letter = word.slice(1, 2);
  const option = options.find((one) => one.short === letter);
  if (option === undefined) throw unknownOption(word, word.slice(1), options);
  const rest = word.slice(2).replace(/^=/, "");
  return { option, attached: rest === "" ? undefined : rest };
}

function unknownOption(shown: string, name: string, options: readonly Option[]): UsageError {
  const meant = suggest(
    name,
    options.map((option) => option.name),
  );
  return new UsageError(
    `unknown option ${shown}${meant === undefined ? "" : `; did you mean --${meant}?`}`,
  );
}

function takeValues(
  option: Option,
  attached: string | undefined,
  words: readonly string[],
  place: number,
): readonly string[] {
  const taken = attached === undefined ? [] : [attached];
  const most = option.many === true ? Infinity : 1;
  for (const word of words.slice(place)) {
    if (taken.length >= most || isOption(word)) break;
    taken.push(word);
  }
  if (taken.length === 0) throw new UsageError(`--${option.name} needs a value: ${option.value}`);
  return taken;
}

function checkChoice(option: Option, value: string): void {
  if (option.choices === undefined || option.choices.includes(value)) return;
  const meant = suggest(value, option.choices);
  const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
  throw new UsageError(
    `--${option.name} must be one of ${option.choices.join(", ")}, got ${value}${hint}`,
  );
}
