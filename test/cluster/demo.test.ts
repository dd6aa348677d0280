// SPDX-License-Identifier: Apache-2.0
import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { textAt } from "#policy/json";
import { kubernetesBinaries } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { repository } from "#test/support/shared";

const run = promisify(execFile);

/** Runs the demo as `make demo` does, off a terminal: it must end by itself. `path` replaces PATH. */
async function demo(env: Readonly<Record<string, string>>): Promise<string> {
  const child = run(process.execPath, [join(repository, "cli/main.ts"), "demo"], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
    timeout: 280_000,
  });
  // Where it got to is all that tells why it did not end.
  let said = "";
  child.child.stdout?.on("data", (text: string) => (said += text));
  try {
    return (await child).stdout;
  } catch (error) {
    throw new Error(`the demo failed after saying:\n${said}`, { cause: error });
  }
}

/** The product's words, in the order in which its steps happen. */
const words = [
  ...["injected", "companion", "held", "public-read"],
  ...["202", "401", "proposed", "NetworkPolicy", "approved", "applied", "undone"],
  ...["composed", "changed", "detected", "proposed", "rolled back", "Review page"],
];

function expectAllSteps(output: string): void {
  let from = 0;
  for (const word of words) {
    const at = output.indexOf(word, from);
    expect({ word, found: at >= 0 }).toEqual({ word, found: true });
    from = at + 1;
  }
}

describe("the demo", () => {
  it("shows every step in memory", async () => {
    const output = await demo({});
    expect(output).toContain("in memory");
    expectAllSteps(output);
  });

  it("does without redis-server on PATH", async () => {
    const output = await demo({
      PATH: "/usr/bin/no-such-folder",
      PARAPET_OPENSSL: "/usr/bin/openssl",
    });
    expect(output).toContain("PGlite");
    expectAllSteps(output);
  });

  it("names a cluster that it cannot play on, and the way out", async () => {
    const failed = await demo({ KUBECONFIG: "/no/such/kubeconfig" }).catch((error: unknown) =>
      error instanceof Error ? String(error.cause) : "",
    );
    expect(failed).toContain("kubeconfig /no/such/kubeconfig: ENOENT");
    expect(failed).toContain("Unset KUBECONFIG");
  });
});

describe.skipIf(kubernetesBinaries() === undefined)("the demo on a cluster", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    const started = await startControlPlane();
    if (started === undefined) throw new Error("no control plane");
    plane = started;
  });
  afterAll(() => plane?.stop());

  it("shows every step, and leaves nothing behind", async () => {
    const names = async (path: string) =>
      (await plane.api.list(path)).map((one) => textAt(one, ["metadata", "name"]));
    const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const before = await names(crds);
    const output = await demo({ PARAPET_KUBECONFIG: plane.kubeconfig });
    expect(output).toContain(plane.kubeconfig);
    expectAllSteps(output);
    const left = (await plane.api.list(crds)).filter(
      (crd) => textAt(crd, ["metadata", "deletionTimestamp"]) === "",
    );
    expect(left.map((crd) => textAt(crd, ["metadata", "name"]))).toEqual(before);
    const namespaces = (await plane.api.list("/api/v1/namespaces")).filter(
      (one) => textAt(one, ["status", "phase"]) !== "Terminating",
    );
    expect(namespaces.map((one) => textAt(one, ["metadata", "name"])).join()).not.toContain(
      "parapet-demo",
    );
  });

  it("takes away what it made when Ctrl-C comes in the middle, twice as npm sends it", async () => {
    const child = spawn(process.execPath, [join(repository, "cli/main.ts"), "demo"], {
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        PARAPET_KUBECONFIG: plane.kubeconfig,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stderr.on("data", (data: Buffer) => (output += data.toString()));
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
      if (!data.toString().includes("proposed")) return;
      child.kill("SIGINT");
      child.kill("SIGINT");
    });
    expect(await ended).toBe(130);
    expect(output).toContain("interrupted");
    for (const path of [
      "/api/v1/namespaces",
      "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    ]) {
      // The server is still at work on what it was told to delete.
      const left = (await plane.api.list(path)).filter(
        (one) => textAt(one, ["metadata", "deletionTimestamp"]) === "",
      );
      const names = left.map((one) => textAt(one, ["metadata", "name"]));
      expect(names.filter((name) => name.includes("parapet"))).toEqual([]);
    }
  });
});
