// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import { makeAuthority } from "#test/support/certificates";
import { makeRequests, matchingEach } from "#test/support/function-requests";

// RunFunction over mutual TLS: this function, a pass-through written with the SDK, and a server that gives the bytes back,
// side by side in one run. `npx node test/bench/function.ts [--quick]`.

const quick = process.argv.includes("--quick");
const resourceCounts = [1, 20, 200];
const policyCounts = quick ? [50] : [0, 10, 50];

type Peer = {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly stop: () => void;
  readonly readyMs: number;
};

type Figures = {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond1: number;
  readonly perSecond8: number;
  readonly cpuMs: number;
  readonly rssMb: number;
};

const directory = mkdtempSync(join(tmpdir(), "parapet-bench-"));
const authority = makeAuthority(join(directory, "ca"));
const folder = authority.folder("server", ["localhost"]);
const pair = authority.issue("crossplane", { names: ["crossplane.crossplane-system"] });
const channel = credentials.createSsl(
  readFileSync(authority.caFile),
  readFileSync(pair.keyFile),
  readFileSync(pair.certFile),
);

async function main(): Promise<void> {
  try {
    for (const count of policyCounts) await compare(count);
    await startUp();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function compare(policies: number): Promise<void> {
  const peers = await Promise.all([
    startPeer("floor", "test/support/function-peers.ts", ["floor"]),
    startPeer("SDK pass-through", "test/support/function-peers.ts", ["sdk"]),
    startPeer("parapet", "function/main.ts", ["--client-san", "crossplane.crossplane-system"]),
  ]);
  console.log(
    `\n${policies} policies (${policies === 0 ? 0 : matchingEach} match each resource), mutual TLS`,
  );
  console.log(
    "resources  KB    server            p50 ms   p99 ms  x floor  calls/s c=1   c=8  CPU ms/call  RSS MB",
  );
  for (const resources of resourceCounts) {
    const steady = makeRequests(resources, policies, "nothing");
    let floor = 0;
    for (const peer of peers) {
      const figures = await measure(peer, steady, resources);
      if (peer.name === "floor") floor = figures.p50;
      console.log(row(resources, steady, peer.name, figures, floor));
      if (peer.name !== "parapet") continue;
      // What the function remembers of the last call is of no use here: every resource differs in every call.
      const changing = makeRequests(resources, policies, "observed");
      const anew = await measure(peer, changing, resources);
      console.log(row(resources, changing, "parapet, changing", anew, floor));
    }
  }
  for (const peer of peers) peer.stop();
}

function row(
  resources: number,
  requests: readonly Buffer[],
  name: string,
  figures: Figures,
  floor: number,
): string {
  const size = (requests[0]?.length ?? 0) / 1024;
  return [
    String(resources).padEnd(9),
    size.toFixed(0).padStart(4),
    ` ${name.padEnd(17)}`,
    figures.p50.toFixed(2).padStart(7),
    figures.p99.toFixed(2).padStart(8),
    (figures.p50 / floor).toFixed(2).padStart(8),
    figures.perSecond1.toFixed(0).padStart(12),
    figures.perSecond8.toFixed(0).padStart(6),
    figures.cpuMs.toFixed(2).padStart(12),
    figures.rssMb.toFixed(0).padStart(7),
  ].join(" ");
}

async function measure(
  peer: Peer,
  requests: readonly Buffer[],
  resources: number,
): Promise<Figures> {
  const client = new Client(`localhost:${peer.port}`, channel, {
    "grpc.max_receive_message_length": -1,
  });
  const calls = Math.round((quick ? 300 : 1000) / (resources >= 200 ? 4 : 1));
  const one = (index: number) => call(client, requests[index % requests.length] ?? Buffer.alloc(0));
  for (let i = 0; i < calls / 2; i++) await one(i);
  const cpuBefore = cpuMsOf(peer.pid);
  const times: number[] = [];
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    const before = performance.now();
    await one(i);
    times.push(performance.now() - before);
  }
  const took = performance.now() - start;
  const cpuMs = (cpuMsOf(peer.pid) - cpuBefore) / calls;
  const startMany = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < calls) await one(next++);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  const tookMany = performance.now() - startMany;
  client.close();
  times.sort((a, b) => a - b);
  return {
    p50: times[Math.floor(times.length * 0.5)] ?? 0,
    p99: times[Math.floor(times.length * 0.99)] ?? 0,
    perSecond1: (calls / took) * 1000,
    perSecond8: (calls / tookMany) * 1000,
    cpuMs,
    rssMb: rssMbOf(peer.pid),
  };
}

function call(client: Client, body: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction",
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      body,
      (error, answer) => {
        if (error === null && answer !== undefined) resolve(answer);
        else reject(error ?? new Error("no answer"));
      },
    );
  });
}

/** User and system time of a process, in milliseconds; Linux counts in hundredths of a second. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function rssMbOf(pid: number): number {
  const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) / 1024;
}

async function startPeer(name: string, script: string, args: readonly string[]): Promise<Peer> {
  const file = fileURLToPath(new URL(`../../${script}`, import.meta.url));
  const before = performance.now();
  const child = spawn(process.execPath, [file, ...args, "--address", "127.0.0.1:0"], {
    env: { ...process.env, TLS_SERVER_CERTS_DIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await listening(child);
  return {
    name,
    port,
    pid: child.pid ?? 0,
    stop: () => child.kill("SIGKILL"),
    readyMs: performance.now() - before,
  };
}

function listening(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const found = /"port":(\d+)/.exec(output);
      if (found !== null) resolve(Number(found[1]));
    });
    child.once("exit", () => reject(new Error(`ended early: ${output}`)));
    process.setMaxListeners(100).once("exit", () => child.kill("SIGKILL"));
  });
}

async function startUp(): Promise<void> {
  console.log("\nprocess start to listening, ms (median of 5)");
  for (const [name, script, args] of [
    ["SDK pass-through", "test/support/function-peers.ts", ["sdk"]],
    ["parapet", "function/main.ts", []],
  ] as const) {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const peer = await startPeer(name, script, args);
      times.push(peer.readyMs);
      peer.stop();
    }
    times.sort((a, b) => a - b);
    console.log(`${name.padEnd(18)} ${(times[2] ?? 0).toFixed(0).padStart(5)}`);
  }
}

// The servers must not outlive a benchmark that is cut short.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
await main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
