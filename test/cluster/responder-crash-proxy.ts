// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { type IncomingMessage, type ServerResponse } from "node:http";
import { Agent, createServer, request as httpsRequest } from "node:https";
import { connect, createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { Certificate } from "#test/support/certificates";

/** One request of the responder's, as the proxy sees it: all of it is there before anything is forwarded. */
export type Seen = {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly dryRun: boolean;
  readonly body: string;
};

/**
 * Asked twice for each write: before it is forwarded, and when the API server has answered but the responder does not know.
 * True: the responder was killed just now, and nothing goes on.
 */
export type Strike = (seen: Seen, when: "before" | "after") => boolean;

export type Proxy = { readonly port: number; readonly close: () => Promise<void> };

/**
 * Stands between the responder and the API server, so that a process can be killed exactly between a request and its answer.
 * A server that is away looks as it does without the proxy: the connection breaks.
 */
export async function startApiProxy(options: {
  readonly url: string;
  readonly caFile: string;
  readonly certificate: Certificate;
  readonly strike: Strike;
}): Promise<Proxy> {
  const agent = new Agent({ ca: readFileSync(options.caFile), keepAlive: true, maxSockets: 128 });
  const server = createServer({
    cert: readFileSync(options.certificate.certFile),
    key: readFileSync(options.certificate.keyFile),
    keepAliveTimeout: 120_000,
  });
  const forward = (
    request: IncomingMessage,
    response: ServerResponse,
    seen: Seen,
    body: Buffer,
  ): void => {
    const isWrite = request.method !== "GET";
    const upstream = httpsRequest(
      new URL(request.url ?? "", options.url),
      { method: request.method ?? "GET", headers: request.headers, agent },
      (answer) => {
        if (isWrite && options.strike(seen, "after")) {
          answer.resume();
          request.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        // A watch's headers come long before its first event.
        response.flushHeaders();
        answer.pipe(response);
        answer.once("error", () => request.socket.destroy());
      },
    );
    upstream.once("error", () => request.socket.destroy());
    response.once("close", () => {
      if (!response.writableFinished) upstream.destroy();
    });
    upstream.end(body);
  };
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.once("error", () => undefined);
    request.once("end", () => {
      const body = Buffer.concat(chunks);
      const [path = "", query = ""] = (request.url ?? "").split("?", 2);
      const seen: Seen = {
        method: request.method ?? "GET",
        path,
        dryRun: query.includes("dryRun=All"),
        body: body.toString("utf8"),
      };
      if (seen.method !== "GET" && options.strike(seen, "before")) request.socket.destroy();
      else forward(request, response, seen, body);
    });
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  const port = await listen(server);
  return {
    port,
    close: async () => {
      agent.destroy();
      server.closeAllConnections();
      await closed(server);
    },
  };
}

/** Stands between the responder and Redis. `onAnswer` is asked for each piece that Redis sends; true: it is not passed on. */
export async function startRedisProxy(target: number, onAnswer: () => boolean): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk) => {
      if (onAnswer()) client.destroy();
      else client.write(chunk);
    });
  });
  const port = await listen(server);
  return {
    port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await closed(server);
    },
  };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return address.port;
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
  });
