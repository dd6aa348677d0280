// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";
import type { Arguments } from "../arguments.ts";
import { exitCodes, refuseUsage } from "../command.ts";
import type { Command, Io } from "../command.ts";
import { findFiles, pathKind, readDocuments } from "../input/files.ts";
import type { InputError, SourceDocument } from "../input/files.ts";
import { parseResources, unpackList } from "../input/resources.ts";
import { formatYaml } from "#policy/yaml";
import { findTests } from "../kyverno-test/suite.ts";
import { parseTest } from "../kyverno-test/test-file.ts";
import { proveRewrite } from "../migrate/prove.ts";
import type { Proof } from "../migrate/prove.ts";
import { rewritePolicy } from "../migrate/rewrite.ts";
import type { Rewrite } from "../migrate/rewrite.ts";

/** `parapet migrate`: classic policies as CEL kinds, where that is exactly possible. */
export const migrateCommand: Command = {
  name: "migrate",
  summary: "rewrite classic Kyverno policies as CEL kinds, with proof",
  usage: "migrate -p POLICY... [-r RESOURCE...] [-o yaml|json]",
  details: `Rewrites validate and mutate rules of ClusterPolicy and Policy as ValidatingPolicy and MutatingPolicy where they mean
exactly the same. Each rewrite is proven: rule and rewrite judge the resources of the policy's own tests (a .kyverno-test
folder beside it), those given with -r, and variations made from the rule. What differs anywhere is not printed but
explained, as is what has no equivalent.`,
  options: [
    {
      name: "policy",
      short: "p",
      value: "POLICY",
      many: true,
      help: "classic policies: files, folders or globs",
    },
    {
      name: "resource",
      short: "r",
      value: "RESOURCE",
      many: true,
      help: "more resources to prove the rewrite on",
    },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["yaml", "json"],
      help: "how to print (default yaml: the new policies; what was not rewritten goes to standard error)",
    },
  ],
  examples: [
    {
      line: "parapet migrate -p require-labels.yaml > require-labels-vpol.yaml",
      does: "rewrite one policy",
    },
    {
      line: "parapet migrate -p policies/ -r manifests/ -o json",
      does: "see rule by rule what can be rewritten, proven on your own manifests",
    },
  ],
  failsWhen: "a rule cannot be rewritten",
  run,
};

type Outcome = { readonly rewrite: Rewrite; readonly proof: Proof | undefined };

function run(args: Arguments, io: Io): number {
  const stray = args.positionals[0];
  if (stray !== undefined || args.many("policy").length === 0) {
    const what = stray === undefined ? "name policies with -p" : `unexpected argument ${stray}`;
    return refuseUsage("migrate", what, io);
  }
  const world = emptyWorld(io.nowMs());
  const errors: InputError[] = [];
  const policies = readPolicies(args.many("policy"), io, errors);
  const given = readResources(args.many("resource"), io, world, errors);
  const outcomes = policies.flatMap(({ file, document }) => {
    const own = [...given, ...readOwnResources(file, io, world)];
    return rewritePolicy(document).map((rewrite) => prove(rewrite, document, own, world));
  });
  for (const error of errors) io.err(`parapet migrate: ${error.file}: ${error.message}\n`);
  if (policies.length === 0) {
    if (errors.length === 0) {
      io.err("parapet migrate: no ClusterPolicy or Policy of kyverno.io among the policies\n");
    }
    return exitCodes.usage;
  }
  if (args.one("output") === "json") io.out(formatJson(outcomes));
  else printYaml(outcomes, io);
  if (errors.length > 0) return exitCodes.usage;
  return outcomes.every(isMigrated) ? exitCodes.good : exitCodes.failed;
}

type Policy = { readonly file: string; readonly document: JsonObject };

function readPolicies(paths: readonly string[], io: Io, errors: InputError[]): readonly Policy[] {
  return readAll(paths, io, errors).flatMap(({ file, value }) =>
    unpackList(value)
      .filter(isObject)
      .filter(isClassic)
      .map((document) => ({ file, document })),
  );
}

const isClassic = (document: JsonObject): boolean =>
  textAt(document, ["apiVersion"]).startsWith("kyverno.io/") &&
  /^(Cluster)?Policy$/.test(textAt(document, ["kind"]));

function readAll(
  paths: readonly string[],
  io: Io,
  errors: InputError[],
): readonly SourceDocument[] {
  const found = findFiles(paths, io);
  const read = readDocuments(found.files, io);
  errors.push(...found.errors, ...read.errors);
  return read.documents;
}

function readResources(
  paths: readonly string[],
  io: Io,
  world: World,
  errors: InputError[],
): readonly JsonObject[] {
  const parsed = parseResources(readAll(paths, io, errors), world);
  errors.push(...parsed.errors);
  return parsed.resources.map((resource) => resource.object);
}

/** Resources of the tests beside a policy; a test that cannot be read proves nothing and hurts nothing. */
function readOwnResources(file: string, io: Io, world: World): readonly JsonObject[] {
  const folder = path.join(path.dirname(file), ".kyverno-test");
  if (file === "-" || pathKind(folder, io) !== "folder") return [];
  const tests = findTests([folder], "kyverno-test.yaml", io).files;
  return tests.flatMap((test) => {
    const documents = readDocuments([test], io).documents;
    return documents.flatMap(({ value }) => {
      const parsed = parseTest(value);
      if (!parsed.ok) return [];
      const named = parsed.test.resources.map((name) => path.join(path.dirname(test), name));
      return readResources(named, io, world, []);
    });
  });
}

function prove(
  rewrite: Rewrite,
  policy: JsonObject,
  given: readonly JsonObject[],
  world: World,
): Outcome {
  if (!rewrite.ok) return { rewrite, proof: undefined };
  return { rewrite, proof: proveRewrite(policy, rewrite.rule, rewrite.documents, given, world) };
}

const isMigrated = ({ rewrite, proof }: Outcome): boolean => rewrite.ok && proof?.ok === true;

/** Why a rule was not rewritten, or undefined. */
function reasonOf({ rewrite, proof }: Outcome): string | undefined {
  if (!rewrite.ok) {
    return rewrite.path === "" ? rewrite.reason : `${rewrite.path}: ${rewrite.reason}`;
  }
  return proof?.ok === false ? `the proof failed: ${proof.reason}` : undefined;
}

function printYaml(outcomes: readonly Outcome[], io: Io): void {
  const texts = outcomes.flatMap((outcome) => {
    const { rewrite, proof } = outcome;
    const reason = reasonOf(outcome);
    if (reason !== undefined) {
      io.err(`parapet migrate: ${rewrite.policy}/${rewrite.rule} is not rewritten: ${reason}\n`);
    }
    if (!rewrite.ok || proof?.ok !== true) return [];
    const notes = [
      `From rule ${rewrite.rule} of ${rewrite.policy}: the same on ${proof.compared} changes of ${proof.given} resources and ${proof.variations} variations, of which it refused or changed ${proof.telling}.`,
      ...(proof.worded === 0
        ? []
        : [
            `${proof.worded} refusals are called fail by one and error by the other: objects that miss what every such object has.`,
          ]),
      ...rewrite.assumptions.map((assumption) => `Takes for granted: ${assumption}.`),
    ];
    const head = notes.map((note) => `# ${note.replaceAll("\n", " ")}\n`).join("");
    return [`${head}${rewrite.documents.map(formatYaml).join("---\n")}`];
  });
  io.out(texts.join("---\n"));
  const migrated = outcomes.filter(isMigrated).length;
  io.err(`parapet migrate: ${migrated} of ${outcomes.length} rules rewritten\n`);
}

function formatJson(outcomes: readonly Outcome[]): string {
  const rules = outcomes.map((outcome) => {
    const { rewrite, proof } = outcome;
    const proven = proof?.ok === true ? proof : undefined;
    return {
      policy: rewrite.policy,
      rule: rewrite.rule,
      migrated: isMigrated(outcome),
      reason: reasonOf(outcome) ?? "",
      assumptions: rewrite.ok ? rewrite.assumptions : [],
      proof:
        proven === undefined
          ? null
          : {
              resources: proven.given,
              variations: proven.variations,
              compared: proven.compared,
              telling: proven.telling,
              worded: proven.worded,
            },
      documents: rewrite.ok && proven !== undefined ? rewrite.documents : [],
    };
  });
  const migrated = rules.filter((rule) => rule.migrated).length;
  const summary = { rules: rules.length, migrated, refused: rules.length - migrated };
  return `${JSON.stringify({ summary, rules }, null, 2)}\n`;
}
