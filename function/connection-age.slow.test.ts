// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, expect, test } from "vitest";
import { makeAuthority } from "#test/support/certificates";
import { runPath } from "#test/support/function-process";
import {
  callHeaders,
  flagEndHeaders,
  flagEndStream,
  frame,
  frameTypes,
  message,
  preface,
} from "#test/support/http2-frames";
import { eventually } from "#test/support/processes";
import { readCertificates, rotatingCredentials } from "./credentials.ts";
import { startServer } from "./server.ts";

const directory = mkdtempSync(join(tmpdir(), "parapet-age-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const connectionAgeMs = 500;
const goAwayType = 7;

/** Whole frames at the beginning of the bytes, and the rest. */
function split(bytes: Buffer) {
  const frames: { type: number; flags: number; stream: number; payload: Buffer }[] = [];
  let at = 0;
  while (bytes.length - at >= 9 && bytes.length - at - 9 >= bytes.readUIntBE(at, 3)) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    const [type, flags] = [bytes.readUInt8(at + 3), bytes.readUInt8(at + 4)];
    frames.push({ type, flags, stream, payload: bytes.subarray(at + 9, end) });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

test("a connection that has come of age says which call was the last, so that one on its way can be made again", async () => {
  const authority = makeAuthority(join(directory, "ca"));
  const read = readCertificates(authority.folder("server", ["localhost"]), new Date());
  if (!read.ok) throw new Error(read.problem);
  const fixed = rotatingCredentials(directory, read.files, () => undefined);
  const server = await startServer("127.0.0.1:0", {
    handler: (bytes) => bytes,
    credentials: fixed.credentials,
    receiveBytesMax: 1_000_000,
    clientSans: [],
    connectionAgeMs,
    log: () => undefined,
  });
  const pair = authority.issue("crossplane", {});
  const [ca, cert, key] = [authority.caFile, pair.certFile, pair.keyFile].map((file) =>
    readFileSync(file),
  );
  const to = { port: server.port, host: "127.0.0.1", servername: "localhost" };
  // A client that speaks by hand: what it writes has left before the next line runs.
  const socket = connect({ ...to, ca, cert, key, ALPNProtocols: ["h2"] });
  const call = (stream: number): Buffer =>
    Buffer.concat([
      frame(frameTypes.headers, flagEndHeaders, stream, callHeaders(runPath)),
      frame(frameTypes.data, flagEndStream, stream, message(Buffer.from("x"))),
    ]);
  const answered = new Set<number>();
  const seen = { lastTaken: 0, end: false };
  let rest = Buffer.alloc(0);
  socket.on("error", () => undefined);
  socket.on("close", () => (seen.end = true));
  socket.on("data", (part: Buffer) => {
    const parts = split(Buffer.concat([rest, part]));
    rest = Buffer.from(parts.rest);
    for (const { type, flags, stream, payload } of parts.frames) {
      if (type === frameTypes.headers && (flags & flagEndStream) !== 0) answered.add(stream);
      if (type !== goAwayType) continue;
      seen.lastTaken = payload.readUInt32BE(0);
      // Sent before the client heard of the end.
      socket.write(call(3));
    }
  });
  await new Promise<void>((resolve) => socket.once("secureConnect", () => resolve()));
  const settings = frame(frameTypes.settings, 0, 0, Buffer.alloc(0));
  socket.write(Buffer.concat([preface, settings, call(1)]));
  await eventually("the first call is answered", () => answered.has(1));
  await eventually("the connection ends", () => seen.end);
  expect(seen.lastTaken).toBe(Math.max(...answered));
  fixed.stop();
  await server.drain(1_000);
});
