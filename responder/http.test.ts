// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { openSpool } from "#responder/adapters/spool";
import type { Credentials } from "#responder/config/credentials";
import { makeIntakeHandler, makeOperationsHandler } from "#responder/http";
import { makeIntake } from "#responder/intake/intake";
import { httpLimits, listen, type Listener } from "#responder/listener";
import { makeMetrics } from "#responder/metrics";
import { type Authority, type Certificate, makeAuthority } from "#test/support/certificates";

const token = "a-token-of-falcosidekick";
const credentials: Credentials = {
  tokens: [
    { name: "falcosidekick", token },
    { name: "other", token: "another-token-of-somebody" },
  ],
  basic: [{ name: "falco", user: "falco", password: "a-password-of-falco" }],
  certificateNames: ["node-1"],
  certificates: true,
};
const good = '{"rule":"r","priority":"Critical","time":"2026-07-04T20:46:44Z"}';
const bearer = { authorization: `Bearer ${token}` };

let directory: string;
let authority: Authority;
let stranger: Authority;
let server: Certificate;
const listeners: Listener[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "parapet-http-"));
  authority = makeAuthority(join(directory, "ca"));
  server = authority.issue("server", { names: ["localhost", "IP:127.0.0.1"] });
  stranger = makeAuthority(join(directory, "stranger"), "somebody else");
});
afterEach(async () => {
  for (const one of listeners.splice(0)) await one.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function start(
  options: { readonly tls?: boolean; readonly limits?: Partial<typeof httpLimits> } = {},
) {
  const queue = makeMemoryQueue();
  const metrics = makeMetrics();
  const spool = await openSpool(mkdtempSync(join(directory, "spool-")), 4_096);
  const intake = makeIntake({
    queue,
    spool,
    spoolBytesMax: 4_096,
    metrics,
    log: () => undefined,
    now: Date.now,
  });
  const listener = await listen(
    { host: "127.0.0.1", port: 0 },
    options.tls === true
      ? {
          cert: readFileSync(server.certFile, "utf8"),
          key: readFileSync(server.keyFile, "utf8"),
          clientCa: readFileSync(authority.caFile, "utf8"),
        }
      : undefined,
    makeIntakeHandler({ intake, credentials, metrics }),
    () => undefined,
    { ...httpLimits, ...options.limits },
  );
  listeners.push(listener);
  return { queue, metrics, intake, spool, port: listener.port };
}

type Answer = {
  readonly status: number;
  readonly body: string;
  readonly headers: Record<string, unknown>;
};

function post(
  port: number,
  body: string | Buffer,
  options: {
    readonly headers?: Record<string, string>;
    readonly method?: string;
    readonly path?: string;
    readonly tls?: { ca: string; cert?: string; key?: string };
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = options.tls === undefined ? httpRequest : httpsRequest;
    const outgoing = send(
      {
        host: "127.0.0.1",
        port,
        path: options.path ?? "/falco",
        method: options.method ?? "POST",
        headers: { ...options.headers, "content-length": Buffer.byteLength(body) },
        agent: false,
        ...options.tls,
      },
      (reply) => {
        let text = "";
        reply.setEncoding("utf8").on("data", (part: string) => (text += part));
        reply.on("end", () =>
          resolve({ status: reply.statusCode ?? 0, body: text, headers: reply.headers }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

const requests = [
  { reason: "A known bearer token.", headers: bearer, body: good, status: 202 },
  {
    reason: "Falco's own output sends Basic from the URL.",
    headers: {
      authorization: `Basic ${Buffer.from("falco:a-password-of-falco").toString("base64")}`,
    },
    body: good,
    status: 202,
  },
  {
    reason: "PUT is what falcosidekick's webhook can be set to.",
    headers: bearer,
    body: good,
    method: "PUT",
    status: 202,
  },
  { reason: "Nobody.", headers: {}, body: good, status: 401 },
  { reason: "A wrong token.", headers: { authorization: "Bearer wrong" }, body: good, status: 401 },
  { reason: "An empty token.", headers: { authorization: "Bearer " }, body: good, status: 401 },
  {
    reason: "A token that only begins right.",
    headers: { authorization: `Bearer ${token}x` },
    body: good,
    status: 401,
  },
  {
    reason: "A token as a password.",
    headers: { authorization: `Basic ${Buffer.from(`falco:${token}`).toString("base64")}` },
    body: good,
    status: 401,
  },
  {
    reason: "A stranger is not even told which paths there are.",
    headers: {},
    body: good,
    path: "/nothing",
    status: 401,
  },
  { reason: "Nor which methods.", headers: {}, body: good, method: "DELETE", status: 401 },
  { reason: "A known sender is.", headers: bearer, body: good, path: "/nothing", status: 404 },
  { reason: "GET sends no alert.", headers: bearer, body: "", method: "GET", status: 405 },
  {
    reason: "Compressed bodies are none that the senders send.",
    headers: { ...bearer, "content-encoding": "gzip" },
    body: good,
    status: 415,
  },
  { reason: "Cut off JSON.", headers: bearer, body: '{"rule":', status: 400 },
  { reason: "10 MB.", headers: bearer, body: `{"rule":"${"x".repeat(10_000_000)}"}`, status: 413 },
  {
    reason: "One byte too much.",
    headers: bearer,
    body: good.padEnd(256 * 1024 + 1, " "),
    status: 413,
  },
  {
    reason: "As large as allowed.",
    headers: bearer,
    body: good.padEnd(256 * 1024, " "),
    status: 202,
  },
  {
    reason: "Deep nesting.",
    headers: bearer,
    body: `{"rule":"r","x":${"[".repeat(10_000)}${"]".repeat(10_000)}}`,
    status: 400,
  },
] as const;

describe("the intake", () => {
  it.each(requests)("answers $status: $reason", async ({ status, body, headers, ...rest }) => {
    const { port, queue } = await start();
    const reply = await post(port, body, { headers, ...rest }).catch((error: unknown) => {
      // A body that is not read to its end may show as a broken pipe before the answer does.
      if (status === 413 && error instanceof Error) return { status: 413, body: "", headers: {} };
      throw error;
    });
    expect(reply.status).toBe(status);
    const depth = await queue.depth();
    expect(depth.waiting).toBe(status === 202 ? 1 : 0);
  });

  it("gives no hint to a stranger: no challenge, no body, nothing that names the service", async () => {
    const { port } = await start();
    const reply = await post(port, good);
    expect(reply).toMatchObject({ status: 401, body: "" });
    expect(Object.keys(reply.headers).sort()).toEqual(["connection", "date", "transfer-encoding"]);
  });

  it("tells a known sender what is wrong with a request, and how much is allowed", async () => {
    const { port } = await start();
    const reply = await post(port, good, { headers: bearer, path: "/elsewhere" });
    expect(JSON.parse(reply.body)).toEqual({
      status: 404,
      problems: ["alerts are taken at /falco"],
    });
    const large = await post(port, Buffer.alloc(300_000, " "), { headers: bearer }).catch(
      () => undefined,
    );
    // The answer may be lost with the connection while a body is still being sent.
    if (large !== undefined) expect(large.body).toContain("larger than 262144 bytes");
  });

  it("lives on after a thousand malformed bodies, and takes the next good one", async () => {
    const { port } = await start();
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    const statuses = new Set<number>();
    for (let i = 0; i < 1_000; i++) {
      const bytes = Buffer.from(good.repeat(1 + random(3)));
      for (let k = 0; k <= random(8); k++) bytes[random(bytes.length)] = random(256);
      const cut = bytes.subarray(0, random(bytes.length));
      statuses.add((await post(port, cut, { headers: bearer })).status);
    }
    expect([...statuses].every((status) => status === 202 || status === 400)).toBe(true);
    expect((await post(port, good, { headers: bearer })).status).toBe(202);
  });

  it("cuts off a sender that sends a byte a second, and keeps serving others", async () => {
    const { port } = await start({ limits: { headersMs: 300, requestMs: 300 } });
    const slow = connect(port, "127.0.0.1");
    const closed = new Promise<void>((resolve) => slow.once("close", () => resolve()));
    slow.on("error", () => undefined);
    slow.write("POST /falco HTTP/1.1\r\nHost: x\r\n");
    const drip = setInterval(() => slow.write("X"), 100);
    await sleep(50);
    expect((await post(port, good, { headers: bearer })).status).toBe(202);
    await closed;
    clearInterval(drip);
  });

  it("keeps connections longer than Go's pool does", async () => {
    const { port } = await start();
    const reply = await new Promise<string>((resolve) => {
      const socket = connect(port, "127.0.0.1", () =>
        socket.write(
          `POST /falco HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${good.length}\r\n\r\n${good}`,
        ),
      );
      socket.once("data", (data) => {
        resolve(data.toString());
        socket.destroy();
      });
    });
    expect(Number(/keep-alive: timeout=(\d+)/i.exec(reply)?.[1])).toBeGreaterThan(90);
  });

  it("asks for a large body only from whom it knows", async () => {
    const { port } = await start();
    const exchange = (authorization: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect(port, "127.0.0.1", () =>
          socket.write(
            `POST /falco HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nExpect: 100-continue\r\nContent-Length: ${good.length}\r\n\r\n`,
          ),
        );
        let text = "";
        socket.on("data", (data) => {
          text += data.toString();
          if (text.includes("100 Continue") && !text.includes("202")) socket.write(good);
          if (/HTTP\/1.1 (?:202|401)/.test(text)) {
            resolve(text);
            socket.destroy();
          }
        });
      });
    expect(await exchange(`Bearer ${token}`)).toMatch(/100 Continue[\s\S]*202 Accepted/);
    expect(await exchange("Bearer wrong")).not.toContain("100 Continue");
  });

  it("spools while the queue is away, sheds the least urgent first, and says so", async () => {
    const { port, queue, metrics, spool, intake } = await start();
    queue.setUp(false);
    const send = async (priority: string, i: number): Promise<number> => {
      const alert = `{"rule":"r","priority":"${priority}","time":"2026-07-04T20:46:44.${String(i).padStart(9, "0")}Z"}`;
      return (await post(port, alert, { headers: bearer })).status;
    };
    const debug: number[] = [];
    for (let i = 0; i < 20; i++) debug.push(await send("Debug", i));
    expect(debug[0]).toBe(202);
    expect(debug.at(-1)).toBe(503);
    expect(await send("Critical", 99)).toBe(202);
    expect(metrics.text()).toMatch(/refused_total\{reason="spool nearly full"\} [1-9]/);
    queue.setUp(true);
    await sleep(1_100);
    await intake.drain();
    expect(spool.isEmpty()).toBe(true);
    const accepted = debug.filter((status) => status === 202).length + 1;
    expect((await queue.depth()).waiting).toBe(accepted);
  });
});

describe("the intake over TLS", () => {
  const pair = (from: Authority, name: string, days = 30) => {
    const issued = from.issue(name, { names: [name], days });
    return {
      ca: readFileSync(authority.caFile, "utf8"),
      cert: readFileSync(issued.certFile, "utf8"),
      key: readFileSync(issued.keyFile, "utf8"),
    };
  };
  it.each([
    { reason: "A certificate of a named node.", tls: () => pair(authority, "node-1"), status: 202 },
    {
      reason: "A certificate of somebody who is not named.",
      tls: () => pair(authority, "node-2"),
      status: 401,
    },
    {
      reason: "The right name, signed by somebody else.",
      tls: () => pair(stranger, "node-1"),
      status: 401,
    },
    { reason: "One that has run out.", tls: () => pair(authority, "node-1", -1), status: 401 },
    { reason: "None.", tls: () => ({ ca: readFileSync(authority.caFile, "utf8") }), status: 401 },
  ])("answers $status: $reason", async ({ tls, status }) => {
    const { port } = await start({ tls: true });
    expect((await post(port, good, { tls: tls() })).status).toBe(status);
  });

  it("takes a token without a certificate", async () => {
    const { port } = await start({ tls: true });
    const tls = { ca: readFileSync(authority.caFile, "utf8") };
    expect((await post(port, good, { tls, headers: bearer })).status).toBe(202);
  });
});

describe("the operations listener", () => {
  it("takes no alerts while it stops, and says so", async () => {
    const handler = makeOperationsHandler({
      ready: () => ({ intake: false, acting: true }),
      metrics: makeMetrics(),
      status: () => ({ queue: { problems: [] } }),
    });
    const listener = await listen(
      { host: "127.0.0.1", port: 0 },
      undefined,
      handler,
      () => undefined,
    );
    listeners.push(listener);
    const get = (path: string) => post(listener.port, "", { method: "GET", path });
    expect(await get("/readyz")).toMatchObject({
      status: 503,
      body: '{"intake":false,"acting":true,"queue":{"problems":[]}}',
    });
    expect(await get("/readyz/acting")).toMatchObject({ status: 200 });
  });

  it("shows counters from the start with 0, and none without labels beside those that have them", () => {
    const metrics = makeMetrics();
    metrics.counter("parapet_a_total", "A.");
    const b = metrics.counter("parapet_b_total", "B.");
    metrics.counter("parapet_c_total", "C.", [{ kind: "x" }, { kind: "y" }]);
    metrics.gauges("parapet_d", "D.", () => [[{ kind: "x" }, 1]]);
    const values = (): string[] =>
      metrics
        .text()
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"));
    const others = [
      'parapet_c_total{kind="x"} 0',
      'parapet_c_total{kind="y"} 0',
      'parapet_d{kind="x"} 1',
    ];
    expect(values()).toEqual(["parapet_a_total 0", "parapet_b_total 0", ...others]);
    b.add({ of: "z" });
    expect(values()).toEqual(["parapet_a_total 0", 'parapet_b_total{of="z"} 1', ...others]);
  });

  it("tells the intake's readiness from acting, and gives metrics", async () => {
    const metrics = makeMetrics();
    metrics.counter("parapet_test_total", "A test.").add({ label: 'a"b\n' }, 2);
    const handler = makeOperationsHandler({
      ready: () => ({ intake: true, acting: false }),
      metrics,
    });
    const listener = await listen(
      { host: "127.0.0.1", port: 0 },
      undefined,
      handler,
      () => undefined,
    );
    listeners.push(listener);
    const get = (path: string) => post(listener.port, "", { method: "GET", path });
    expect(await get("/readyz")).toMatchObject({
      status: 200,
      body: '{"intake":true,"acting":false}',
    });
    // Not acting is no reason to send the alerts elsewhere, and a reason to wake somebody.
    expect(await get("/readyz/acting")).toMatchObject({
      status: 503,
      body: '{"intake":true,"acting":false}',
    });
    expect(await get("/status")).toMatchObject({ status: 200 });
    expect(await get("/healthz")).toMatchObject({ status: 200 });
    expect((await get("/metrics")).body).toContain('parapet_test_total{label="a_b_"} 2');
    expect(await get("/other")).toMatchObject({ status: 404 });
  });
});
