// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import {
  authenticate,
  type ClientCertificate,
  type Credentials,
} from "#responder/config/credentials";
import type { Intake } from "#responder/intake/intake";
import type { Handle } from "#responder/listener";
import type { Metrics } from "#responder/metrics";

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
