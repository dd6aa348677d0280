// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "#policy/json";
import { functionPeers, type FunctionPeers } from "#test/cluster/binaries";
import { makeAuthority } from "#test/support/certificates";
import { Meter, startPeer, type Figures, type Peer } from "#test/support/function-load";
import {
  makeRequests,
  matchingEach,
  otherInputs,
  type Change,
} from "#test/support/function-requests";
import { readOptions, type Options } from "#test/support/function-options";

// RunFunction over mutual TLS, side by side in one run: this function, a server that gives the bytes back, a pass-through
// written with the SDK, and functions written in Go. `npm run bench -- function`: about eight minutes; the Go functions are
// built from their modules before the first run. `--help` shows how to ask for less.

const crossplane = "crossplane.crossplane-system";

const directory = mkdtempSync(join(tmpdir(), "parapet-bench-"));
const authority = makeAuthority(join(directory, "ca"));
const tls = {
  folder: authority.folder("server", ["localhost"]),
  authority: readFileSync(authority.caFile),
  client: authority.issue("crossplane", { names: [crossplane] }),
};

type Row = { readonly name: string; readonly peer: Peer; readonly requests: readonly Buffer[] };

async function main(options: Options): Promise<void> {
  const peers = options.go ? goPeers() : undefined;
  try {
    for (const resources of options.resources) await compare(resources, peers, options);
    if (!options.go) return;
    console.log(recorded);
    await startUp();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function goPeers(): FunctionPeers | undefined {
  try {
    return functionPeers();
  } catch {
    console.warn("SKIPPED: the functions in Go could not be built; see above");
    return undefined;
  }
}

async function compare(
  resources: number,
  go: FunctionPeers | undefined,
  options: Options,
): Promise<void> {
  const rows = await startRows(resources, go, options);
  try {
    const meters = rows.map(({ peer, requests }) => new Meter(peer, requests, tls));
    for (const meter of meters) await meter.warmUp();
    // In turns, so that what else the machine does falls on all of them.
    for (let round = 0; round < options.rounds; round++) {
      for (const meter of meters) await meter.measure();
    }
    const figures = meters.map((meter) => meter.figures());
    print(resources, rows, figures);
    for (const meter of meters) meter.close();
  } finally {
    for (const { peer } of rows) peer.stop();
  }
}

async function startRows(
  resources: number,
  go: FunctionPeers | undefined,
  options: Options,
): Promise<readonly Row[]> {
  const node = (script: string, ...args: readonly string[]) =>
    startPeer(process.execPath, [script, ...args, "--address", "127.0.0.1:0"], tls);
  const parapet = (...args: readonly string[]) =>
    node("function/main.ts", "--client-san", crossplane, "--metrics-address", "", ...args);
  const { managedFields, policies } = options;
  const most = Math.max(...policies);
  const asked = (count: number, change: Change) =>
    makeRequests({ resources, policies: count, change, managedFields });
  const largest = asked(most, "everything");
  const rows: Row[] = [
    {
      name: "floor",
      peer: await node("test/support/function-peers.ts", "floor"),
      requests: largest,
    },
    {
      name: "SDK pass-through",
      peer: await node("test/support/function-peers.ts", "sdk"),
      requests: largest,
    },
  ];
  const goRow = async (name: string, binary: string, input: JsonObject) => {
    const requests = makeRequests({
      resources,
      policies: 0,
      change: "everything",
      managedFields,
      input,
    });
    rows.push({ name, peer: await startPeer(binary, ["--address"], tls), requests });
  };
  if (go !== undefined) {
    await goRow("Go cel-filter", go.celFilter, otherInputs.celFilter);
    await goRow("Go auto-ready", go.autoReady, otherInputs.autoReady);
    await goRow(
      "Go patch-and-transform",
      go.patchAndTransform,
      otherInputs.patchAndTransform(resources),
    );
  }
  const peer = await parapet();
  for (const count of policies) {
    for (const change of options.change) {
      const name = `parapet ${count} policies, ${changeNames[change]}`;
      rows.push({ name, peer, requests: asked(count, change) });
    }
  }
  rows.push({
    name: `parapet ${most}, changed, 1 thread`,
    peer: await parapet("--workers", "1"),
    requests: largest,
  });
  return rows;
}

const changeNames = {
  nothing: "same again",
  observed: "observed changed",
  everything: "all changed",
} satisfies Record<Change, string>;

function print(resources: number, rows: readonly Row[], figures: readonly Figures[]): void {
  const of = (name: string) => figures[rows.findIndex((row) => row.name === name)];
  const floor = of("floor")?.p50 ?? Number.NaN;
  const sdk = of("SDK pass-through")?.p99 ?? Number.NaN;
  const go = Math.min(
    ...figures.filter((_, i) => rows[i]?.name.startsWith("Go") === true).map(({ cpuMs }) => cpuMs),
  );
  console.log(`\n${resources} resources; of the policies ${matchingEach} match each`);
  console.log(
    `${"server".padEnd(40)}    KB   p50 ms   p99 ms  p50/floor  p99/SDK   c=1/s   c=8/s  CPU ms  CPU/Go  RSS MB`,
  );
  for (const [index, row] of rows.entries()) {
    const each = figures[index];
    if (each === undefined) continue;
    console.log(
      [
        row.name.padEnd(40),
        ((row.requests[0]?.length ?? 0) / 1024).toFixed(0).padStart(5),
        each.p50.toFixed(2).padStart(8),
        each.p99.toFixed(2).padStart(8),
        (each.p50 / floor).toFixed(2).padStart(10),
        (each.p99 / sdk).toFixed(2).padStart(8),
        each.perSecond1.toFixed(0).padStart(7),
        each.perSecond8.toFixed(0).padStart(7),
        each.cpuMs.toFixed(2).padStart(7),
        (each.cpuMs / go).toFixed(2).padStart(7),
        each.rssMb.toFixed(0).padStart(7),
      ].join(" "),
    );
  }
}

/** Of functions that cannot be had as Go modules: without TLS, on another day, one call at a time (ms) or 8 (per second). */
const recorded = `
recorded on a machine of the same size, without TLS      p50/p99 at 1, 20, 200 resources     c=8/s          RSS MB
function-tag-manager                                     1.7/5     8.5/18    84/119          1090/260/23    165
function-validate, one assertion per resource            1.2/4     12.6/24   108/167         1430/170/14    249
function-go-templating, one label for each               2.6/8     25/40     219/271         1150/87/9      215
`;

async function startUp(): Promise<void> {
  console.log("process start to listening, ms (median of 5)");
  for (const [name, args] of [
    ["SDK pass-through", ["test/support/function-peers.ts", "sdk"]],
    ["parapet", ["function/main.ts"]],
  ] as const) {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const peer = await startPeer(process.execPath, [...args, "--address", "127.0.0.1:0"], tls);
      times.push(peer.readyMs);
      peer.stop();
    }
    times.sort((a, b) => a - b);
    console.log(`${name.padEnd(18)} ${(times[2] ?? 0).toFixed(0).padStart(5)}`);
  }
}

// The servers must not outlive a benchmark that is cut short.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
const options = readOptions(process.argv.slice(2));
await main(options).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
