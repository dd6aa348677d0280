// SPDX-License-Identifier: Apache-2.0
import { connect, type ClientHttp2Session } from "node:http2";
import { ServerCredentials } from "@grpc/grpc-js";
import { test } from "vitest";
import { eventually } from "#test/support/processes";
import { startServer } from "./server.ts";

const widened = 4 * 1024 * 1024;

/** Resolves when the server has said how much may be sent ahead in one call. */
const toldWindow = (session: ClientHttp2Session): Promise<void> =>
  new Promise((resolve) => {
    session.on("remoteSettings", ({ initialWindowSize }) => {
      if (initialWindowSize === widened) resolve();
    });
  });

test("a connection's first call widens what may be sent ahead, for the connection and for every call", async () => {
  const server = await startServer("127.0.0.1:0", {
    handler: (request) => request,
    credentials: ServerCredentials.createInsecure(),
    receiveBytesMax: 1024,
    clientSans: [],
    log: () => undefined,
  });
  const session = connect(`http://127.0.0.1:${server.port}`);
  try {
    const told = toldWindow(session);
    const call = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    call.resume();
    call.end(Buffer.alloc(5));
    await told;
    await eventually("the connection may send ahead", () =>
      Promise.resolve((session.state.remoteWindowSize ?? 0) > widened / 2),
    );
  } finally {
    session.destroy();
    await server.drain(1000);
  }
});
