// SPDX-License-Identifier: Apache-2.0
import path from "node:path";
import { showControls } from "#policy/text/controls";
import type { Arguments } from "../arguments.ts";
import { exitCodes, refuseUsage } from "../command.ts";
import type { Command, Io } from "../command.ts";
import { evaluateResource, explainResponse } from "../evaluate.ts";
import type { Response } from "../evaluate.ts";
import { readText } from "../input/files.ts";
import type { Resource } from "../input/resources.ts";
import { openSession, sessionOptions } from "../input/session.ts";
import type { Session } from "../input/session.ts";
import { formatGithub, formatSarif } from "../output/annotations.ts";
import { formatExplanation } from "../output/explanation.ts";
import { makeLineOf } from "../output/lines.ts";
import { makeProgress } from "../output/progress.ts";
import { formatReport } from "../output/report.ts";
import { formatDeletions, formatJson, formatVerdictTable } from "../output/verdicts.ts";
import { deletionsOf, failOnChoices, isFailure, verdictsOf } from "../verdict.ts";
import type { Verdict } from "../verdict.ts";
import { version } from "../version.ts";

/** `parapet check`: manifests against policies. */
export const checkCommand: Command = {
  name: "check",
  summary: "check manifests against policies",
  usage: "check -p POLICY... -r RESOURCE... [-o table|json|report|sarif|github]",
  details: `Judges every resource by every policy that matches it, as kyverno apply does: mutating policies run first, and the
others see what they left. Resources of namespaced kinds without a namespace are in default.`,
  options: [
    ...sessionOptions,
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["table", "json", "report", "sarif", "github"],
      help: "how to print the verdicts",
    },
    {
      name: "fail-on",
      value: "WHAT",
      choices: failOnChoices,
      help: "what makes the exit code 1 (default enforced)",
    },
    {
      name: "report-group",
      value: "GROUP",
      choices: ["wgpolicyk8s.io", "openreports.io"],
      help: "which reports -o report writes (default wgpolicyk8s.io)",
    },
    {
      name: "explain",
      help: "print what each match condition, variable and validation gave, sub-expression by sub-expression",
    },
    { name: "all", help: "print passes and skips too, in the table" },
  ],
  examples: [
    {
      line: "parapet check -p policies/ -r app.yaml",
      does: "one file against a folder of policies",
    },
    {
      line: "helm template . | parapet check -p policies/ -r - --fail-on violation",
      does: "a rendered chart from standard input; audited violations fail too",
    },
    {
      line: "parapet check -p require-labels.yaml -r app.yaml --explain",
      does: "why one policy says what it says about one resource",
    },
    {
      line: "parapet check -p policies/*.yaml -r 'manifests/**/*.yaml' -o github",
      does: "annotations on a pull request",
    },
  ],
  failsWhen: "a violation, as --fail-on says",
  run,
};

function run(args: Arguments, io: Io): number {
  const opened = openSession(args, io);
  if (!opened.ok) return refuseUsage("check", opened.message, io);
  const { session } = opened;
  printProblems("check", session, io);
  const responses = judge(session, io);
  warnOfSilence(responses, session, io);
  const verdicts = responses.flatMap((one) => verdictsOf(one.resource, one.responses));
  const deletions = responses.flatMap((one) => deletionsOf(one.resource, one.responses));
  if (args.flag("explain")) io.out(explain(responses, session));
  else for (const part of format(verdicts, deletions, args, io)) io.out(part);
  if (session.errors.length > 0) return exitCodes.usage;
  const failOn = failOnChoices.find((one) => one === args.one("fail-on")) ?? "enforced";
  return verdicts.some((verdict) => isFailure(verdict, failOn)) ? exitCodes.failed : exitCodes.good;
}

/** What could not be read, and what is understood but not evaluated, by name. */
export function printProblems(command: string, session: Session, io: Io): void {
  const say = (line: string): void => io.err(`parapet ${command}: ${showControls(line)}\n`);
  for (const line of session.errors) say(line);
  for (const line of session.warnings) say(`warning: ${line}`);
  for (const { policy, rule, reason } of session.compilation.unsupported) {
    const name = [policy.kind, policy.namespace, policy.name, rule].filter((part) => part !== "");
    say(`unsupported: ${name.join("/")}: ${reason}`);
  }
}

/** Policies for other kinds, or other namespaces, than what is given: nothing fails then, and nobody would know. */
function warnOfSilence(judged: readonly Judged[], session: Session, io: Io): void {
  const speaks = judged.some(({ responses }) => responses.some((one) => one.results.length > 0));
  if (speaks || session.errors.length > 0) return;
  io.err("parapet check: warning: no policy speaks about any of the resources\n");
}

type Judged = { readonly resource: Resource; readonly responses: readonly Response[] };

function judge(session: Session, io: Io): readonly Judged[] {
  const progress = makeProgress(io, "resources", session.resources.length);
  const judged = session.resources.map((resource) => {
    const { set } = session.compilation;
    const { responses } = evaluateResource(set, resource.object, session.options);
    progress.step();
    return { resource, responses };
  });
  progress.end();
  return judged;
}

/** Policies that do not speak about a resource are left out. */
function explain(judged: readonly Judged[], session: Session): string {
  const texts = judged.flatMap(({ responses }) =>
    responses
      .filter(({ results }) => results.length > 0)
      .map((response) => formatExplanation(response, explainResponse(response, session.options))),
  );
  return texts.length === 0 ? "no policy speaks about any of the resources\n" : texts.join("\n");
}

function format(
  verdicts: readonly Verdict[],
  deletions: readonly Verdict[],
  args: Arguments,
  io: Io,
): Iterable<string> {
  const lineOf = makeLineOf((file) => {
    const read = file === "-" ? undefined : readText(file, io);
    return read?.ok === true ? read.text : undefined;
  });
  switch (args.one("output") ?? "table") {
    case "json":
      return formatJson(verdicts, deletions);
    case "report": {
      const isOpen = args.one("report-group") === "openreports.io";
      return [formatReport(verdicts, isOpen ? "openreports.io" : "wgpolicyk8s.io", io.nowMs())];
    }
    case "sarif":
      return [formatSarif(withPlaces(verdicts, io), lineOf, version())];
    case "github":
      return [formatGithub(withPlaces(verdicts, io), lineOf)];
    default:
      return [formatVerdictTable(verdicts, args.flag("all")), formatDeletions(deletions)];
  }
}

/** Files as GitHub knows them: from the folder in which the command runs, which there is the repository's root. */
function withPlaces(verdicts: readonly Verdict[], io: Io): readonly Verdict[] {
  return verdicts.map((verdict) => {
    if (verdict.file === "-") return verdict;
    const place = path.relative(io.folder, path.resolve(io.folder, verdict.file));
    const isInside = !place.startsWith("..") && !path.isAbsolute(place);
    return isInside ? { ...verdict, file: place.replaceAll(path.sep, "/") } : verdict;
  });
}
