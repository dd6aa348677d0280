// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { expect, it } from "vitest";
import { type ConsolePorts, makeConsole } from "#responder/console/routes";
import { cookieName, sealSession } from "#responder/console/session";
import { eventually } from "#test/support/processes";

const never = () => Promise.reject(new Error("not asked for"));

it("a page that takes nothing costs no memory, and hears of what it missed when it takes again", async () => {
  const sessionKey = "a-key-for-the-sessions-of-a-test";
  const listeners = new Set<() => void>();
  const ports: ConsolePorts = {
    ...{ list: never, get: never, live: never, approvals: never, decide: never },
    ...{ renew: never, undo: never, stopped: () => false, now: Date.now },
    subscribe: (onChange) => {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
  };
  const reviewers = [{ name: "jane", token: "a-token-of-the-reviewer" }];
  const handle = makeConsole({ reviewers, sessionKey, secure: false, namespace: "x" }, ports);
  const server = createServer((request, reply) => void handle(request, reply));
  const sockets: Socket[] = [];
  server.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const cookie = sealSession({ reviewer: "jane", expiresAtMs: Date.now() + 600_000 }, sessionKey);
  const reader = connect(port, "127.0.0.1");
  reader.write(
    `GET /console/events HTTP/1.1\r\nhost: x\r\ncookie: ${cookieName}=${cookie}\r\n\r\n`,
  );
  await eventually("it listens", () => listeners.size === 1);
  const change = (times: number): void => {
    for (let i = 0; i < times; i++) for (const tell of listeners) tell();
  };
  reader.pause();
  change(500_000);
  // As much as the stream itself holds before it says that it is full.
  expect(sockets[0]?.writableLength).toBeLessThan(1_000_000);
  let heard = 0;
  reader.on("data", (data: Buffer) => {
    heard += data.toString("latin1").split("event: change").length - 1;
  });
  reader.resume();
  await eventually("it has heard something", () => heard > 0);
  await eventually("all is taken", () => sockets[0]?.writableLength === 0);
  const before = heard;
  change(1);
  await eventually("it hears again", () => heard > before);
  reader.destroy();
  await eventually("nobody listens", () => listeners.size === 0);
  await new Promise((done) => server.close(done));
});
