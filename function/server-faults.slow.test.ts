// SPDX-License-Identifier: Apache-2.0
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect as connectTcp, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { credentials, status } from "@grpc/grpc-js";
import { RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeAuthority, type Authority, type Certificate } from "#test/support/certificates";
import { makeRequests, type Change } from "#test/support/function-requests";
import {
  bytesClient,
  callOn,
  callServer,
  channelOf,
  runPath,
  startProcess,
  type Running,
} from "#test/support/function-process";
import {
  callHeaders,
  flagEndHeaders,
  flagEndStream,
  frame,
  frameTypes,
  message,
  preface,
} from "#test/support/http2-frames";
import { isObject, type JsonObject } from "#policy/json";
import { eventually, freePort } from "#test/support/processes";
import {
  bucket,
  encodeRequest,
  guardrails,
  noPublic,
  validating,
} from "#test/support/run-function";
import { readCertificates, rotatingCredentials } from "./credentials.ts";
import { makeHandler } from "./handler.ts";
import { startServer } from "./server.ts";
import { WireError } from "./wire/reader.ts";

// The function as a process with two workers, under what goes wrong around it. A verdict is right when it says
// what the handler gives alone; the order of keys in an object may differ, which protobuf leaves open.

const directory = mkdtempSync(join(tmpdir(), "parapet-faults-"));
let authority: Authority;
let folder: string;
let crossplane: Certificate;
let server: Running;

const secret = "hunter2-planted-secret";
const args = ["--workers", "2", "--call-seconds", "120", "--client-san", "crossplane"];

beforeAll(async () => {
  authority = makeAuthority(join(directory, "ca"));
  folder = authority.folder("server", ["localhost"]);
  crossplane = authority.issue("crossplane", { names: ["crossplane"] });
  server = await startProcess([...args, "--address", "127.0.0.1:0"], {
    TLS_SERVER_CERTS_DIR: folder,
  });
});
afterAll(() => {
  server.signal("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

const channel = () => channelOf(authority, crossplane);
const reference = () =>
  makeHandler({ now: () => Date.now(), log: () => undefined, approvalNamespace: "" });

/** What the handler alone says to these bytes. */
function expected(handler: (bytes: Buffer) => Buffer, bytes: Buffer): string {
  try {
    return meaning(handler(bytes));
  } catch (error) {
    if (error instanceof WireError) return "malformed";
    throw error;
  }
}

/** An answer as text that does not depend on the order of keys; one that hands damaged bytes on as its bytes. */
function meaning(answer: Buffer): string {
  try {
    return canonical(RunFunctionResponse.toJSON(RunFunctionResponse.decode(answer)));
  } catch {
    return answer.toString("base64");
  }
}

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    isObject(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

const asked = (acl: string, name = "a"): Buffer =>
  encodeRequest({
    input: guardrails([noPublic]),
    desired: { [name]: bucket({ acl, password: secret }) },
  });

const requestsOf = (resources: number, policies: number, change: Change) =>
  makeRequests({ resources, policies, change, managedFields: false });

const metrics = async (): Promise<string> =>
  (await fetch(`http://127.0.0.1:${server.metricsPort}/metrics`)).text();
const figure = async (series: string): Promise<number> =>
  Number(
    (await metrics())
      .split("\n")
      .find((line) => line.startsWith(`parapet_function_${series} `))
      ?.split(" ")
      .at(-1),
  );

/** A usual client still gets a right verdict, soon. */
async function isWell(): Promise<void> {
  const reply = await callServer(server.port, channel(), runPath, asked("public"));
  expect([reply.code, reply.details]).toEqual([status.OK, ""]);
  expect(RunFunctionResponse.decode(reply.body).conditions[0]?.reason).toBe("Held");
}

/** Small seeded generator: a failure can be run again. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe("callers who go away", () => {
  test("cancelled calls and those out of time leave nothing behind", async () => {
    const heavy = requestsOf(200, 50, "observed");
    const client = bytesClient(server.port, channel());
    const gone = Array.from({ length: 60 }, (_, i) => {
      const body = heavy[i % heavy.length] ?? Buffer.alloc(0);
      if (i % 2 === 0) return callOn(client, body, { deadlineMs: 1 + i });
      return new Promise<{ code: status }>((resolve) => {
        const call = client.makeUnaryRequest(
          runPath,
          (bytes: Buffer) => bytes,
          (bytes: Buffer) => bytes,
          body,
          (error) => resolve({ code: error?.code ?? status.OK }),
        );
        setTimeout(() => call.cancel(), i);
      });
    });
    const codes = new Set((await Promise.all(gone)).map(({ code }) => code));
    expect([...codes].every((code) => code !== status.INTERNAL)).toBe(true);
    expect(codes.has(status.CANCELLED) && codes.has(status.DEADLINE_EXCEEDED)).toBe(true);
    client.close();
    await eventually("no call waits or runs", async () => {
      return (await figure("calls_waiting")) === 0 && (await figure("workers_busy")) === 0;
    });
    await isWell();
  });
});

describe("bytes that are no request", () => {
  test("3,000 damaged requests are answered as the handler alone would, or refused", async () => {
    const random = makeRandom(6);
    const handler = reference();
    const whole = [asked("public"), asked("private"), ...requestsOf(3, 10, "nothing").slice(0, 2)];
    const client = bytesClient(server.port, channel());
    let refused = 0;
    for (let round = 0; round < 30; round++) {
      const bodies = Array.from({ length: 100 }, () =>
        damaged(whole[random(whole.length)] ?? Buffer.alloc(0), random),
      );
      const replies = await Promise.all(
        bodies.map((body) => callOn(client, body, { deadlineMs: 120_000 })),
      );
      for (const [index, reply] of replies.entries()) {
        const body = bodies[index] ?? Buffer.alloc(0);
        expect([status.OK, status.INVALID_ARGUMENT]).toContain(reply.code);
        const got = reply.code === status.INVALID_ARGUMENT ? "malformed" : meaning(reply.body);
        if (got !== expected(handler, body))
          expect({ body: body.toString("base64"), got }).toBe("the handler's answer");
        if (got === "malformed") refused++;
      }
    }
    client.close();
    expect(refused).toBeGreaterThan(500);
    await isWell();
  });

  function damaged(bytes: Buffer, random: (below: number) => number): Buffer {
    const copy = Buffer.from(bytes);
    if (random(4) === 0) return copy.subarray(0, random(copy.length));
    for (let i = 1 + random(4); i > 0; i--) copy[random(copy.length)] = random(256);
    return copy;
  }
});

/** A connection that speaks by hand. */
async function openRaw(): Promise<TLSSocket> {
  const socket = connect({
    port: server.port,
    host: "127.0.0.1",
    servername: "localhost",
    ca: readFileSync(authority.caFile),
    cert: readFileSync(crossplane.certFile),
    key: readFileSync(crossplane.keyFile),
    ALPNProtocols: ["h2"],
  });
  socket.on("error", () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => socket.once("secureConnect", () => resolve()));
  socket.write(Buffer.concat([preface, frame(frameTypes.settings, 0, 0, Buffer.alloc(0))]));
  return socket;
}

const headers = (stream: number, more?: readonly (readonly [string, string])[]): Buffer =>
  frame(frameTypes.headers, flagEndHeaders, stream, callHeaders(runPath, more));
const data = (stream: number, body: Buffer, flags = flagEndStream): Buffer =>
  frame(frameTypes.data, flags, stream, body);

describe("connections that misbehave", () => {
  const body = Buffer.from("x");
  const pieces: Record<string, () => readonly Buffer[]> = {
    "a message shorter than its prefix says": () => [headers(1), data(1, message(body, 1000))],
    "half a prefix": () => [headers(1), data(1, Buffer.from([0, 0]))],
    "a message that claims four gigabytes": () => [headers(1), data(1, message(body, 0xffff_ffff))],
    "a message that says it is compressed and is not": () => [
      headers(1, [["grpc-encoding", "gzip"]]),
      data(1, message(asked("public"), undefined, 1)),
    ],
    "two messages in one call": () => [
      headers(1),
      data(1, Buffer.concat([message(asked("public")), message(asked("public"))])),
    ],
    "half a frame and then silence": () => [headers(1).subarray(0, 20)],
    "data for a stream that was never opened": () => [data(7, message(body))],
    "a frame of an unknown type": () => [frame(99, 0, 1, body)],
    garbage: () => [Buffer.from("GET / HTTP/1.1\r\n\r\n".repeat(50))],
    "a timeout of nonsense": () => [
      headers(1, [["grpc-timeout", "soon"]]),
      data(1, message(asked("public"))),
    ],
  };
  test.each(Object.entries(pieces))("%s", async (_, makePieces) => {
    const socket = await openRaw();
    for (const piece of makePieces()) socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
    await isWell();
  });

  const rssMb = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) / 1024;
  const rst = (stream: number) => frame(frameTypes.rstStream, 0, stream, Buffer.alloc(4));
  const floods: Record<string, { reason: string; count: number; piece: (i: number) => Buffer }> = {
    "streams opened and reset at once": {
      reason: "CVE-2023-44487: each costs the server more than the client.",
      count: 20_000,
      piece: (i) => Buffer.concat([headers(2 * i + 1), rst(2 * i + 1)]),
    },
    "streams that are opened and never fed": {
      reason: "Each holds memory until somebody ends it.",
      count: 20_000,
      piece: (i) => headers(2 * i + 1),
    },
    settings: {
      reason: "CVE-2019-9515: each must be acknowledged.",
      count: 100_000,
      piece: () => frame(frameTypes.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100])),
    },
    pings: {
      reason: "CVE-2019-9512: each must be answered, and nobody reads the answers.",
      count: 100_000,
      piece: () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8)),
    },
    "empty data": {
      reason: "CVE-2019-9518: frames that carry nothing.",
      count: 100_000,
      piece: (i) => (i === 0 ? headers(1) : data(1, Buffer.alloc(0), 0)),
    },
    "headers without end": {
      reason: "Metadata is held until the call begins.",
      count: 200,
      piece: (i) =>
        headers(
          2 * i + 1,
          Array.from({ length: 100 }, (_, n) => [`x-${n}`, "v".repeat(150)] as const),
        ),
    },
  };
  test.each(Object.entries(floods))("a flood of %s", async (_name, { count, piece }) => {
    const before = rssMb();
    const socket = await openRaw();
    socket.pause();
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    let sent = 0;
    while (sent < count && !socket.destroyed) {
      const batch = Array.from({ length: Math.min(500, count - sent) }, (_, i) => piece(sent + i));
      sent += batch.length;
      const written = new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000);
        socket.write(Buffer.concat(batch), () => {
          clearTimeout(timer);
          resolve();
        });
      });
      await Promise.race([written, closed]);
    }
    await isWell();
    socket.destroy();
    await isWell();
    expect(rssMb() - before).toBeLessThan(150);
  });
});

describe("the process", () => {
  test("killed under load and started again gives no wrong verdict to a caller who tries again", async () => {
    const port = await freePort();
    const own = [...args, "--address", `127.0.0.1:${port}`];
    const env = { TLS_SERVER_CERTS_DIR: folder };
    let running = await startProcess(own, env);
    const handler = reference();
    const bodies = [
      ...requestsOf(5, 10, "observed"),
      ...["public", "private"].map((acl) => asked(acl)),
    ];
    const want = bodies.map((body) => expected(handler, body));
    const client = bytesClient(port, channel());
    let isOver = false;
    let right = 0;
    let failures = 0;
    const wrong: string[] = [];
    const callers = Array.from({ length: 8 }, async (_, caller) => {
      for (let i = caller; !isOver; i++) {
        const index = i % bodies.length;
        const reply = await callOn(client, bodies[index] ?? Buffer.alloc(0), { deadlineMs: 2000 });
        if (reply.code !== status.OK) {
          failures++;
          await new Promise((resolve) => setTimeout(resolve, 20));
        } else if (meaning(reply.body) === want[index]) right++;
        else wrong.push(`call ${index}`);
      }
    });
    let output = "";
    for (let kill = 0; kill < 3; kill++) {
      const before = right;
      await eventually("calls are answered", () => Promise.resolve(right > before + 50));
      running.signal("SIGKILL");
      await running.exited;
      output += running.output();
      running = await startProcess(own, env);
    }
    const before = right;
    await eventually("calls are answered again", () => Promise.resolve(right > before));
    isOver = true;
    await Promise.all(callers);
    client.close();
    running.signal("SIGTERM");
    expect(await running.exited).toBe(0);
    output += running.output();
    expect(wrong).toEqual([]);
    expect(failures).toBeGreaterThan(0);
    expect(output).not.toContain(secret);
  });

  test("a worker that is stopped by its time limit answers with an error, and others go on", async () => {
    const own = await startProcess(
      ["--insecure", "--address", "127.0.0.1:0", "--workers", "2", "--call-seconds", "5"],
      {},
    );
    const client = bytesClient(own.port, credentials.createInsecure());
    const late = callOn(client, dear(), { deadlineMs: 60_000 });
    const meanwhile = await callOn(client, asked("public"), { deadlineMs: 30_000 });
    expect(meanwhile.code).toBe(status.OK);
    const reply = await late;
    expect(reply.code).toBe(status.DEADLINE_EXCEEDED);
    expect(reply.details).toContain("raise --call-seconds");
    expect((await callOn(client, asked("public"), { deadlineMs: 30_000 })).code).toBe(status.OK);
    client.close();
    own.signal("SIGTERM");
    expect(await own.exited).toBe(0);
    expect(own.output()).toContain('"reason":"late"');
    expect(own.output()).not.toContain(secret);
  });

  test("told to stop, it finishes the calls that its workers have and those that wait", async () => {
    const own = await startProcess(
      ["--insecure", "--address", "127.0.0.1:0", "--workers", "2", "--drain-seconds", "60"],
      {},
    );
    const client = bytesClient(own.port, credentials.createInsecure());
    const handler = reference();
    const bodies = requestsOf(60, 50, "everything");
    const replies = Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        callOn(client, bodies[i % bodies.length] ?? Buffer.alloc(0), { deadlineMs: 60_000 }),
      ),
    );
    await eventually("calls are under way and wait", async () => {
      const page = await (await fetch(`http://127.0.0.1:${own.metricsPort}/metrics`)).text();
      return /workers_busy [12]/.test(page) && /calls_waiting [1-9]/.test(page);
    });
    own.signal("SIGTERM");
    for (const [index, reply] of (await replies).entries()) {
      expect([reply.code, reply.details]).toEqual([status.OK, ""]);
      const body = bodies[index % bodies.length] ?? Buffer.alloc(0);
      expect(meaning(reply.body)).toBe(expected(handler, body));
    }
    client.close();
    expect(await own.exited).toBe(0);
    expect(own.output()).toContain('"stopped"');
  });

  /** Within every limit of the engine, and seconds of work in sum: many policies, each as dear as it may be. */
  function dear(): Buffer {
    const list = Array.from({ length: 300 }, (_, i) => i);
    const expression = "object.spec.list.all(a, object.spec.list.all(b, a + b >= 0))";
    const policies = Array.from({ length: 20 }, (_, i) => validating(`dear-${i}`, expression));
    const desired: Record<string, JsonObject> = {};
    for (let i = 0; i < 200; i++) desired[`r${i}`] = { ...bucket(), spec: { list, secret } };
    return encodeRequest({ input: guardrails(policies), desired });
  }
});

describe("rotation of certificates", () => {
  test("under load fails no call, on old connections and on new ones", async () => {
    const dir = join(directory, "rotating");
    cpSync(folder, dir, { recursive: true });
    const read = readCertificates(dir, new Date());
    if (!read.ok) throw new Error(read.problem);
    const rotating = rotatingCredentials(dir, read.files, () => undefined, 20);
    const handler = reference();
    const own = await startServer("127.0.0.1:0", {
      handler,
      credentials: rotating.credentials,
      receiveBytesMax: 1_000_000,
      clientSans: ["crossplane"],
      log: () => undefined,
    });
    let isOver = false;
    const codes: status[] = [];
    const lasting = bytesClient(own.port, channel());
    const onOne = async () => {
      while (!isOver) codes.push((await callOn(lasting, asked("private"))).code);
    };
    const onNew = async () => {
      while (!isOver) {
        codes.push((await callServer(own.port, channel(), runPath, asked("private"))).code);
      }
    };
    const load = [onOne(), onOne(), onNew(), onNew()];
    const seen = new Set<string>();
    for (let i = 0; i < 8; i++) {
      const answeredBefore = codes.length;
      cpSync(authority.folder(`server-${i}`, ["localhost"]), dir, { recursive: true });
      await eventually("the new certificate is shown, and calls went on", async () => {
        seen.add(await fingerprint(own.port));
        return seen.size > i && codes.length > answeredBefore + 10;
      });
    }
    isOver = true;
    await Promise.all(load);
    lasting.close();
    rotating.stop();
    await own.drain(1000);
    expect(seen.size).toBeGreaterThanOrEqual(8);
    expect(codes.filter((code) => code !== status.OK)).toEqual([]);
  });

  test("an authority that is replaced ends old connections by their age, and no call fails", async () => {
    const read = readCertificates(folder, new Date());
    if (!read.ok) throw new Error(read.problem);
    const fixed = rotatingCredentials(folder, read.files, () => undefined);
    const handler = reference();
    const own = await startServer("127.0.0.1:0", {
      handler,
      credentials: fixed.credentials,
      receiveBytesMax: 1_000_000,
      clientSans: ["crossplane"],
      connectionAgeMs: 150,
      log: () => undefined,
    });
    const counting = await startCounting(own.port);
    const client = bytesClient(counting.port, channel());
    const codes: status[] = [];
    let isOver = false;
    const caller = async () => {
      while (!isOver) {
        codes.push((await callOn(client, asked("private"))).code);
      }
    };
    const callers = Array.from({ length: 8 }, caller);
    await eventually(
      "calls over several connections",
      () => codes.length > 100 && counting.connections() > 3,
    );
    isOver = true;
    await Promise.all(callers);
    client.close();
    fixed.stop();
    await own.drain(1000);
    expect(codes.filter((code) => code !== status.OK)).toEqual([]);
    counting.stop();
  });

  /** Passes bytes on, and counts connections. */
  async function startCounting(to: number) {
    let connections = 0;
    const relay = createServer((socket) => {
      connections++;
      const other = connectTcp(to, "127.0.0.1");
      socket.pipe(other).pipe(socket);
      socket.on("error", () => other.destroy());
      other.on("error", () => socket.destroy());
    });
    const port = await freePort();
    await new Promise<void>((resolve) => {
      relay.listen(port, "127.0.0.1", resolve);
    });
    return { port, connections: () => connections, stop: () => relay.close() };
  }

  async function fingerprint(port: number): Promise<string> {
    const socket = connect({
      port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: readFileSync(authority.caFile),
      cert: readFileSync(crossplane.certFile),
      key: readFileSync(crossplane.keyFile),
      ALPNProtocols: ["h2"],
    });
    await new Promise<void>((resolve) => socket.once("secureConnect", () => resolve()));
    const print = socket.getPeerCertificate().fingerprint256;
    socket.destroy();
    return print;
  }
});

describe("sizes", () => {
  const large = (count: number): Buffer =>
    encodeRequest({
      input: guardrails([noPublic]),
      observed: Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`r${i}`, bucket({ note: "x".repeat(10_000) })]),
      ),
      desired: Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`r${i}`, bucket({ note: "y".repeat(10_000) })]),
      ),
    });

  test("a request of 8 MB is answered, as long as the answer is within Crossplane's 4 MiB", async () => {
    const body = large(400);
    expect(body.length).toBeGreaterThan(8_000_000);
    const reply = await callServer(server.port, channel(), runPath, body);
    expect([reply.code, reply.details]).toEqual([status.OK, ""]);
    expect(reply.body.length).toBeGreaterThan(4_000_000);
    expect(reply.body.length).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(
      Object.keys(RunFunctionResponse.decode(reply.body).desired?.resources ?? {}).length,
    ).toBe(400);
  });

  test("an answer above it is a Fatal one that says what to do", async () => {
    const reply = await callServer(server.port, channel(), runPath, large(450));
    expect(reply.code).toBe(status.OK);
    expect(reply.body.length).toBeLessThan(2000);
    const [result] = RunFunctionResponse.decode(reply.body).results;
    expect(result?.severity).toBe(1);
    expect(result?.message).toContain("larger than the 4194304 that Crossplane accepts");
    expect(result?.message).toContain("into several composites");
  });
});

test("nothing out of any request is in logs or figures", async () => {
  const text = await metrics();
  expect(text).toContain("parapet_function_calls_total");
  for (const known of [secret, "eu-west-1", "platform", "resource-number"]) {
    expect(text).not.toContain(known);
    expect(server.output()).not.toContain(known);
  }
});
