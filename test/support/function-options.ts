// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from "node:util";
import { changes, type Change } from "#test/support/function-requests";

export type Options = {
  readonly resources: readonly number[];
  readonly policies: readonly number[];
  readonly change: readonly Change[];
  readonly managedFields: boolean;
  readonly rounds: number;
  /** Whether the functions in Go run along, and everything that is said once. */
  readonly go: boolean;
};

const help = `usage: npm run bench -- function [OPTIONS]
  --resources 1,20,200     composed resources of a request, 2 KB each, as many observed as desired
  --policies 10,50         policies in the Guardrails
  --change nothing,everything
                           what differs from one call to the next: nothing (but the order of keys), observed (the version
                           of every observed resource), everything (values in every resource, observed and desired)
  --managed-fields         observed resources with the record of who owns which field, as the API server gives them
  --rounds 10              turns of half a second for one call at a time and a third for eight
  --no-go                  without the functions in Go
The floor (a server that gives the bytes back) and the pass-through of the SDK are in every run.`;

/** Ends the process with a word where the options are none. */
export function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        resources: { type: "string", default: "1,20,200" },
        policies: { type: "string", default: "10,50" },
        change: { type: "string", default: "nothing,everything" },
        "managed-fields": { type: "boolean", default: false },
        rounds: { type: "string", default: "10" },
        go: { type: "boolean", default: true },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return stop(help, 0);
    const wanted = values.change.split(",");
    const change = changes.filter((each) => wanted.includes(each));
    if (change.length < wanted.length) throw new Error(`--change: of ${changes.join(", ")}`);
    return {
      resources: numbers("resources", values.resources, 1, 1000),
      policies: numbers("policies", values.policies, 5, 130),
      change,
      managedFields: values["managed-fields"],
      rounds: numbers("rounds", values.rounds, 1, 1000)[0] ?? 1,
      go: values.go,
    };
  } catch (error) {
    return stop(`${error instanceof Error ? error.message : "wrong options"}\n\n${help}`, 2);
  }
}

function numbers(name: string, text: string, min: number, max: number): readonly number[] {
  const found = text.split(",").map(Number);
  if (found.every((each) => Number.isInteger(each) && each >= min && each <= max)) return found;
  throw new Error(`--${name}: whole numbers from ${min} to ${max}`);
}

function stop(text: string, code: number): never {
  console.log(text);
  process.exit(code);
}
