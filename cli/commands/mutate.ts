// SPDX-License-Identifier: Apache-2.0
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { Arguments } from "../arguments.ts";
import { exitCodes, refuseUsage } from "../command.ts";
import type { Command, Io } from "../command.ts";
import { evaluateResource } from "../evaluate.ts";
import type { Response } from "../evaluate.ts";
import { formatKey, keyOf } from "../input/resources.ts";
import type { Resource } from "../input/resources.ts";
import { openSession, sessionOptions } from "../input/session.ts";
import type { Session } from "../input/session.ts";
import { formatYaml } from "#policy/yaml";
import { showControls } from "#policy/text/controls";
import { findDifferences } from "../kyverno-test/compare.ts";
import type { ValueDifference } from "../kyverno-test/compare.ts";
import { policyName } from "../verdict.ts";
import { printProblems } from "./check.ts";

/** `parapet mutate`: resources as the mutating policies leave them. */
export const mutateCommand: Command = {
  name: "mutate",
  summary: "print resources after mutation",
  usage: "mutate -p POLICY... -r RESOURCE... [-o yaml|json] [--diff]",
  details: `Runs the mutating policies on every resource, each on what the one before it left, and prints the resources. Those
that no policy changes are printed as they are. Where a policy or a resource cannot be read, none is printed.`,
  options: [
    ...sessionOptions,
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["yaml", "json"],
      help: "how to print (default yaml)",
    },
    { name: "diff", help: "print what changed and by which policy instead of the resources" },
  ],
  examples: [
    {
      line: "parapet mutate -p policies/ -r app.yaml | kubectl apply -f -",
      does: "apply what the policies make of a file",
    },
    {
      line: "parapet mutate -p add-defaults.yaml -r app.yaml --diff",
      does: "see what a policy would change",
    },
  ],
  failsWhen: "a policy could not be applied",
  run,
};

type Mutated = {
  readonly resource: Resource;
  readonly object: JsonObject;
  readonly responses: readonly Response[];
};

function run(args: Arguments, io: Io): number {
  const opened = openSession(args, io);
  if (!opened.ok) return refuseUsage("mutate", opened.message, io);
  const { session } = opened;
  printProblems("mutate", session, io);
  const mutated = session.resources.map((resource) => mutateOne(resource, session));
  const failures = mutated.flatMap(failuresOf);
  for (const failure of failures) io.err(`parapet mutate: ${failure}\n`);
  const isWhole = session.errors.length === 0 && failures.length === 0;
  if (args.flag("diff")) io.out(formatDiff(mutated, args));
  // Whoever pipes this to `kubectl apply` must not apply what a policy that could not be read has not changed.
  else if (isWhole) io.out(formatResources(mutated, args));
  if (session.errors.length > 0) return exitCodes.usage;
  return failures.length > 0 ? exitCodes.failed : exitCodes.good;
}

function mutateOne(resource: Resource, session: Session): Mutated {
  const options = { ...session.options, only: "mutate" } as const;
  const { object, responses } = evaluateResource(session.compilation.set, resource.object, options);
  return { resource, object, responses };
}

const failuresOf = ({ resource, responses }: Mutated): readonly string[] =>
  responses.flatMap((response) =>
    response.results
      .filter(({ result }) => result === "error" || result === "fail")
      .map((result) => {
        const rule = [policyName(result), result.rule].filter((part) => part !== "").join("/");
        return `${rule} on ${formatKey(keyOf(resource.object))}: ${result.message}`;
      }),
  );

function formatResources(mutated: readonly Mutated[], args: Arguments): string {
  const objects = mutated.map(({ resource, object }) =>
    resource.placed ? withoutNamespace(object) : object,
  );
  if (args.one("output") !== "json") return objects.map(formatYaml).join("---\n");
  const [first] = objects;
  const list: Json = { apiVersion: "v1", kind: "List", items: objects };
  return `${JSON.stringify(objects.length === 1 && first !== undefined ? first : list, null, 2)}\n`;
}

/** Takes back the namespace that reading put in: who applies the output chooses it. */
function withoutNamespace(object: JsonObject): JsonObject {
  const { metadata, ...others } = object;
  if (!isObject(metadata) || metadata["namespace"] !== "default") return object;
  const { namespace: _, ...kept } = metadata;
  const { apiVersion, kind, ...rest } = others;
  return {
    ...(apiVersion === undefined ? {} : { apiVersion }),
    ...(kind === undefined ? {} : { kind }),
    metadata: kept,
    ...rest,
  };
}

type Change = {
  readonly resource: string;
  readonly policy: string;
  readonly changes: readonly ValueDifference[];
};

function formatDiff(mutated: readonly Mutated[], args: Arguments): string {
  const changes = mutated.flatMap(changesOf);
  if (args.one("output") === "json") {
    const shown = changes.map(({ resource, policy, changes: differences }) => ({
      resource,
      policy,
      changes: differences.map(({ path, expected, actual }) => ({
        path,
        before: expected ?? null,
        after: actual ?? null,
      })),
    }));
    return `${JSON.stringify(shown, null, 2)}\n`;
  }
  return changes.map(formatChange).join("");
}

const changesOf = ({ responses }: Mutated): readonly Change[] =>
  responses
    .filter((response) => response.after !== response.before)
    .map((response) => {
      const changes: ValueDifference[] = [];
      findDifferences(response.after, response.before, "", changes);
      const { namespace, name } = response.policy.ref;
      return {
        resource: formatKey(keyOf(response.before)),
        policy: namespace === "" ? name : `${namespace}/${name}`,
        changes,
      };
    })
    .filter(({ changes }) => changes.length > 0);

function formatChange({ resource, policy, changes }: Change): string {
  const lines = changes.map(({ path, expected, actual }) => {
    if (expected === undefined) return `  + ${path}: ${JSON.stringify(actual)}`;
    if (actual === undefined) return `  - ${path}: ${JSON.stringify(expected)}`;
    return `  ~ ${path}: ${JSON.stringify(expected)} -> ${JSON.stringify(actual)}`;
  });
  return `${[`${resource}, by ${policy}`, ...lines].map((line) => showControls(line)).join("\n")}\n`;
}
