// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import {
  authenticate,
  type ClientCertificate,
  type Credentials,
} from "#responder/config/credentials";
import type { Intake } from "#responder/intake/intake";
import type { Metrics } from "#responder/metrics";

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
  const server: Server =
    tls === undefined
      ? createServer(options)
      : createTlsServer({
          ...options,
          cert: tls.cert,
          key: tls.key,
          minVersion: "TLSv1.2",
          handshakeTimeout: limits.headersMs,
          ...(tls.clientCa === undefined
            ? {}
            : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }),
        });
  server.maxConnections = limits.connectionsMax;
  const heard = watchStrangers(server, tls !== undefined, limits);
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    heard(request, response);
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
  return { port: portOf(server.address()), close: () => close(server) };
}

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

/** Largest body, in bytes. An alert has 1-3 KB; a Kubernetes audit one can carry a whole object. */
export const bodyBytesMax = 256 * 1024;

/** What the intake answers. */
const statuses = ["202", "400", "401", "404", "405", "408", "413", "415", "503"] as const;

/**
 * `POST /falco`: 202 when the alerts are durable. Whoever is not known gets 401, whatever was asked; no header, no body, and
 * the request's body is not read.
 */
export function makeIntakeHandler(options: {
  readonly intake: Intake;
  readonly credentials: Credentials;
  readonly metrics: Metrics;
  readonly bodyBytesMax?: number;
}): Handle {
  const seconds = options.metrics.histogram(
    "parapet_intake_seconds",
    "From a request's headers to its answer, by status.",
    statuses.map((status) => ({ status })),
  );
  const bytesMax = options.bodyBytesMax ?? bodyBytesMax;
  return async (request, response) => {
    const startedAt = performance.now();
    const status = await answer(request, response);
    seconds.observe((performance.now() - startedAt) / 1_000, { status: `${status}` });
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<number> {
    const sender = authenticate(
      options.credentials,
      request.headers.authorization,
      certificateOf(request),
    );
    if (sender === undefined) return refuse(request, response, 401);
    const path = (request.url ?? "").split("?", 1)[0];
    const tell = (status: number, problem: string): number =>
      refuseWith(request, response, status, problem);
    if (path !== "/falco" && path !== "/") return tell(404, "alerts are taken at /falco");
    // PUT: falcosidekick's webhook can be set to it.
    if (request.method !== "POST" && request.method !== "PUT")
      return tell(405, "alerts are sent by POST or PUT");
    const encoding = request.headers["content-encoding"] ?? "identity";
    if (encoding !== "identity") return tell(415, "the body must not be compressed");
    if (request.headers.expect !== undefined) response.writeContinue();
    const body = await readBody(request, bytesMax);
    if (body === "large") return tell(413, `the body is larger than ${bytesMax} bytes`);
    if (body === "cut") return tell(408, "the body did not come to its end in time");
    const result = await options.intake.accept(body, sender);
    send(response, result.status, result);
    return result.status;
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, status: number): number {
  // What is left of the body is not read, so the connection cannot serve another request; and whoever is not known keeps none.
  const isRead = request.complete || request.headers["content-length"] === "0";
  response.writeHead(status, isRead && status !== 401 ? {} : { connection: "close" });
  response.end();
  return status;
}

/** For a sender that is known: it may read what is wrong. The connection ends as after {@link refuse}. */
function refuseWith(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  problem: string,
): number {
  if (!request.complete) response.setHeader("connection", "close");
  send(response, status, { status, problems: [problem] });
  return status;
}

export function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** The body, or why there is none: larger than allowed, or cut off by the sender or a time-out. */
export async function readBody(
  request: IncomingMessage,
  bytesMax: number,
): Promise<Buffer | "large" | "cut"> {
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) return "large";
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    // Not destroyed on return: the answer still has to go out on the same socket.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      if (!(chunk instanceof Uint8Array)) continue;
      bytes += chunk.byteLength;
      if (bytes > bytesMax) return "large";
      chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
  } catch {
    return "cut";
  }
  return Buffer.concat(chunks);
}

function certificateOf(request: IncomingMessage): ClientCertificate | undefined {
  const { socket } = request;
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  const alternatives = (certificate.subjectaltname ?? "")
    .split(", ")
    .map((name) => name.replace(/^(?:DNS|URI|IP Address):/, ""))
    .filter((name) => name !== "");
  const common = certificate.subject?.CN;
  return { names: [...alternatives, ...(typeof common === "string" ? [common] : [])] };
}

/**
 * Liveness, readiness, metrics and what is wrong, on a listener of their own so that they can be kept inside. `/readyz` is the
 * intake's: alerts are taken even while nothing can be done about them. `/readyz/acting` tells whether they are acted on.
 */
export function makeOperationsHandler(options: {
  readonly ready: () => { readonly intake: boolean; readonly acting: boolean };
  readonly metrics: Metrics;
  /** What an operator should know beside; part of `/readyz`'s body too. */
  readonly status?: () => object;
}): Handle {
  return (request, response) => {
    const path = (request.url ?? "").split("?", 1)[0];
    const ready = options.ready();
    const detail = { ...ready, ...options.status?.() };
    if (request.method !== "GET") refuse(request, response, 405);
    else if (path === "/healthz") send(response, 200, { alive: true });
    else if (path === "/readyz") send(response, ready.intake ? 200 : 503, detail);
    else if (path === "/readyz/acting") send(response, ready.acting ? 200 : 503, detail);
    else if (path === "/status") send(response, 200, detail);
    else if (path === "/metrics") {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" });
      response.end(options.metrics.text());
    } else refuse(request, response, 404);
    return Promise.resolve();
  };
}
