// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it listens.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { SecureContextOptions } from "node:tls";

export type Handle = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export type TlsFiles = {
  readonly cert: string;
  readonly key: string;
  /** Signs client certificates; they are asked for but not demanded, for there are tokens too. */
  readonly clientCa: string | undefined;
};

export type HttpLimits = {
  /** From the first byte of a request to the end of its headers, and of its body. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** Longer than Go's idle pool keeps connections (90 s): a POST on one that we just closed is lost, falcosidekick does not repeat it. */
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
};

export const httpLimits: HttpLimits = {
  headersMs: 10_000,
  requestMs: 15_000,
  keepAliveMs: 120_000,
  connectionsMax: 12_000,
};

export type Listener = {
  readonly port: number;
  /** Certificates for the connections to come; throws, and goes on with the present ones, where they cannot be used. */
  readonly renew: (tls: TlsFiles) => void;
  /** Goes on taking requests and asks each sender to take another connection, which then leads elsewhere. */
  readonly drain: () => void;
  readonly close: () => Promise<void>;
};

/** Connections that the kernel keeps for us until we take them: with Node's 511 a burst loses some, which their senders take for open. */
const backlogMax = 4_096;

/** Listens and hands requests over; a handler that throws answers 500 without a word. Rejects when the address cannot be had. */
export async function listen(
  address: { readonly host: string; readonly port: number },
  tls: TlsFiles | undefined,
  handle: Handle,
  onError: (error: unknown) => void,
  limits: HttpLimits = httpLimits,
): Promise<Listener> {
  const options = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
    maxHeaderSize: 16_384,
  };
  const secure =
    tls === undefined
      ? undefined
      : createTlsServer({
          ...options,
          ...contextOf(tls),
          handshakeTimeout: limits.headersMs,
          ...(tls.clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: false }),
        });
  const server: Server | TlsServer = secure ?? createServer(options);
  server.maxConnections = limits.connectionsMax;
  const heard = watchStrangers(server, tls !== undefined, limits);
  let draining = false;
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    heard(request, response);
    if (draining) response.setHeader("connection", "close");
    const answered = Promise.resolve().then(() => handle(request, response));
    answered.catch((error: unknown) => {
      onError(error);
      if (!response.headersSent) response.writeHead(500, { connection: "close" });
      response.end();
    });
  };
  server.on("request", serve);
  // Without this Node would ask for the body of a request that is refused anyway.
  server.on("checkContinue", serve);
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...address, backlog: backlogMax }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  server.on("error", onError);
  return {
    port: portOf(server.address()),
    drain: () => {
      draining = true;
    },
    renew: (files) => secure?.setSecureContext(contextOf(files)),
    close: () => close(server),
  };
}

/** Of a listener's connections; Node's own checks throw where key and certificate do not belong together. */
export const contextOf = (tls: TlsFiles): SecureContextOptions => ({
  cert: tls.cert,
  key: tls.key,
  minVersion: "TLSv1.2",
  ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa }),
});

/**
 * Ends connections that say nothing: Node's own limits begin with the first byte. When the last connections are being taken, the
 * oldest that never showed a credential makes room: strangers cannot keep senders out by being many. Returns what is to be told of
 * each request.
 */
function watchStrangers(
  server: Server,
  isTls: boolean,
  limits: HttpLimits,
): (request: IncomingMessage, response: ServerResponse) => void {
  const strangers = new Map<Socket, NodeJS.Timeout>();
  const forget = (socket: Socket): void => {
    clearTimeout(strangers.get(socket));
    strangers.delete(socket);
  };
  let open = 0;
  server.on(isTls ? "secureConnection" : "connection", (socket: Socket) => {
    open += 1;
    strangers.set(
      socket,
      setTimeout(() => socket.destroy(), limits.headersMs),
    );
    socket.once("close", () => {
      open -= 1;
      forget(socket);
    });
    const [oldest] = strangers.keys();
    if (open > limits.connectionsMax * roomFrom && oldest !== undefined) oldest.destroy();
  });
  return (request, response) => {
    // From here on Node's limits hold; it stays a stranger until it is answered anything but 401.
    clearTimeout(strangers.get(request.socket));
    response.once("finish", () => {
      if (response.statusCode !== 401) forget(request.socket);
    });
  };
}

/** Fill of the listener from which strangers make room. */
const roomFrom = 0.9;

const portOf = (address: string | AddressInfo | null): number =>
  typeof address === "object" && address !== null ? address.port : 0;

/** Answers what is under way, for at most this long, then ends. */
const drainMsMax = 5_000;

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), drainMsMax);
  await closed;
  clearTimeout(timer);
}
