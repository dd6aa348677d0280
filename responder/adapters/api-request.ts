// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { JsonObject } from "#policy/json";
import { isObject, textAt } from "#policy/json";
import type { Connection } from "#responder/adapters/kubeconfig";
import type { FailureCode, Reply } from "#responder/cluster";
import { failure } from "#responder/cluster";

export type Call = {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** `application/json` unless told. */
  readonly accept?: string;
};

/** Sends one request to an API server. */
export type Send = {
  /** The JSON answer. */
  readonly json: (call: Call) => Promise<Reply<JsonObject>>;
  /** The answer as text, where it is no JSON. */
  readonly text: (call: Call) => Promise<Reply<string>>;
  /** The lines of a streaming answer, each one JSON object, until it ends, fails or `signal` aborts. */
  readonly lines: (
    call: Call,
    onLine: (line: JsonObject) => void,
    signal: AbortSignal,
  ) => Promise<Reply<undefined>>;
  readonly close: () => void;
};

/** Longest wait for an answer. The API server itself ends ordinary requests after 60 s. */
const answerMsMax = 15_000;
/** A watch gets a bookmark about every minute; one silent for longer is dead. */
const silenceMsMax = 150_000;
/** Connections at once: workers plus watches, far below what an API server minds. */
const socketsMax = 64;

export function makeSend(connection: Connection): Send {
  const { open, close } = makeOpen(connection);
  return {
    json: async (call) => {
      try {
        const response = await open(call, false);
        return toReply(response.statusCode ?? 0, await readJson(response));
      } catch (error) {
        return failure("Unavailable", messageOf(error));
      }
    },
    text: async (call) => {
      try {
        const response = await open(call, false);
        const text = await readText(response);
        if (response.statusCode === 200) return { ok: true, value: text };
        const reply = toReply(response.statusCode ?? 0, toJson(text));
        return reply.ok ? failure("Unavailable", "an unexpected answer") : reply;
      } catch (error) {
        return failure("Unavailable", messageOf(error));
      }
    },
    lines: async (call, onLine, signal) => {
      let response: IncomingMessage;
      try {
        response = await open(call, true, signal);
        if (response.statusCode !== 200) {
          const reply = toReply(response.statusCode ?? 0, await readJson(response));
          return reply.ok ? failure("Unavailable", "an unexpected answer to a watch") : reply;
        }
      } catch (error) {
        return signal.aborted ? done : failure("Unavailable", messageOf(error));
      }
      return readLines(response, onLine, signal);
    },
    close,
  };
}

type Open = (call: Call, stream: boolean, signal?: AbortSignal) => Promise<IncomingMessage>;

/** The transport: pooled connections for requests, one of its own for each watch so that none waits for them. */
function makeOpen(connection: Connection): { readonly open: Open; readonly close: () => void } {
  const secure = connection.server.startsWith("https:");
  const agent = secure
    ? new HttpsAgent({
        keepAlive: true,
        maxSockets: socketsMax,
        ca: connection.ca,
        cert: connection.cert,
        key: connection.key,
        rejectUnauthorized: connection.verify,
      })
    : new HttpAgent({ keepAlive: true, maxSockets: socketsMax });
  const watching = new HttpsAgent({
    ca: connection.ca,
    cert: connection.cert,
    key: connection.key,
    rejectUnauthorized: connection.verify,
  });
  const open: Open = async (call, stream, signal) => {
    const url = new URL(connection.server.replace(/\/$/, "") + call.path);
    for (const [name, value] of Object.entries(call.query ?? {})) url.searchParams.set(name, value);
    const token = await connection.token();
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers: Record<string, string> = {
      accept: call.accept ?? "application/json",
      "user-agent": "parapet",
    };
    if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) {
      headers["content-type"] = call.contentType ?? "application/json";
      // Node frames the body of a DELETE only when told its length; unframed it would be read as the next request.
      headers["content-length"] = `${Buffer.byteLength(body)}`;
    }
    const timeout = stream ? silenceMsMax : answerMsMax;
    const send = secure ? httpsRequest : httpRequest;
    const pool = stream && secure ? watching : agent;
    return new Promise<IncomingMessage>((resolve, reject) => {
      const request = send(url, {
        method: call.method,
        headers,
        agent: pool,
        timeout,
        ...(signal === undefined ? {} : { signal }),
      });
      request.on("timeout", () => request.destroy(new Error(`no answer within ${timeout} ms`)));
      request.on("error", reject);
      request.on("response", resolve);
      request.end(body);
    });
  };
  return {
    open,
    close: () => {
      agent.destroy();
      watching.destroy();
    },
  };
}

const done: Reply<undefined> = { ok: true, value: undefined };

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : "failed");

const readJson = async (response: IncomingMessage): Promise<unknown> =>
  toJson(await readText(response));

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response)
    if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { message: text.slice(0, 200) };
  }
}

async function readLines(
  response: IncomingMessage,
  onLine: (line: JsonObject) => void,
  signal: AbortSignal,
): Promise<Reply<undefined>> {
  let rest = "";
  const lines: JsonObject[] = [];
  response.setEncoding("utf8");
  try {
    for await (const chunk of response) {
      const parts = `${rest}${String(chunk)}`.split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) {
        const line: unknown = part === "" ? undefined : JSON.parse(part);
        if (isObject(line)) lines.push(line);
      }
      while (lines.length > 0) {
        const line = lines.shift();
        if (line !== undefined) onLine(line);
      }
    }
    return done;
  } catch (error) {
    if (signal.aborted) return done;
    return failure("Unavailable", messageOf(error));
  }
}

const codes: Readonly<Record<number, FailureCode>> = {
  400: "Invalid",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "NotFound",
  409: "Conflict",
  410: "Gone",
  413: "Invalid",
  415: "Invalid",
  422: "Invalid",
};

function toReply(status: number, body: unknown): Reply<JsonObject> {
  if (status >= 200 && status < 300 && isObject(body)) return { ok: true, value: body };
  const message = isObject(body) ? textAt(body, ["message"]).slice(0, 500) : "";
  const reason = isObject(body) ? textAt(body, ["reason"]) : "";
  if (reason === "AlreadyExists") return failure("AlreadyExists", message);
  return failure(codes[status] ?? "Unavailable", message === "" ? `HTTP ${status}` : message);
}
