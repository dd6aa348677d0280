// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it talks to the cluster and to the person at the terminal.
import { randomUUID } from "node:crypto";
import { isObject, type JsonObject } from "#policy/json";
import { parseDuration } from "#policy/kubernetes/duration";
import type { Cluster } from "#responder/cluster";
import { approveComposite, type HeldChange } from "../approve/composite.ts";
import type { ApprovePorts, Choice } from "../approve/ports.ts";
import { approveRemediation } from "../approve/remediation.ts";
import type { Arguments } from "../arguments.ts";
import { ask } from "../cluster/ask.ts";
import { clusterOptions, connectFromProcess } from "../cluster/connect.ts";
import { type Command, exitCodes, refuseUsage, type Io } from "../command.ts";
import { readDocuments } from "../input/files.ts";

/** Longest that a decision may be acted on, in milliseconds: 30 days. */
const expiresMsMax = 30 * 24 * 3_600_000;

/** `parapet approve`: a person's decision on one plan or one held change, bound to its digest. */
export const approveCommand: Command = {
  name: "approve",
  summary: "approve or deny a remediation, or a change that the guard holds back",
  usage:
    "approve REMEDIATION -n NAMESPACE --reason TEXT | approve composite KIND NAME -n NAMESPACE --resource RESOURCE --reason TEXT",
  details: `Shows exactly what would happen, asks, and creates an Approval object bound to its digest: a changed plan or change
needs another one. The API server records who you are; whoever caused a change cannot approve it.
KIND is a composite's kind or plural (boxes.example.org where two groups have it), RESOURCE its name in the composition.`,
  options: [
    {
      name: "namespace",
      short: "n",
      value: "NAMESPACE",
      help: "where it lives; for cluster-scoped composites where their approvals live",
    },
    { name: "reason", value: "TEXT", help: "why; others will read it" },
    { name: "deny", help: "decide no; of what is in force, take it back" },
    { name: "resource", value: "RESOURCE", help: "which composed resource of the composite" },
    {
      name: "desired",
      value: "FILE",
      help: "the rendered resource with the change, to see it as a diff; believed only with the right digest",
    },
    { name: "api-version", value: "VERSION", help: "of the composite, where XRDs cannot be read" },
    {
      name: "expires",
      value: "DURATION",
      help: "how long the approval holds, such as 30m or 1h (default 1h for remediations, no end for composites)",
    },
    {
      name: "renew",
      value: "DURATION",
      help: "more time for a remediation that is in force, from now on, such as 4h (at most 720h)",
    },
    {
      name: "as",
      value: "USER",
      help: "state who approves, where no admission policy fills it in",
    },
    { name: "yes", short: "y", help: "do not ask" },
    { name: "dry-run", help: "print the Approval as YAML, create nothing" },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["table", "json"],
      help: "how to print what was created",
    },
    ...clusterOptions,
  ],
  examples: [
    {
      line: 'parapet approve web-efd3296b99 -n prod --reason "seen, isolate it"',
      does: "look at a remediation's plan and approve it",
    },
    {
      line: 'parapet approve web-efd3296b99 -n prod --deny --reason "a drill"',
      does: "deny it, or take back what is in force",
    },
    {
      line: 'parapet approve web-efd3296b99 -n prod --renew 4h --reason "still looking into it"',
      does: "keep what is in force for four hours from now",
    },
    {
      line: 'parapet approve composite Store invoices -n team-billing --resource bucket --reason "audited" --expires 1h',
      does: "let a held change through, if it is still this one within the hour",
    },
    {
      line: "parapet approve composite Store invoices -n team-billing --resource bucket --reason x --dry-run",
      does: "print the object for kubectl or Git",
    },
  ],
  failsWhen:
    "not decided: no such thing, it would have no effect, the answer was no, or the API server refuses",
  run,
};

async function run(args: Arguments, io: Io): Promise<number> {
  const parsed = parse(args, io);
  if (typeof parsed === "string") return refuseUsage("approve", parsed, io);
  const connected = await connectFromProcess(
    { kubeconfig: args.one("kubeconfig"), context: args.one("context") },
    io.folder,
  );
  if (!connected.ok) {
    io.err(`parapet approve: ${connected.message}\n`);
    return exitCodes.usage;
  }
  try {
    return await approve(portsOf(connected.cluster, io), parsed);
  } finally {
    connected.cluster.close();
  }
}

const portsOf = (cluster: Cluster, io: Io): ApprovePorts => ({
  cluster,
  ask: (question) => ask(question, io.err),
  out: io.out,
  err: io.err,
  nowMs: io.nowMs,
  suffix: () => randomUUID().slice(0, 8),
});

/** What is decided on: the name of a Remediation, or a held change. */
export type Wish = { readonly choice: Choice; readonly on: string | HeldChange };

/** Runs one decision against the ports that are given. */
export const approve = (ports: ApprovePorts, { choice, on }: Wish): Promise<number> =>
  typeof on === "string"
    ? approveRemediation(ports, choice, on)
    : approveComposite(ports, choice, on);

/** A wish from the command line; a text when it is none. */
export function parse(args: Arguments, io: Io): Wish | string {
  const on = subject(args, io);
  if (typeof on === "string" && on.startsWith("!")) return on.slice(1);
  const namespace = args.one("namespace") ?? "";
  const reason = args.one("reason") ?? "";
  if (namespace === "") return "name the namespace: -n NAMESPACE";
  if (reason.trim() === "") return 'say why: --reason "..."';
  if (reason.length > 1_024) return "--reason: at most 1024 characters";
  const expires = args.one("expires") ?? (typeof on === "string" ? "1h" : undefined);
  const expiresMs = expires === undefined ? undefined : milliseconds(expires);
  if (expires !== undefined && expiresMs === undefined) {
    return `--expires must be a duration such as 30m or 1h, at most 720h, got ${expires}`;
  }
  const renew = args.one("renew");
  const renewMs = renew === undefined ? undefined : milliseconds(renew);
  if (renew !== undefined && renewMs === undefined) {
    return `--renew must be a duration such as 4h, at most 720h, got ${renew}`;
  }
  if (renew !== undefined && (typeof on !== "string" || args.flag("deny"))) {
    return "--renew is for a remediation, and no --deny";
  }
  const choice: Choice = {
    namespace,
    decision: args.flag("deny") ? "Deny" : "Approve",
    reason,
    as: args.one("as"),
    expiresMs,
    renewMs,
    yes: args.flag("yes"),
    dryRun: args.flag("dry-run"),
    output: args.one("output") === "json" ? "json" : "table",
  };
  return { choice, on };
}

function milliseconds(text: string): number | undefined {
  const parsed = parseDuration(text);
  const ms = parsed.ok ? Number(parsed.value / 1_000_000n) : 0;
  return ms > 0 && ms <= expiresMsMax ? ms : undefined;
}

/** A Remediation's name or a held change; a text that starts with `!` is what is wrong. */
function subject(args: Arguments, io: Io): string | HeldChange {
  const [first = "", kind = "", name = "", ...more] = args.positionals;
  if (first === "composite" && (kind !== "" || args.one("resource") !== undefined)) {
    if (kind === "" || name === "" || more.length > 0) {
      return "!name one composite: approve composite KIND NAME";
    }
    const resource = args.one("resource") ?? "";
    if (resource === "") return "!name the resource in the composition: --resource RESOURCE";
    const desired = readDesired(args.one("desired"), io);
    if (typeof desired === "string") return `!${desired}`;
    return { kind, name, resource, desired, apiVersion: args.one("api-version") };
  }
  if (first === "") return "!name a Remediation, or composite KIND NAME";
  if (kind !== "") return `!one Remediation at a time, got ${args.positionals.join(" ")}`;
  return /^[a-z0-9.-]{1,253}$/.test(first)
    ? first
    : `!${first} is no name of a Remediation: lower case letters, digits, - and .`;
}

function readDesired(file: string | undefined, io: Io): JsonObject | undefined | string {
  if (file === undefined) return undefined;
  const read = readDocuments([file], io);
  const [problem] = read.errors;
  if (problem !== undefined) return `--desired ${file}: ${problem.message}`;
  const [only, second] = read.documents;
  if (only === undefined || second !== undefined || !isObject(only.value)) {
    return `--desired ${file}: must hold exactly one resource`;
  }
  return only.value;
}
