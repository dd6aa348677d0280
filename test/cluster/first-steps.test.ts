// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readCertificates, rotatingCredentials } from "#function/credentials";
import { makeHandler } from "#function/handler";
import { startServer, type RunningServer } from "#function/server";
import { crossplaneBinaries, kubernetesBinaries } from "#test/cluster/binaries";
import { startControlPlane, type ControlPlane } from "#test/cluster/control-plane";
import { crossplaneClientName, startCrossplane, type Crossplane } from "#test/cluster/crossplane";
import { startPatchAndTransform, type StandIn } from "#test/support/patch-and-transform";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";

// examples/first-steps/README.md, command by command, as somebody types it who has never seen it: each prints what stands there.

const folder = join(repository, "examples/first-steps");

type Step = { readonly command: string; readonly output: string };

/** Lines that begin with `$ ` in code blocks, with the lines under them. */
function readSteps(text: string): readonly Step[] {
  const steps: { command: string; output: string[] }[] = [];
  let inBlock = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) inBlock = !inBlock;
    else if (inBlock && line.startsWith("$ ")) steps.push({ command: line.slice(2), output: [] });
    else if (inBlock) steps.at(-1)?.output.push(line);
  }
  return steps.map(({ command, output }) => ({ command, output: output.join("\n") }));
}

const all = readSteps(readFileSync(join(folder, "README.md"), "utf8").split("\nNext: ")[0] ?? "");

describe.skipIf(kubernetesBinaries() === undefined || crossplaneBinaries() === undefined)(
  "the first steps",
  () => {
    let plane: ControlPlane;
    let crossplane: Crossplane;
    let composer: StandIn;
    let guard: RunningServer;
    beforeAll(async () => {
      const started = await startControlPlane();
      const core = started === undefined ? undefined : await startCrossplane(started);
      if (started === undefined || core === undefined) throw new Error("no control plane");
      [plane, crossplane] = [started, core];
      composer = await startPatchAndTransform(crossplane.functionTls);
      const read = readCertificates(crossplane.functionTls, new Date());
      if (!read.ok) throw new Error(read.problem);
      const log = () => undefined;
      guard = await startServer("127.0.0.1:0", {
        handler: makeHandler({ now: () => Date.now(), log, approvalNamespace: "" }),
        credentials: rotatingCredentials(crossplane.functionTls, read.files, log).credentials,
        receiveBytesMax: 64 * 1024 * 1024,
        clientSans: [crossplaneClientName],
        log,
      });
      await crossplane.registerFunction("function-patch-and-transform", composer.port);
      await crossplane.registerFunction("function-parapet", guard.port);
    });
    afterAll(async () => {
      composer?.stop();
      await guard?.drain(100);
      await crossplane?.stop();
      await plane?.stop();
    });

    const run = async (command: string): Promise<string> => {
      const path = `${join(plane.kubectl, "..")}:${process.env["PATH"] ?? ""}`;
      const env = { ...process.env, PATH: path, KUBECONFIG: plane.kubeconfig };
      const { stdout } = await promisify(execFile)("sh", ["-c", command], { cwd: folder, env });
      return stdout.trimEnd();
    };

    it("are all read", () => expect(all.length).toBeGreaterThan(10));

    it.each(all)("$command", async ({ command, output }) => {
      await eventually(`it prints ${output}`, async () => {
        const printed = await run(command);
        if (printed === output) return true;
        throw new Error(printed);
      });
    });
  },
);
