// SPDX-License-Identifier: Apache-2.0
import { hostname } from "node:os";
import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { type Config, environmentSettings, parseConfig } from "#responder/config";
import { makeLog } from "#responder/log";
import { runResponder } from "#responder/run";

const help = `parapet responder: takes Falco alerts and drift, decides by ResponsePolicies, proposes or acts, and can undo all of it.

Usage: npm run responder -- [--config FILE] [--check]

  --config FILE  YAML with the settings below; also PARAPET_CONFIG
  --check        read the configuration, report every problem, and end

Settings by environment (each replaces one of the file):
${Object.entries(environmentSettings)
  .map(([name, path]) => `  ${name.padEnd(27)} ${path.join(".")}`)
  .join("\n")}
  PARAPET_INTAKE_TOKEN        one more bearer token for the intake (16 characters at least)
  KUBECONFIG                  cluster.kubeconfig, unless that is set; without either the pod's service account

Other settings: intake.tokens[].{name,value|file}, intake.basic[].{name,user,value|file}, intake.tls.{certFile,keyFile,clientCaFile},
intake.clientNames, review.{reviewers[].{name,value|file},sessionKey,tls}, queue.{name,concurrency}, spoolBytesMax, protectedNamespaces,
notify.destinations[].{name,format,url|urlFile,secret.{value|file},timeout}, evidenceDirectory,
evidenceS3.{bucket,prefix,region,endpoint,pathStyle,caFile,credentials.{accessKeyIdFile,secretAccessKeyFile,sessionTokenFile},
encryption.{algorithm,keyId},retention.{mode,days},tries,timeout},
alertAgeMax, settle, actConcurrency, drift.{resources[].{apiVersion,kind},trustedManagers}.

The intake answers on intake.listen (POST /falco), health and metrics on operations.listen (/healthz /readyz /metrics),
the review console on review.listen (/console).`;

/** Runs the command line. Resolves with an exit code, or with undefined while the responder runs. */
export async function main(args: readonly string[]): Promise<number | undefined> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(`${help}\n`);
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
  if (options.checkOnly) {
    process.stdout.write("the configuration is valid\n");
    return 0;
  }
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

function readArguments(
  args: readonly string[],
): { readonly file: string | undefined; readonly checkOnly: boolean } | string {
  let file: string | undefined;
  let checkOnly = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--check") checkOnly = true;
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
      return `${file}: ${error instanceof Error ? error.message : "cannot be read"}`;
    }
  }
  const kubeconfig = process.env["PARAPET_KUBECONFIG"] ?? process.env["KUBECONFIG"]?.split(":")[0];
  const parsed = parseConfig(content, { ...process.env, PARAPET_KUBECONFIG: kubeconfig });
  if (parsed.ok) return parsed.config;
  return [`The configuration has ${parsed.problems.length} problem(s):`, ...parsed.problems].join(
    "\n  ",
  );
}
