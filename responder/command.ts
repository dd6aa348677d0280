// SPDX-License-Identifier: Apache-2.0
import { hostname } from "node:os";
import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import {
  type Config,
  configSchema,
  environmentSettings,
  parseConfig,
} from "#responder/config/config";
import { readConfigFiles } from "#responder/adapters/config-files";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { makeLog } from "#responder/log";
import { runResponder } from "#responder/run";

const help = async (): Promise<string> => {
  // Needed here only, and every file costs a start some milliseconds.
  const { settingsOf } = await import("#responder/config/settings");
  return `parapet responder: takes Falco alerts and drift, decides by ResponsePolicies, proposes or acts, and can undo all of it.

Usage: npm run responder -- [--config FILE] [--check]

  --config FILE  YAML with the settings below; also PARAPET_CONFIG
  --check        read the configuration and the files that it names, report every problem, and end (also --check-config)
  --help         this text

Settings by environment (each replaces one of the file):
${Object.entries(environmentSettings)
  .map(([name, path]) => `  ${name.padEnd(27)} ${path.join(".")}`)
  .join("\n")}
  PARAPET_INTAKE_TOKEN        one more bearer token for the intake (16 characters at least)
  KUBECONFIG                  cluster.kubeconfig, unless that is set; without either the pod's service account

Settings of the file (durations as 30s, 10m, 4h; value holds a secret itself, file names where it stands):
${settingsOf(configSchema())
  .map((one) => `  ${one.path.padEnd(42)} ${one.kind}`)
  .join("\n")}

The intake answers on intake.listen (POST /falco), health and metrics on operations.listen (/healthz; /readyz while alerts are
taken; /readyz/acting while they are acted on; /status; /metrics), the review console on review.listen (/console).

Ends with 0 after SIGTERM or SIGINT, with 1 when it cannot start, with 2 for a wrong argument or configuration.`;
};

/** Runs the command line. Resolves with an exit code, or with undefined while the responder runs. */
export async function main(args: readonly string[]): Promise<number | undefined> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`${await help()}\n`);
    return 0;
  }
  const options = readArguments(args);
  if (typeof options === "string") {
    process.stderr.write(`${options}\nTry --help.\n`);
    return 2;
  }
  const config = await readConfig(options.file ?? process.env["PARAPET_CONFIG"]);
  if (typeof config !== "object") {
    process.stderr.write(`${config}\n`);
    return 2;
  }
  if (options.checkOnly) return check(config);
  const log = makeLog((line) => process.stderr.write(line), Date.now);
  const running = await runResponder({ ...config, identity: config.identity ?? hostname() }, log);
  let stopping = false;
  const stop = (signal: string): void => {
    if (stopping) return;
    stopping = true;
    log("info", "stopping", { signal });
    running
      .stop()
      .then(() => process.exit(0))
      .catch((error: unknown) => {
        log("error", "did not stop cleanly", {
          error: error instanceof Error ? error.message : "",
        });
        process.exit(1);
      });
  };
  // npm passes on the Ctrl-C that its child has had already: the second one must not cut the first one short.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop(signal));
  return undefined;
}

/** Reads the files too, as a start would, and connects to nothing. */
async function check(config: Config): Promise<number> {
  const files = await readConfigFiles(config);
  const problems = [...(files.ok ? [] : files.problems), ...(await clusterProblems(config))];
  if (problems.length === 0) process.stdout.write("the configuration is valid\n");
  else process.stderr.write(`${list(problems)}\n`);
  return problems.length === 0 ? 0 : 2;
}

async function clusterProblems({ cluster }: Config): Promise<readonly string[]> {
  if (cluster.kubeconfig === undefined) return [];
  try {
    await fromKubeconfig(cluster.kubeconfig, cluster.context);
    return [];
  } catch (error) {
    return [`cluster: ${error instanceof Error ? error.message : "cannot be read"}`];
  }
}

const list = (problems: readonly string[]): string =>
  [`The configuration has ${problems.length} problem(s):`, ...problems].join("\n  ");

function readArguments(
  args: readonly string[],
): { readonly file: string | undefined; readonly checkOnly: boolean } | string {
  let file: string | undefined;
  let checkOnly = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--check" || arg === "--check-config") checkOnly = true;
    else if (arg === "--config") {
      i += 1;
      file = args[i];
      if (file === undefined) return "--config needs a file";
    } else return `unknown argument ${arg}`;
  }
  return { file, checkOnly };
}

async function readConfig(file: string | undefined): Promise<Config | string> {
  let content: unknown;
  if (file !== undefined) {
    try {
      content = parse(await readFile(file, "utf8"));
    } catch (error) {
      // Not the lines of the file, which a parser's message goes on with: secrets may stand there.
      const [why = ""] = (error instanceof Error ? error.message : "cannot be read").split("\n", 1);
      return `${file}: ${why.replace(/:$/, "")}`;
    }
  }
  const kubeconfig = process.env["PARAPET_KUBECONFIG"] ?? process.env["KUBECONFIG"]?.split(":")[0];
  const parsed = parseConfig(content, { ...process.env, PARAPET_KUBECONFIG: kubeconfig });
  if (parsed.ok) return parsed.config;
  return list(parsed.problems);
}
