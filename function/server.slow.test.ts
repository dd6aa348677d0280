// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Client,
  credentials,
  status,
  type ChannelCredentials,
  type ServiceError,
} from "@grpc/grpc-js";
import { RunFunctionResponse } from "@crossplane-org/function-sdk-typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  callServer,
  channelOf,
  launch,
  publicBucket as request,
  runPath,
  startProcess,
  type Running,
} from "#test/support/function-process";
import { eventually } from "#test/support/processes";
import { bucket, encodeRequest, guardrails, noPublic } from "#test/support/run-function";
import { repository } from "#test/support/shared";
import { makeAuthority, type Authority, type Certificate } from "#test/support/certificates";
import { readCertificates, rotatingCredentials } from "./credentials.ts";
import { startServer, type Handler, type RunningServer } from "./server.ts";

// Real TLS on loopback, certificates made by openssl.

const directory = mkdtempSync(join(tmpdir(), "parapet-function-"));
let authority: Authority;
let stranger: Authority;
let folder: string;
let crossplane: Certificate;

beforeAll(() => {
  authority = makeAuthority(join(directory, "ca"));
  stranger = makeAuthority(join(directory, "stranger"));
  folder = authority.folder("server", ["localhost"]);
  crossplane = authority.issue("crossplane", { names: ["crossplane.crossplane-system"] });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const channel = (pair: Certificate | undefined, ca = authority) => channelOf(ca, pair);

describe("the process", () => {
  let server: Running;
  beforeAll(async () => {
    server = await startProcess(
      [
        "--address",
        "127.0.0.1:0",
        "--max-recv-message-size",
        "1",
        "--client-san",
        "crossplane.crossplane-system",
      ],
      { TLS_SERVER_CERTS_DIR: folder },
    );
  });
  afterAll(() => server.signal("SIGKILL"));

  test("answers a caller with the right certificate, on both paths", async () => {
    for (const path of [runPath, runPath.replace(".v1.", ".v1beta1.")]) {
      const reply = await callServer(server.port, channel(crossplane), path);
      expect(reply.code).toBe(status.OK);
      expect(RunFunctionResponse.decode(reply.body).conditions[0]?.reason).toBe("Held");
    }
  });

  const refused: Record<string, () => ChannelCredentials> = {
    "without a certificate": () => channel(undefined),
    "with a certificate of another authority": () => channel(stranger.issue("crossplane", {})),
    "with an expired certificate": () => channel(authority.issue("expired", { days: -1 })),
    "without TLS": () => credentials.createInsecure(),
  };
  test.each(Object.entries(refused))("refuses a caller %s", async (_, makeCredentials) => {
    const reply = await callServer(server.port, makeCredentials());
    expect([status.UNAVAILABLE, status.DEADLINE_EXCEEDED]).toContain(reply.code);
    expect(reply.body.length).toBe(0);
  });

  test("refuses a caller of the right authority with another name", async () => {
    const other = authority.issue("provider", { names: ["provider.crossplane-system"] });
    const reply = await callServer(server.port, channel(other));
    expect([reply.code, reply.details]).toEqual([
      status.PERMISSION_DENIED,
      "this client may not call the function",
    ]);
  });

  test("says that it is healthy", async () => {
    const reply = await callServer(
      server.port,
      channel(crossplane),
      "/grpc.health.v1.Health/Check",
      Buffer.alloc(0),
    );
    expect([reply.code, [...reply.body]]).toEqual([status.OK, [8, 1]]);
  });

  test("refuses malformed messages and lives on, without logging any of their content", async () => {
    const secret = Buffer.from("hunter2 hunter2 hunter2");
    for (const body of [secret, request().subarray(0, 100), Buffer.alloc(50, 0xff)]) {
      const reply = await callServer(server.port, channel(crossplane), runPath, body);
      expect(reply.code).toBe(status.INVALID_ARGUMENT);
      expect(reply.details).toContain("malformed RunFunctionRequest");
    }
    expect((await callServer(server.port, channel(crossplane))).code).toBe(status.OK);
    expect(server.output()).not.toContain("hunter2");
    expect(server.output()).not.toContain("eu-west-1");
  });

  test("takes requests up to the limit that it was given", async () => {
    const large = encodeRequest({
      input: guardrails([noPublic]),
      desired: { a: bucket({ note: "x".repeat(1_100_000) }) },
    });
    const reply = await callServer(server.port, channel(crossplane), runPath, large);
    expect(reply.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  test("answers a thousand calls at once, each with its own verdict", async () => {
    const client = new Client(`localhost:${server.port}`, channel(crossplane));
    const bodies = ["public", "private"].map((acl) =>
      encodeRequest({ input: guardrails([noPublic]), desired: { a: bucket({ acl }) } }),
    );
    const reasons = await Promise.all(
      Array.from(
        { length: 1000 },
        (_, i) =>
          new Promise<string>((resolve) => {
            client.makeUnaryRequest(
              runPath,
              (bytes: Buffer) => bytes,
              (bytes: Buffer) => bytes,
              bodies[i % 2] ?? Buffer.alloc(0),
              { deadline: Date.now() + 30_000 },
              (error: ServiceError | null, answer?: Buffer) =>
                resolve(
                  error?.details ??
                    RunFunctionResponse.decode(answer ?? Buffer.alloc(0)).conditions[0]?.reason ??
                    "",
                ),
            );
          }),
      ),
    );
    client.close();
    expect(reasons).toEqual(reasons.map((_, i) => (i % 2 === 0 ? "Held" : "Compliant")));
  });

  test("stops within its limit when it is told to", async () => {
    const own = await startProcess([
      "--address",
      "127.0.0.1:0",
      "--insecure",
      "--drain-seconds",
      "1",
    ]);
    expect((await callServer(own.port, credentials.createInsecure())).code).toBe(status.OK);
    own.signal("SIGTERM");
    expect(await own.exited).toBe(0);
    expect(own.output()).toContain('"stopped"');
  });
});

test("the bundle of the image evaluates on several threads, too", async () => {
  const out = join(directory, "bundle", "function");
  // As in the Dockerfile.
  const flags = ["--platform", "node", "--format", "esm", "--sourcemap", "-d", out];
  const rolldown = join(repository, "node_modules/rolldown/bin/cli.mjs");
  execFileSync(process.execPath, [rolldown, "function/main.ts", ...flags], {
    cwd: repository,
    stdio: "pipe",
  });
  cpSync(join(repository, "package.json"), join(directory, "bundle/package.json"));
  const server = await startProcess(
    ["--address", "127.0.0.1:0", "--workers", "3"],
    { TLS_SERVER_CERTS_DIR: folder },
    join(out, "main.js"),
  );
  expect((await callServer(server.port, channel(crossplane))).code).toBe(status.OK);
  await eventually("all workers are ready", async () => {
    const page = await fetch(`http://127.0.0.1:${server.metricsPort}/metrics`);
    return (await page.text()).includes("parapet_function_workers 3\n");
  });
  server.signal("SIGTERM");
  expect(await server.exited).toBe(0);
});

describe("what it refuses to start with", () => {
  const expiredFolder = (): string => {
    const copy = join(directory, "expired-tls");
    cpSync(folder, copy, { recursive: true });
    const pair = authority.issue("old", { days: -1 });
    writeFileSync(join(copy, "tls.crt"), readFileSync(pair.certFile));
    writeFileSync(join(copy, "tls.key"), readFileSync(pair.keyFile));
    return copy;
  };
  const mixedFolder = (): string => {
    const copy = join(directory, "mixed-tls");
    cpSync(folder, copy, { recursive: true });
    writeFileSync(join(copy, "tls.key"), readFileSync(crossplane.keyFile));
    return copy;
  };
  const cases: Record<string, { args: () => readonly string[]; code: number; says: string }> = {
    "no certificates": { args: () => [], code: 2, says: "no certificates" },
    "an unknown flag": {
      args: () => ["--insecure", "--tls-certs-dir=x"],
      code: 2,
      says: "--tls-certs-dir",
    },
    "wrong values": {
      args: () => [
        "--insecure",
        "--address=x",
        "--drain-seconds=-1",
        "--max-recv-message-size=9999",
        "--workers=0",
      ],
      code: 2,
      says: "--max-recv-message-size must be a whole number from 1 to 512",
    },
    "a folder that is not there": {
      args: () => ["--tls-server-certs-dir=/nowhere"],
      code: 1,
      says: "ENOENT",
    },
    "an expired certificate": {
      args: () => [`--tls-server-certs-dir=${expiredFolder()}`],
      code: 1,
      says: "tls.crt expired",
    },
    "a key of another certificate": {
      args: () => [`--tls-server-certs-dir=${mixedFolder()}`],
      code: 1,
      says: "tls.key is not the key of tls.crt",
    },
  };
  test.each(Object.entries(cases))("%s", async (_, { args, code, says }) => {
    const { output, exited } = launch(args());
    expect(await exited).toBe(code);
    expect(output()).toContain(says);
  });

  test("a port that is taken", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => {
      holder.listen(0, "127.0.0.1", resolve);
    });
    const bound = holder.address();
    if (bound === null || typeof bound === "string") throw new Error("no port");
    const { port } = bound;
    const { output, exited } = launch(["--insecure", "--address", `127.0.0.1:${port}`]);
    expect(await exited).toBe(1);
    expect(output()).toContain("cannot listen");
    holder.close();
  });

  test("--help needs nothing and explains every option", async () => {
    const { output, exited } = launch(["--help"]);
    expect(await exited).toBe(0);
    for (const flag of [
      "--address",
      "--tls-server-certs-dir",
      "--insecure",
      "--client-san",
      "--drain-seconds",
    ]) {
      expect(output()).toContain(flag);
    }
  });
});

describe("the server", () => {
  const start = (handler: Handler, creds = rotating(folder)): Promise<RunningServer> =>
    startServer("127.0.0.1:0", {
      handler,
      credentials: creds.credentials,
      receiveBytesMax: 1_000_000,
      clientSans: [],
      log: () => undefined,
    });
  const rotating = (dir: string) => {
    const read = readCertificates(dir, new Date());
    if (!read.ok) throw new Error(read.problem);
    return rotatingCredentials(dir, read.files, () => undefined, 50);
  };

  test("hides what an unexpected error says", async () => {
    const server = await start(() => {
      throw new Error("password hunter2");
    });
    const reply = await callServer(server.port, channel(crossplane));
    expect([reply.code, reply.details]).toEqual([
      status.INTERNAL,
      "internal error, see the function's log",
    ]);
    await server.drain(100);
  });

  test("takes over new certificates, and keeps the old ones when the new are unusable", async () => {
    const dir = join(directory, "rotating-tls");
    cpSync(folder, dir, { recursive: true });
    const creds = rotating(dir);
    const server = await start((bytes) => bytes, creds);
    expect((await callServer(server.port, channel(crossplane))).code).toBe(status.OK);
    writeFileSync(join(dir, "tls.crt"), "garbage");
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await callServer(server.port, channel(crossplane))).code).toBe(status.OK);
    cpSync(stranger.folder("server", ["localhost"]), dir, { recursive: true });
    const newCaller = stranger.issue("crossplane-new", {});
    for (let i = 0; i < 50; i++) {
      if ((await callServer(server.port, channel(newCaller, stranger))).code === status.OK) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect((await callServer(server.port, channel(newCaller, stranger))).code).toBe(status.OK);
    expect((await callServer(server.port, channel(crossplane))).code).not.toBe(status.OK);
    creds.stop();
    await server.drain(100);
  });
});
