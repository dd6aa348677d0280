// SPDX-License-Identifier: Apache-2.0
import { stringify } from "yaml";
import { type ActionName, actionNames } from "#responder/action-spec";
import { actionTable } from "#responder/actions/table";
import { bindingsFor, rolesFor, type WatchedResource } from "#responder/rbac";
import type { ProbePlaces } from "#responder/verification/probe-rbac";
import type { Arguments } from "../arguments.ts";
import { type Command, exitCodes, type Io, refuseUsage } from "../command.ts";

/** `parapet rbac`: the least rights that the responder needs for the actions that are enabled. */
export const rbacCommand: Command = {
  name: "rbac",
  summary: "print the responder's role for the actions that are enabled",
  usage:
    "rbac [--actions NAME,...] [--watch APIVERSION/RESOURCE...] [--namespace NAME] [--console] [--probes NAMESPACE [--stand-ins NAMESPACES]]",
  details: `Prints a ClusterRole, a Role and their bindings to the responder's service account, as YAML for kubectl apply. They hold what the
responder itself and the named actions need, and nothing beyond; an action that no rule allows fails as Forbidden and is tried again later.

actions: ${actionNames.join(", ")}`,
  options: [
    {
      name: "actions",
      value: "NAMES",
      help: "actions to enable, separated by commas; isolate,rollback unless given",
    },
    {
      name: "watch",
      value: "RESOURCE",
      many: true,
      help: "a kind watched for drift, as apps/v1/deployments or v1/configmaps",
    },
    {
      name: "namespace",
      short: "n",
      value: "NAME",
      help: "where the responder runs; parapet-system unless given",
    },
    { name: "account", value: "NAME", help: "its service account; parapet-responder unless given" },
    {
      name: "probes",
      value: "NAMESPACE",
      help: "where probe pods run (verification.probes.namespace); none unless given",
    },
    {
      name: "stand-ins",
      value: "NAMESPACES",
      help: "where pods may stand in for isolated ones, separated by commas; with --probes",
    },
    { name: "keep-records", help: "no right to delete closed records (retention: 0s)" },
    { name: "console", help: "the responder serves the review console, which creates Approvals" },
    { name: "list", help: "list the actions with what each does, its inverse and its rights" },
  ],
  examples: [
    { line: "parapet rbac | kubectl apply -f -", does: "grant what isolate and rollback need" },
    {
      line: "parapet rbac --actions isolate,evict,notify --watch v1/configmaps",
      does: "for three actions, with drift of ConfigMaps seen but not taken back",
    },
  ],
  run,
};

function run(args: Arguments, io: Io): number {
  if (args.flag("list")) {
    io.out(actionNames.map(describe).join("\n"));
    return exitCodes.good;
  }
  const actions = parseActions(args.one("actions") ?? "isolate,rollback");
  const watched = (args.many("watch") ?? []).map(parseWatched);
  const namespace = args.one("namespace") ?? "parapet-system";
  const name = args.one("account") ?? "parapet-responder";
  const probes = placesOf(args);
  const places = standIns(args).map((one) => ["stand-ins", one] as const);
  const names = {
    namespace,
    account: name,
    ...(probes === undefined ? {} : { probes: probes.namespace }),
    ...Object.fromEntries(places.filter(([, one]) => !isName(one)).slice(0, 1)),
  };
  const problem = problemOf(args, [...actions, ...watched], names);
  if (problem !== undefined) return refuseUsage("rbac", problem, io);
  const config = {
    namespace,
    review: { reviewers: args.flag("console") ? [{}] : [] },
    ...(args.flag("keep-records") ? { retention: 0 } : {}),
    verification: { probes },
  };
  const kinds = watched.filter((one) => typeof one !== "string");
  const enabled = actionNames.filter((one) => actions.includes(one));
  const subject = { kind: "ServiceAccount", name, namespace };
  const objects = [...rolesFor(config, kinds, enabled), ...bindingsFor(subject, namespace, probes)];
  io.out(objects.map((object) => stringify(object)).join("---\n"));
  return exitCodes.good;
}

/** Where probes may be made; undefined without --probes. */
function placesOf(args: Arguments): ProbePlaces | undefined {
  const namespace = args.one("probes");
  return namespace === undefined ? undefined : { namespace, standInNamespaces: standIns(args) };
}

const standIns = (args: Arguments): readonly string[] =>
  (args.one("stand-ins") ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");

function problemOf(
  args: Arguments,
  parsed: readonly (string | WatchedResource)[],
  names: Readonly<Record<string, string>>,
): string | undefined {
  if (args.positionals.length > 0) return `takes no ${args.positionals.join(" ")}`;
  const wrong = Object.entries(names).find(([, name]) => !isName(name));
  if (wrong !== undefined)
    return `--${wrong[0]} is the name of an object, got ${JSON.stringify(wrong[1])}`;
  return parsed.filter((one) => typeof one === "string").find((one) => one.includes(" "));
}

const isName = (text: string): boolean => /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(text);

/** Texts with a space are problems. */
function parseActions(text: string): readonly string[] {
  const named = text.split(",").map((one) => one.trim());
  const unknown = named.find((one) => !actionNames.some((known) => known === one));
  return unknown === undefined ? named : [`no action is called ${JSON.stringify(unknown)}`];
}

function parseWatched(text: string): WatchedResource | string {
  const match = /^((?:[a-z0-9.-]+\/)?v\d[a-z0-9]*)\/([a-z0-9]+)$/.exec(text);
  if (match === null)
    return `--watch is APIVERSION/RESOURCE such as apps/v1/deployments, got ${text}`;
  return { apiVersion: match[1] ?? "", resource: match[2] ?? "" };
}

function describe(name: ActionName): string {
  const { does, targets, inverse, verified, rbac } = actionTable[name];
  const rights = rbac.map(
    (rule) =>
      `  needs     ${rule.verbs.join(", ")} on ${rule.resources.join(", ")}${rule.apiGroups[0] === "" ? "" : ` (${rule.apiGroups.join(", ")})`}\n`,
  );
  return `${name}\n  does      ${does}\n  on        ${targets.join(", ")}\n  inverse   ${inverse}\n  verified  ${verified}\n${rights.join("")}`;
}
