// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it runs the responder and waits for a person.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, exitCodes, type Io, refuseUsage } from "#cli/command";
import { showComposition } from "#cli/demo/composition";
import { showDrift } from "#cli/demo/drift";
import { type Place, openPlace } from "#cli/demo/place";
import { showResponse } from "#cli/demo/response";
import { makeStage } from "#cli/demo/stage";
import { parseConfig } from "#responder/config/config";
import type { Log } from "#responder/log";
import { type Running, runResponder } from "#responder/run";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const reviewer = "demo";
/** What shells give a program that SIGINT ended. */
const interruptedCode = 130;

export const demoCommand: Command = {
  name: "demo",
  summary: "show the product: a guarded composition, an alert, a drift",
  usage: "demo [--once]",
  details: `Runs a composition through the function, a Falco alert and an out-of-band change through the responder, and says
each step. Without KUBECONFIG or PARAPET_KUBECONFIG it plays in memory; with one it uses that cluster, in a namespace of
its own, and cleans up. On a terminal it then stays up with the review page until Ctrl-C.`,
  options: [{ name: "once", help: "end after the last step, also on a terminal" }],
  examples: [
    { line: "parapet demo", does: "in memory, or on the cluster of KUBECONFIG" },
    {
      line: "PARAPET_KUBECONFIG=~/.kube/kind parapet demo --once",
      does: "on a cluster, then clean up and end",
    },
  ],
  failsWhen: "it failed",
  run: (args, io) => {
    const [stray] = args.positionals;
    return stray === undefined
      ? runDemo(io, args.flag("once"))
      : refuseUsage("demo", `unexpected argument ${stray}`, io);
  },
};

async function runDemo(io: Io, once: boolean): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "parapet-demo-"));
  const interruption = listenForInterruption();
  const stage = makeStage(io.out, interruption.signal);
  let place: Place | undefined;
  let running: Running | undefined;
  try {
    place = await openNamedPlace();
    stage.chapter("A composition under guard (examples/bucket)");
    await showComposition(stage, join(root, "examples/bucket"), directory);
    stage.chapter("A Falco alert");
    const tokens = {
      intake: randomBytes(16).toString("hex"),
      review: randomBytes(16).toString("hex"),
    };
    const started = await startResponder(place, directory, tokens);
    running = started.running;
    stage.say("cluster", place.description);
    stage.say("queue", started.queue);
    const scene = { stage, place, intakePort: running.intakePort, intakeToken: tokens.intake };
    await showResponse(scene);
    stage.chapter("An out-of-band change");
    await showDrift(scene);
    const stays = process.stdout.isTTY && !once;
    sayGoodbye(io, running, tokens.review, stays);
    if (stays) await interruption.happened;
    return exitCodes.good;
  } catch (error) {
    if (interruption.signal.aborted) {
      io.err("parapet demo: interrupted; what it made is taken away\n");
      return interruptedCode;
    }
    io.err(`parapet demo: ${error instanceof Error ? error.message : "failed"}\n`);
    return exitCodes.failed;
  } finally {
    await running?.stop();
    await place?.cleanUp();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function startResponder(
  place: Place,
  directory: string,
  tokens: { readonly intake: string; readonly review: string },
) {
  const config = parseConfig(
    {
      intake: { listen: "127.0.0.1:0", tokens: [{ name: "demo", value: tokens.intake }] },
      operations: { listen: "127.0.0.1:0" },
      review: { listen: "127.0.0.1:0", reviewers: [{ name: reviewer, value: tokens.review }] },
      dataDirectory: join(directory, "data"),
      namespace: place.namespace,
      identity: "demo",
      settle: "100ms",
      drift: { resources: [{ apiVersion: "v1", kind: "ConfigMap" }] },
    },
    {},
  );
  if (!config.ok) throw new Error(config.problems.join("; "));
  let queue = "";
  // Only what a person at the demo should know; the rest is the log of a service.
  const log: Log = (_, message, fields) => {
    if (message === "queue" && typeof fields?.["queue"] === "string") queue ||= fields["queue"];
  };
  const running = await runResponder({ ...config.config, identity: "demo" }, log, place.cluster);
  await running.responder.acting;
  return { running, queue };
}

function sayGoodbye(io: Io, running: Running, token: string, stays: boolean): void {
  io.out(`
Review page   http://127.0.0.1:${running.reviewPort ?? 0}/console   name ${reviewer}, token ${token}${stays ? "" : " (ended with the demo)"}
Go on         npm run -s parapet -- check -p package/policies/controls -r YOUR-MANIFESTS    34 cloud controls on what you have
              npm run dev    both parts, to send alerts to and look around in        README.md    where things are
${stays ? "\nCtrl-C ends the demo and takes away what it made.\n" : ""}`);
}

/** The cluster that the environment names, or one in memory. @throws with the kubeconfig's name and the way out. */
async function openNamedPlace(): Promise<Place> {
  const kubeconfig = process.env["PARAPET_KUBECONFIG"] || process.env["KUBECONFIG"]?.split(":")[0];
  const crds = join(root, "package/crds");
  if (kubeconfig === undefined || kubeconfig === "") return openPlace(undefined, crds);
  try {
    return await openPlace(kubeconfig, crds);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : "failed";
    throw new Error(
      `cannot play on the cluster of kubeconfig ${kubeconfig}: ${reason}\nUnset KUBECONFIG and PARAPET_KUBECONFIG to play in memory.`,
      { cause: error },
    );
  }
}

/**
 * From here on Ctrl-C ends the demo at its next step, with what it made taken away. Listens on: npm passes on the signal
 * that this process has had already, and the second one must not cut the cleaning short.
 */
function listenForInterruption(): {
  readonly signal: AbortSignal;
  readonly happened: Promise<void>;
} {
  const controller = new AbortController();
  const happened = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        controller.abort();
        resolve();
      });
    }
  });
  return { signal: controller.signal, happened };
}
