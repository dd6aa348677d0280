// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject, textAt } from "#policy/json";
import { formatProblem } from "#policy/problem";
import { type ReadAlert, readAlerts } from "#responder/intake/alert";
import { type Config, parseConfig } from "#responder/config/config";
import { parseResponsePolicy, type ResponsePolicy } from "#responder/response-policy";
import type { Arguments } from "../arguments.ts";
import { clusterOptions, connectFromProcess, failureText } from "../cluster/connect.ts";
import { type Command, exitCodes, type Io, refuseUsage } from "../command.ts";
import { explainAlert, type Explanation } from "../explain/explain.ts";
import { explanationJson, formatExplanation } from "../explain/format.ts";
import { fromCluster, fromFiles, objectsOf, type Surroundings } from "../explain/surroundings.ts";
import { findFiles, readDocuments, readText } from "../input/files.ts";

/** Most alerts of one file that are explained. */
const alertsMax = 100;

/** `parapet explain`: what the responder would make of a Falco alert. */
export const explainCommand: Command = {
  name: "explain",
  summary: "say what would happen to a Falco alert, and why",
  usage:
    "explain ALERT.json -p RESPONSEPOLICY... [--pod POD...] [--kubeconfig FILE] [-o table|json]",
  details: `Reads an alert as Falco or falcosidekick posts it, finds its target, and takes it the responder's own way to the Remediation
that it would write, with the exact manifests. Nothing is acted on and nothing is written.
The pod and what is around it (its Namespace, NetworkPolicies, Remediations) come from --pod files, or with --kubeconfig from
the cluster, which then gives the ResponsePolicies too where none are named.`,
  options: [
    { name: "policy", short: "p", value: "FILE", many: true, help: "ResponsePolicies" },
    {
      name: "pod",
      value: "FILE",
      many: true,
      help: "the pod, and what is around it, as kubectl get -o yaml prints it",
    },
    { name: "config", value: "FILE", help: "the responder's configuration (default its defaults)" },
    { name: "fresh", help: "judge as at the alert's own time: an old one is for review only" },
    {
      name: "output",
      short: "o",
      value: "FORMAT",
      choices: ["table", "json"],
      help: "how to print",
    },
    ...clusterOptions,
  ],
  examples: [
    {
      line: "parapet explain alert.json -p policies/ --pod pod.yaml netpols.yaml --fresh",
      does: "offline, from files",
    },
    {
      line: "parapet explain alert.json --kubeconfig ~/.kube/config",
      does: "against what is in the cluster now",
    },
  ],
  run,
};

async function run(args: Arguments, io: Io): Promise<number> {
  const usage = (message: string): number => refuseUsage("explain", message, io);
  const unreadable = (message: string): number => {
    io.err(`parapet explain: ${message}\n`);
    return exitCodes.usage;
  };
  const [file = "", ...more] = args.positionals;
  if (file === "") return usage("name the alert: explain ALERT.json");
  if (more.length > 0)
    return usage(`one file with alerts at a time, got ${args.positionals.join(" ")}`);
  const isOnline = args.one("kubeconfig") !== undefined || args.one("context") !== undefined;
  if (!isOnline && args.many("policy").length === 0) {
    return usage(
      "name the ResponsePolicies: -p FILE..., or --kubeconfig FILE for those of a cluster",
    );
  }
  const alerts = readAlertFile(file, io);
  if (typeof alerts === "string") return unreadable(`${file}: ${alerts}`);
  const config = readConfig(args.one("config"), io);
  if (typeof config === "string") return unreadable(config);
  const named = readObjects(args.many("policy"), io);
  const around = readObjects(args.many("pod"), io);
  if (typeof named === "string") return unreadable(named);
  if (typeof around === "string") return unreadable(around);
  const { istioRootNamespace } = config.isolation;
  const given = { args, io, alerts, config, named };
  if (!isOnline) return explainAll(given, fromFiles(around, istioRootNamespace));
  const connected = await connectFromProcess(
    { kubeconfig: args.one("kubeconfig"), context: args.one("context") },
    io.folder,
  );
  if (!connected.ok) return unreadable(connected.message);
  try {
    return await explainAll(given, fromCluster(connected.cluster, istioRootNamespace));
  } finally {
    connected.cluster.close();
  }
}

type Given = {
  readonly args: Arguments;
  readonly io: Io;
  readonly alerts: readonly ReadAlert[];
  readonly config: Config;
  /** Documents of --policy; empty: those of the surroundings. */
  readonly named: readonly JsonObject[];
};

async function explainAll(given: Given, surroundings: Surroundings): Promise<number> {
  const { args, io, alerts, config } = given;
  const documents = await policyDocuments(given, surroundings);
  if (typeof documents === "string") {
    io.err(`parapet explain: ${documents}\n`);
    return exitCodes.usage;
  }
  const { policies, problems } = parsePolicies(documents);
  for (const line of problems) io.err(`parapet explain: ${line}\n`);
  const explanations: Explanation[] = [];
  for (const read of alerts) {
    const explained = await explainAlert({
      read,
      policies,
      surroundings,
      settings: config,
      nowMs: nowFor(args, read, io),
    });
    if ("ok" in explained) {
      io.err(`parapet explain: ${failureText("what is around the alert", explained)}\n`);
      return exitCodes.usage;
    }
    explanations.push(explained);
  }
  const isJson = args.one("output") === "json";
  io.out(
    isJson
      ? `${JSON.stringify(explanations.map(explanationJson), null, 2)}\n`
      : explanations.map(formatExplanation).join("\n"),
  );
  return problems.length > 0 ? exitCodes.usage : exitCodes.good;
}

function nowFor(args: Arguments, { alert }: ReadAlert, io: Io): number {
  const isFresh = args.flag("fresh") && alert.timeNs !== undefined;
  return isFresh ? Number((alert.timeNs ?? 0n) / 1_000_000n) : io.nowMs();
}

async function policyDocuments(
  { named }: Given,
  surroundings: Surroundings,
): Promise<readonly JsonObject[] | string> {
  if (named.length > 0) return named;
  const listed = await surroundings.responsePolicies();
  return listed.ok ? listed.value.items : failureText("the ResponsePolicies", listed);
}

function parsePolicies(documents: readonly JsonObject[]): {
  readonly policies: readonly ResponsePolicy[];
  readonly problems: readonly string[];
} {
  const policies: ResponsePolicy[] = [];
  const problems: string[] = [];
  for (const document of documents) {
    const kind = textAt(document, ["kind"]);
    if (kind !== "ResponsePolicy") {
      problems.push(`${kind || "a document without a kind"} is no ResponsePolicy`);
      continue;
    }
    const parsed = parseResponsePolicy(document);
    if (parsed.ok) policies.push(parsed.policy);
    else problems.push(...parsed.problems.map(formatProblem));
  }
  return { policies: policies.sort((a, b) => (a.name < b.name ? -1 : 1)), problems };
}

function readAlertFile(file: string, io: Io): readonly ReadAlert[] | string {
  const read = readText(file, io);
  if (!read.ok) return read.message;
  const { alerts, problems } = readAlerts(Buffer.from(read.text, "utf8"));
  const [problem] = problems;
  if (problem !== undefined) return `is no Falco alert: ${problem}`;
  if (alerts.length > alertsMax)
    return `holds ${alerts.length} alerts; at most ${alertsMax} are explained`;
  return alerts;
}

function readObjects(paths: readonly string[], io: Io): readonly JsonObject[] | string {
  const found = findFiles(paths, io);
  const read = readDocuments(found.files, io);
  const [problem] = [...found.errors, ...read.errors];
  if (problem !== undefined) return `${problem.file}: ${problem.message}`;
  return objectsOf(read.documents);
}

/** The intake's credentials decide nothing here, so a configuration that leaves them to the environment is complete. */
function readConfig(file: string | undefined, io: Io): Config | string {
  const objects = file === undefined ? [{}] : readObjects([file], io);
  if (typeof objects === "string") return objects;
  const [config = {}] = objects;
  if (!isObject(config)) return `${file}: must be a mapping`;
  const parsed = parseConfig(config, { PARAPET_INTAKE_TOKEN: "explain needs none of it" });
  return parsed.ok ? parsed.config : `${file}: ${parsed.problems.join("; ")}`;
}
