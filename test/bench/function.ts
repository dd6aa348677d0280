// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client, credentials } from "@grpc/grpc-js";
import { RunFunctionRequest } from "@crossplane-org/function-sdk-typescript";
import type { Json, JsonObject } from "#policy/json";
import { makeAuthority } from "#test/support/certificates";

// RunFunction over mutual TLS: this function, a pass-through written with the SDK, and a server that gives the bytes back,
// side by side in one run. `npx node test/bench/function.ts [--quick]`.

const quick = process.argv.includes("--quick");
const resourceCounts = [1, 20, 200];
const policyCounts = quick ? [50] : [0, 10, 50];
const matchingEach = 5;
/** Crossplane writes map entries in another order each time, so the same state has many encodings. */
const encodings = 8;

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
    const steady = makeRequests(resources, policies, false);
    let floor = 0;
    for (const peer of peers) {
      const figures = await measure(peer, steady, resources);
      if (peer.name === "floor") floor = figures.p50;
      console.log(row(resources, steady, peer.name, figures, floor));
      if (peer.name !== "parapet") continue;
      // What the function remembers of the last call is of no use here: every resource differs in every call.
      const changing = makeRequests(resources, policies, true);
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

/** Requests for the same state in several encodings, observed and desired resources of about 2 KB each. */
function makeRequests(resources: number, policies: number, changing: boolean): readonly Buffer[] {
  const kinds = Math.max(1, policies / matchingEach);
  const shuffle = makeShuffle(resources * 1000 + policies);
  return Array.from({ length: encodings }, (_, encoding) => {
    const observed: Record<string, { resource: JsonObject }> = {};
    const desired: Record<string, { resource: JsonObject; ready: number }> = {};
    for (let i = 0; i < resources; i++) {
      desired[`resource-${i}`] = {
        resource: shuffled(desiredResource(i, kinds), shuffle),
        ready: 1,
      };
      observed[`resource-${i}`] = {
        resource: shuffled(observedResource(i, kinds, changing ? encoding : 0), shuffle),
      };
    }
    const input = {
      apiVersion: "parapet.fn.crossplane.io/v1beta1",
      kind: "Guardrails",
      policies: { inline: policies === 0 ? [policy(0, "elsewhere")] : makePolicies(policies) },
    };
    const message = RunFunctionRequest.fromPartial({
      meta: { tag: "bench" },
      input: shuffled(input, shuffle),
      observed: { composite: { resource: composite }, resources: observed },
      desired: { resources: desired },
    });
    return Buffer.from(RunFunctionRequest.encode(message).finish());
  });
}

const composite: JsonObject = {
  apiVersion: "example.org/v1",
  kind: "Platform",
  metadata: {
    name: "bench",
    namespace: "team",
    uid: "u",
    labels: { "crossplane.io/composite": "bench" },
  },
  status: {
    conditions: [{ type: "PolicyCompliant", status: "True", reason: "Compliant", message: "" }],
  },
};

const kindName = (index: number): string => `Kind${String.fromCharCode(65 + index)}`;

function desiredResource(index: number, kinds: number): JsonObject {
  return {
    apiVersion: "cloud.example.org/v1beta1",
    kind: kindName(index % kinds),
    metadata: {
      labels: { team: "platform", tier: "gold" },
      annotations: { note: "a note of some length for humans" },
    },
    spec: {
      forProvider: {
        region: "eu-west-1",
        name: `resource-number-${index}`,
        tags: Object.fromEntries(
          Array.from({ length: 12 }, (_, i) => [`tag-${i}`, `value of tag ${i} of ${index}`]),
        ),
        rules: Array.from({ length: 6 }, (_, i) => ({
          id: `rule-${i}`,
          enabled: true,
          port: 8000 + i,
          cidrBlocks: ["10.0.0.0/8", "192.168.0.0/16"],
          description: "lets the internal network in and nobody else",
        })),
        encryption: { enabled: true, keyRef: { name: "main-key" }, algorithm: "aws:kms" },
        versioning: { status: "Enabled" },
      },
      providerConfigRef: { kind: "ClusterProviderConfig", name: "default" },
    },
  };
}

function observedResource(index: number, kinds: number, version: number): JsonObject {
  const desired = desiredResource(index, kinds);
  return {
    ...desired,
    metadata: {
      name: `bench-${index}`,
      namespace: "team",
      uid: `00000000-0000-0000-0000-${String(index).padStart(12, "0")}`,
      resourceVersion: String(100_000 + 1000 * version + index),
      generation: 3,
      labels: { team: "platform", tier: "gold", "crossplane.io/composite": "bench" },
      annotations: {
        note: "a note of some length for humans",
        "crossplane.io/external-name": `ext-${index}`,
      },
    },
    status: {
      atProvider: { arn: `arn:aws:thing:::resource-number-${index}`, state: "available" },
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "Available",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
        {
          type: "Synced",
          status: "True",
          reason: "ReconcileSuccess",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
    },
  };
}

const expressions = [
  "object.spec.forProvider.region in ['eu-west-1', 'eu-central-1']",
  "has(object.spec.forProvider.encryption) && object.spec.forProvider.encryption.enabled",
  "object.spec.forProvider.rules.all(r, !r.cidrBlocks.exists(c, c == '0.0.0.0/0'))",
  "object.metadata.?labels.team.orValue('') != '' && 'tag-3' in object.spec.forProvider.tags",
  "object.spec.forProvider.name.matches('^[a-z0-9-]+$') && object.spec.forProvider.?versioning.?status.orValue('') == 'Enabled'",
];

const makePolicies = (count: number): readonly JsonObject[] =>
  Array.from({ length: count }, (_, i) =>
    policy(i, `${kindName(Math.floor(i / matchingEach)).toLowerCase()}s`),
  );

const policy = (index: number, plural: string): JsonObject => ({
  apiVersion: "policies.kyverno.io/v1",
  kind: "ValidatingPolicy",
  metadata: { name: `policy-${index}`, annotations: { "policies.kyverno.io/severity": "high" } },
  spec: {
    validationActions: ["Deny"],
    matchConstraints: {
      resourceRules: [
        {
          apiGroups: ["cloud.example.org"],
          apiVersions: ["*"],
          resources: [plural],
          operations: ["CREATE", "UPDATE"],
        },
      ],
    },
    validations: [
      {
        expression: expressions[index % expressions.length] ?? "true",
        message: `policy ${index} says what is allowed here`,
      },
    ],
  },
});

/** A small seeded generator, so that two runs shuffle alike. */
function makeShuffle(seed: number): <T>(items: readonly T[]) => T[] {
  let state = seed + 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state % below;
  };
  return (items) => {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = random(i + 1);
      const [a, b] = [copy[i], copy[j]];
      if (a !== undefined && b !== undefined) [copy[i], copy[j]] = [b, a];
    }
    return copy;
  };
}

function shuffled<T extends Json>(value: T, shuffle: <E>(items: readonly E[]) => E[]): T;
function shuffled(value: Json, shuffle: <E>(items: readonly E[]) => E[]): Json {
  if (Array.isArray(value)) return value.map((item: Json) => shuffled(item, shuffle));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    shuffle(Object.entries(value)).map(([key, item]) => [key, shuffled(item, shuffle)]),
  );
}

// The servers must not outlive a benchmark that is cut short.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));
await main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
