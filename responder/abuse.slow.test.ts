// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { parseConfig } from "#responder/config/config";
import { eventually } from "#test/support/processes";
import { repository } from "#test/support/shared";

/**
 * The real server as a process of its own, with a heap that a leak would soon fill, attacked from outside. After each attack it is
 * up, its memory is bounded, and alerts that are accepted are handled.
 */
const heapMb = 160;
const rssMbMax = 420;
const intakeToken = "an-intake-token-0123456789";
const reviewToken = "a-review-token-0123456789";
const bearer = { authorization: `Bearer ${intakeToken}` };

const directory = mkdtempSync(join(tmpdir(), "parapet-abuse-"));
let server: ChildProcess;
let ports: { intake: number; operations: number; review: number };
const children: ChildProcess[] = [];

/** With as many file descriptors as may be had: the default of many systems is far below what is attacked with here. */
function run(script: string, args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(
    "sh",
    ["-c", 'ulimit -n "$(ulimit -Hn)"; exec node "$0" "$@"', script, ...args],
    {
      cwd: repository,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  children.push(child);
  let last = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    last = text.trimEnd().split("\n").at(-1) ?? last;
  });
  return { child, last: () => last };
}

beforeAll(async () => {
  const config = {
    intake: { listen: "127.0.0.1:0", tokens: [{ name: "falco", value: intakeToken }] },
    operations: { listen: "127.0.0.1:0" },
    review: { listen: "127.0.0.1:0", reviewers: [{ name: "sre", value: reviewToken }] },
    dataDirectory: join(directory, "data"),
    // All that watches the responder is on while it is attacked, and has nobody to talk to.
    lossDetection: { metricsUrls: ["http://127.0.0.1:9/metrics"], interval: "5s" },
    tracing: { endpoint: "http://127.0.0.1:9/v1/traces" },
  };
  const started = run("test/support/responder-in-memory.ts", [JSON.stringify(config)], {
    NODE_OPTIONS: `--max-old-space-size=${heapMb}`,
  });
  server = started.child;
  const line = await eventually("the responder is up", () => started.last() || undefined);
  const shape = z.object({ intake: z.number(), operations: z.number(), review: z.number() });
  ports = shape.parse(JSON.parse(line));
});
afterAll(async () => {
  for (const child of children) if (child !== server) child.kill("SIGKILL");
  // It ends its Redis itself when it is asked to end.
  const ended = new Promise((resolve) => server.once("exit", resolve));
  if (server.exitCode === null && server.kill("SIGTERM")) await ended;
  rmSync(directory, { recursive: true, force: true });
});

type Answer = { readonly status: number; readonly body: string; readonly headers: string };

function post(
  body: string | Buffer,
  options: {
    readonly port?: number;
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly agent?: Agent;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port: options.port ?? ports.intake,
        path: options.path ?? "/falco",
        method: options.method ?? "POST",
        headers: { ...options.headers, "content-length": Buffer.byteLength(body) },
        agent: options.agent ?? false,
      },
      (reply) => {
        let text = "";
        reply.setEncoding("utf8").on("data", (part: string) => (text += part));
        reply.on("end", () =>
          resolve({
            status: reply.statusCode ?? 0,
            body: text,
            headers: Object.keys(reply.headers).sort().join(),
          }),
        );
        reply.on("error", reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

let sent = 0;
function alertText(): string {
  sent += 1;
  const time = `2026-07-04T20:46:${String(sent % 60).padStart(2, "0")}.${String(sent).padStart(9, "0")}Z`;
  return `{"rule":"r","priority":"Notice","hostname":"n","time":"${time}","output_fields":{"container.id":"host"}}`;
}

/** Resident memory of the server in MB. */
const rssMb = (): number => {
  const status = readFileSync(`/proc/${server.pid ?? 0}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1_024;
};

const metric = async (name: string): Promise<number> => {
  const { body } = await post("", { port: ports.operations, path: "/metrics", method: "GET" });
  const lines = body.split("\n").filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
};

/** What has to be true after every attack. */
async function standing(): Promise<void> {
  expect(server.exitCode).toBeNull();
  const handledBefore = await metric("parapet_alerts_handled_total");
  for (let i = 0; i < 20; i++)
    expect((await post(alertText(), { headers: bearer })).status).toBe(202);
  await eventually(
    "the accepted ones are handled",
    async () => (await metric("parapet_alerts_handled_total")) >= handledBefore + 20,
  );
  expect(rssMb()).toBeLessThan(rssMbMax);
  const ready = await post("", { port: ports.operations, path: "/readyz", method: "GET" });
  expect(ready.status).toBe(200);
}

/** What the server has worked so far, in milliseconds of a processor: fields 14 and 15 of its line, in hundredths of a second. */
function workedMs(): number {
  const stat = readFileSync(`/proc/${server.pid ?? 0}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

/** Connections that the kernel keeps for the intake: full ones that it has not accepted, and half-open ones. */
function waiting(): number {
  const port = `:${ports.intake.toString(16).toUpperCase().padStart(4, "0")}`;
  const [listens, halfOpen] = ["0A", "03"];
  let count = 0;
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n")) {
    const [, local = "", , state, queues = ""] = line.trim().split(/\s+/);
    if (!local.endsWith(port)) continue;
    if (state === listens) count += Number.parseInt(queues.split(":")[1] ?? "", 16);
    if (state === halfOpen) count += 1;
  }
  return count;
}

/** Many connections from another process; resolves when the service has taken most of them, and gives what they came to. */
async function hold(count: number, beginning: string, drip = "") {
  const held = run("test/support/many-connections.ts", [
    `${ports.intake}`,
    `${count}`,
    beginning,
    drip,
  ]);
  const shape = z.object({ open: z.number(), closed: z.number(), early: z.number() });
  const now = () => shape.parse(JSON.parse(held.last()));
  await eventually(
    `${count} connections`,
    () => held.last() !== "" && now().open + now().closed >= count,
  );
  // Where its queue is full the kernel drops whoever comes, a sender too: whom the service hears is another matter.
  await eventually("the service has taken them", () => waiting() === 0);
  return { now, end: () => held.child.kill("SIGKILL") };
}

describe("the service stands, with bounded memory", () => {
  it("under 10,000 connections that say nothing", async () => {
    const held = await hold(10_000, "");
    // On a slow machine the first have been silent for too long when the last come; turned away is nobody.
    expect(held.now().early).toBeLessThan(1_000);
    // It is looked for among all the others, and costs no more than a moment for that.
    const before = workedMs();
    expect((await post(alertText(), { headers: bearer })).status).toBe(202);
    expect(workedMs() - before).toBeLessThan(3_000);
    await standing();
    // They are not kept for ever either; those few that a busy kernel dropped do not know it yet.
    await eventually("all closed", () => held.now().open < 100);
    held.end();
    await standing();
  });

  it("under more connections than it takes: strangers make room for senders", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await post(alertText(), { headers: bearer, agent })).status).toBe(202);
    const held = await hold(13_000, "");
    // A new one, and the one that was there before.
    for (let i = 0; i < 20; i++)
      expect((await post(alertText(), { headers: bearer })).status).toBe(202);
    expect((await post(alertText(), { headers: bearer, agent })).status).toBe(202);
    agent.destroy();
    held.end();
    await standing();
  });

  it("under 2,000 that send headers a byte at a time", async () => {
    const held = await hold(2_000, "POST /falco HTTP/1.1\r\nHost: x\r\n", "X");
    await standing();
    await eventually("all closed", () => held.now().open < 100);
    held.end();
  });

  it("under 2,000 that send an authenticated body a byte at a time", async () => {
    const beginning = `POST /falco HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${intakeToken}\r\nContent-Length: 200000\r\n\r\n{`;
    const held = await hold(2_000, beginning, " ");
    await standing();
    await eventually("all closed", () => held.now().open < 100);
    held.end();
    await standing();
  });

  it("under bodies of 10 MB, announced and not", async () => {
    const body = Buffer.alloc(10 * 1_024 * 1_024, " ");
    const chunked = (): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(ports.intake, "127.0.0.1", () => {
          socket.write(
            `POST /falco HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${intakeToken}\r\nTransfer-Encoding: chunked\r\n\r\n`,
          );
          for (let i = 0; i < 160; i++) socket.write(`10000\r\n${" ".repeat(65_536)}\r\n`);
        });
        socket.on("error", () => undefined);
        socket.on("data", () => socket.destroy());
        socket.on("close", () => resolve());
      });
    for (let round = 0; round < 10; round++) {
      await Promise.all([
        ...Array.from({ length: 5 }, () => post(body, { headers: bearer }).catch(() => undefined)),
        ...Array.from({ length: 5 }, chunked),
      ]);
    }
    await standing();
  });

  it("under bodies as large and as deep as they may be", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 20 });
    const members = Array.from({ length: 15_000 }, (_, i) => `"k${i}":${i}`).join(",");
    const bodies = [
      `{"rule":"r","output_fields":{${members}}}`,
      `{"rule":"r","x":${"[".repeat(30)}${"]".repeat(30)},"output":"${"\\u0041".repeat(40_000)}"}`,
      `{"rule":"r","x":${"[".repeat(100_000)}`,
      `{"rule":"r",${'"__proto__":{"rule":'.repeat(5_000)}`,
      `[${'{"rule":"r"},'.repeat(900)}{"rule":"r"}]`,
      "{".repeat(200_000),
      `{"rule":"r","n":${"9".repeat(200_000)}}`,
    ];
    const statuses = new Set<number>();
    for (let round = 0; round < 8; round++) {
      const replies = bodies.map((body) => post(body, { headers: bearer, agent }));
      for (const reply of await Promise.all(replies)) statuses.add(reply.status);
    }
    agent.destroy();
    expect([...statuses].sort((a, b) => a - b)).toEqual([202, 400]);
    await standing();
  });

  it("under a thousand malformed bodies, of which none but whole alerts is accepted", async () => {
    let seed = 3;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed % below;
    };
    const agent = new Agent({ keepAlive: true, maxSockets: 20 });
    const statuses = new Set<number>();
    for (let i = 0; i < 1_000; i++) {
      const bytes = Buffer.from(alertText().repeat(1 + random(3)));
      // Bytes that are no UTF-8, and no JSON.
      for (let k = 0; k <= random(12); k++) bytes[random(bytes.length)] = 0x80 + random(128);
      const cut = bytes.subarray(0, 1 + random(bytes.length));
      statuses.add((await post(cut, { headers: bearer, agent })).status);
    }
    agent.destroy();
    expect([...statuses].filter((status) => status !== 202 && status !== 400)).toEqual([]);
    await standing();
  });

  it("under requests that are no HTTP", async () => {
    const garbage = [
      "\0".repeat(100_000),
      `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(10_000)}\r\n`,
      `POST /${"a".repeat(100_000)} HTTP/1.1\r\n\r\n`,
      "POST /falco HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST /falco HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    const send = (text: string): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(ports.intake, "127.0.0.1", () => socket.write(text, "latin1"));
        socket.setTimeout(15_000, () => socket.destroy());
        socket.on("error", () => undefined);
        socket.on("data", () => socket.destroy());
        socket.on("close", () => resolve());
      });
    await Promise.all(garbage.flatMap((text) => Array.from({ length: 50 }, () => send(text))));
    await standing();
  });
});

describe("what of a body is accepted", () => {
  it.each([
    {
      reason: "Of lines the good ones, and the sender is told that one was not.",
      body: () => Buffer.from(`${alertText()}\n{"rule":"cut\n${alertText()}\n`),
      status: 202,
      told: '"accepted":2,"refused":1',
    },
    {
      reason: "Compressed bodies are refused: neither sender compresses.",
      body: () => gzipSync(alertText()),
      headers: { "content-encoding": "gzip" },
      status: 415,
      told: "compressed",
    },
    {
      reason: "Compressed without a word it is no JSON.",
      body: () => gzipSync(alertText()),
      status: 400,
      told: "expected an object",
    },
    {
      reason: "A prototype is a key as any other.",
      body: () => Buffer.from('{"__proto__":{"rule":"r"},"constructor":{"rule":"r"}}'),
      status: 400,
      told: "rule: must be",
    },
  ])("$reason", async ({ body, headers, status, told }) => {
    const reply = await post(body(), { headers: { ...bearer, ...headers } });
    expect(reply.status).toBe(status);
    expect(reply.body).toContain(told);
  });
});

describe("whoever is not known", () => {
  const strangers = [
    { what: "no credential", headers: {} },
    { what: "a wrong token", headers: { authorization: "Bearer wrong" } },
    {
      what: "a token with the right beginning",
      headers: { authorization: `Bearer ${intakeToken.slice(0, -1)}x` },
    },
    { what: "a long token", headers: { authorization: `Bearer ${"x".repeat(4_000)}` } },
    { what: "the reviewer's token", headers: { authorization: `Bearer ${reviewToken}` } },
    { what: "half a credential", headers: { authorization: "Basic" } },
    { what: "another path", headers: {}, path: "/console" },
    { what: "another method", headers: {}, method: "OPTIONS" },
    { what: "a compressed body", headers: { "content-encoding": "gzip" } },
  ] as const;

  // That secrets are compared in constant time is credentials.ts; how long a whole answer takes depends on the machine.
  it.each(strangers)("is answered alike: $what", async ({ what: _what, ...rest }) => {
    const agent = new Agent({ keepAlive: false });
    expect(await post("", { ...rest, agent })).toMatchObject({
      status: 401,
      body: "",
      headers: "connection,date,transfer-encoding",
    });
  });

  it("is not known to the review by what the intake takes, nor the other way round", async () => {
    const login = (token: string) =>
      post(new URLSearchParams({ name: "sre", token, to: "/console" }).toString(), {
        port: ports.review,
        path: "/console/login",
        headers: {
          "content-type": "application/x-www-form-urlencoded",
          origin: `http://127.0.0.1:${ports.review}`,
          host: `127.0.0.1:${ports.review}`,
        },
      });
    expect((await login(intakeToken)).status).toBe(401);
    expect((await login(reviewToken)).status).toBe(303);
    for (const path of ["/console", "/falco"]) {
      const reply = await post(alertText(), { port: ports.review, path, headers: bearer });
      expect(reply.status).not.toBe(202);
      expect(reply.body).not.toContain("Remediation");
    }
    const metrics = await post("", { path: "/metrics", method: "GET", headers: bearer });
    expect(metrics.status).toBe(404);
    const operations = await post(alertText(), { port: ports.operations, headers: bearer });
    expect(operations.status).toBe(405);
  });
});

describe("what is told of the inside", () => {
  it("has no secret in it, and no text of alerts", async () => {
    const words = "hunter2-in-a-command-line";
    const text = alertText().replace("}}", `,"proc.cmdline":"${words}"}}`).replace('"r"', `"r"`);
    await post(text, { headers: bearer });
    for (const path of ["/metrics", "/status", "/readyz", "/readyz/acting", "/healthz"]) {
      const { status, body } = await post("", { port: ports.operations, path, method: "GET" });
      expect([path, status]).toEqual([path, 200]);
      for (const secret of [words, intakeToken, reviewToken]) expect(body).not.toContain(secret);
    }
  });
});

describe("the page about the intake", () => {
  const page = readFileSync(join(repository, "package/install/intake.md"), "utf8");
  const documented = [...page.matchAll(/^\| `(parapet_\w+)` \|/gm)].map(([, name = ""]) => name);

  it("has every metric that is served, with its labels, and none that is not", async () => {
    const { body } = await post("", { port: ports.operations, path: "/metrics", method: "GET" });
    const served = [...body.matchAll(/^# TYPE (\w+) /gm)].map(([, name = ""]) => name);
    expect(served.length).toBeGreaterThan(20);
    expect(served.filter((name) => !documented.includes(name))).toEqual([]);
    const sources = readdirSync(join(repository, "responder"), {
      recursive: true,
      encoding: "utf8",
    })
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
      .map((name) => readFileSync(join(repository, "responder", name), "utf8"))
      .join("\n");
    expect(documented.filter((name) => !sources.includes(`"${name}"`))).toEqual([]);
    for (const [, name = "", labels = ""] of body.matchAll(/^(parapet_\w+)\{([^}]*)\}/gm)) {
      const base = name.replace(/_(?:bucket|sum|count)$/, "");
      const row = page.split("\n").find((line) => line.startsWith(`| \`${base}\` |`));
      for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) {
        if (label !== "le") expect(row?.split("|")[2]).toContain(label);
      }
    }
  });

  it("has settings that the responder takes", () => {
    const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
    expect(blocks).toHaveLength(5);
    for (const block of blocks) {
      const parsed = parseConfig(parse(block), { PARAPET_INTAKE_TOKEN: intakeToken });
      expect(parsed.ok ? [] : parsed.problems).toEqual([]);
    }
  });
});
