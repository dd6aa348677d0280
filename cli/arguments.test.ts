// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { parseArguments } from "./arguments.ts";
import type { Option } from "./arguments.ts";

const options: readonly Option[] = [
  { name: "policy", short: "p", value: "POLICY", many: true, help: "" },
  { name: "resource", short: "r", value: "RESOURCE", many: true, help: "" },
  { name: "output", short: "o", value: "FORMAT", choices: ["table", "json"], help: "" },
  { name: "strict", help: "" },
];

const parse = (line: string) => parseArguments(line.split(" ").filter(Boolean), options);

type Want = {
  readonly policy?: readonly string[];
  readonly resource?: readonly string[];
  readonly output?: string;
  readonly strict?: boolean;
  readonly positionals?: readonly string[];
};

const accepted: readonly (readonly [reason: string, line: string, want: Want])[] = [
  ["an option takes several words", "-p a b -r c", { policy: ["a", "b"], resource: ["c"] }],
  ["and may be repeated", "-p a -p b", { policy: ["a", "b"] }],
  ["a dash alone is a value", "-r -", { resource: ["-"] }],
  ["a value may be attached", "--output=json -pa", { output: "json", policy: ["a"] }],
  ["an attached value may be followed by more", "--policy=a b", { policy: ["a", "b"] }],
  ["the last of single values wins", "-o json -o table", { output: "table" }],
  ["single values leave the next word alone", "-o json x", { output: "json", positionals: ["x"] }],
  ["flags take no word", "--strict x", { strict: true, positionals: ["x"] }],
  ["two dashes end the options", "-- -p", { positionals: ["-p"] }],
];

describe("accepted", () => {
  test.each(accepted)("%s: %s", (_reason, line, want) => {
    const parsed = parse(line);
    if (!parsed.ok) throw new Error(parsed.message);
    const { args } = parsed;
    expect(args.many("policy")).toEqual(want.policy ?? []);
    expect(args.many("resource")).toEqual(want.resource ?? []);
    expect(args.one("output")).toBe(want.output);
    expect(args.flag("strict")).toBe(want.strict ?? false);
    expect(args.positionals).toEqual(want.positionals ?? []);
  });
});

const refused: readonly (readonly [reason: string, line: string, want: string])[] = [
  ["a slip is pointed out", "--polciy a", "unknown option --polciy; did you mean --policy?"],
  ["so is a beginning", "--res a", "unknown option --res; did you mean --resource?"],
  ["what is far off is not guessed", "--banana", "unknown option --banana"],
  ["a letter that nothing has", "-x", "unknown option -x"],
  ["a missing value is named", "-p", "--policy needs a value: POLICY"],
  ["the next option is no value", "-o --strict", "--output needs a value: FORMAT"],
  ["flags take no value", "--strict=yes", "--strict takes no value"],
  [
    "choices are listed",
    "-o jsno",
    "--output must be one of table, json, got jsno; did you mean json?",
  ],
];

describe("refused", () => {
  test.each(refused)("%s: %s", (_reason, line, want) => {
    const parsed = parse(line);
    expect(parsed.ok ? "accepted" : parsed.message).toBe(want);
  });
});
