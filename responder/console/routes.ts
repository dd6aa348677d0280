// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import type { ObjectName, Reply } from "#responder/cluster";
import type { Html } from "#responder/console/html";
import { type ListQuery, listPage, loginPage, messagePage, rows } from "#responder/console/pages";
import { reasonCharsMax } from "#responder/console/remediation-row";
import {
  type Reviewer,
  type Session,
  cookieOf,
  findReviewer,
  formToken,
  openSession,
  sameSecret,
  sealSession,
  sessionMs,
  setCookie,
} from "#responder/console/session";
import type { Remediation } from "#responder/remediation";

/** What the console needs of the responder. It decides nothing: it writes the Approval that a person asked for. */
export type ConsolePorts = {
  readonly list: () => Promise<Reply<readonly Remediation[]>>;
  /** Writes an Approval object for the plan of that digest, as `kubectl parapet approve` does. */
  readonly decide: (decision: ConsoleDecision) => Promise<Reply<undefined>>;
  /** Asks for the undo of what is in force. */
  readonly undo: (name: ObjectName, by: string, reason: string) => Promise<Reply<undefined>>;
  /** Calls back on every change of a Remediation; returns the end of it. */
  readonly subscribe: (onChange: () => void) => () => void;
  readonly now: () => number;
};

export type ConsoleDecision = {
  readonly name: ObjectName;
  readonly digest: string;
  readonly decision: "Approve" | "Deny";
  readonly by: string;
  readonly reason: string;
};

export type ConsoleConfig = {
  readonly reviewers: readonly Reviewer[];
  /** Signs sessions; the same on all replicas, or else each has sessions of its own. */
  readonly sessionKey: string;
  /** false only where the console is served without TLS, on loopback. */
  readonly secure: boolean;
};

/** Longest body of a form, in bytes. */
const bodyBytesMax = 8 * 1024;
/** Most pages that listen for changes at once. */
const listenersMax = 200;
/** A comment is sent this often, so that proxies keep the stream open. */
const heartbeatMs = 15_000;
/** Failed logins within a minute after which the console answers 429 to all logins. */
const failedLoginsPerMinuteMax = 20;

const assets = ["console.css", "console.js"] as const;
const assetTypes = { "console.css": "text/css", "console.js": "text/javascript" } as const;

/** A handler for all paths under /console; without a session they give the login page or 401, and no data. */
export function makeConsole(config: ConsoleConfig, ports: ConsolePorts) {
  const files = new Map(
    assets.map((name) => [name, readFileSync(new URL(`assets/${name}`, import.meta.url))]),
  );
  const listeners = { count: 0 };
  const failures = { sinceMs: 0, count: 0 };

  return async (request: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://console");
    const route = `${request.method} ${url.pathname.replace(/\/$/, "")}`;
    const asset = assets.find((name) => url.pathname === `/console/${name}`);
    if (asset !== undefined && request.method === "GET") {
      return send(reply, 200, assetTypes[asset], files.get(asset) ?? "");
    }
    if (route === "POST /console/login") return login(request, reply, config, ports, failures);
    const session = openSession(
      cookieOf(request.headers.cookie) ?? "",
      config.sessionKey,
      ports.now(),
    );
    if (session === undefined) {
      return route === "GET /console"
        ? page(reply, 401, loginPage(false))
        : send(reply, 401, "text/plain", "");
    }
    switch (route) {
      case "GET /console":
      case "GET /console/rows":
        return list(url, reply, session, config, ports);
      case "GET /console/events":
        return listen(request, reply, ports, listeners);
      case "POST /console/decide":
        return decide(request, reply, session, config, ports);
      case "POST /console/logout":
        return logout(request, reply, session, config);
      default:
        return page(reply, 404, messagePage("Not found", "There is no such page."));
    }
  };
}

async function login(
  request: IncomingMessage,
  reply: ServerResponse,
  config: ConsoleConfig,
  ports: ConsolePorts,
  failures: { sinceMs: number; count: number },
): Promise<void> {
  const nowMs = ports.now();
  if (nowMs - failures.sinceMs > 60_000) Object.assign(failures, { sinceMs: nowMs, count: 0 });
  if (failures.count >= failedLoginsPerMinuteMax) {
    return page(reply, 429, messagePage("Too many attempts", "Wait a minute, then log in again."));
  }
  const form = await readForm(request);
  const reviewer =
    form === undefined
      ? undefined
      : findReviewer(config.reviewers, form.get("name") ?? "", form.get("token") ?? "");
  if (reviewer === undefined) {
    failures.count += 1;
    return page(reply, 401, loginPage(true));
  }
  const session = { reviewer: reviewer.name, expiresAtMs: nowMs + sessionMs };
  const cookie = setCookie(
    sealSession(session, config.sessionKey),
    sessionMs / 1000,
    config.secure,
  );
  return redirect(reply, "/console", cookie);
}

async function logout(
  request: IncomingMessage,
  reply: ServerResponse,
  session: Session,
  config: ConsoleConfig,
): Promise<void> {
  const form = await readForm(request);
  if (!sameSecret(form?.get("form") ?? "", formToken(session, config.sessionKey)))
    return staleForm(reply);
  return redirect(reply, "/console", setCookie("", 0, config.secure));
}

async function list(
  url: URL,
  reply: ServerResponse,
  session: Session,
  config: ConsoleConfig,
  ports: ConsolePorts,
): Promise<void> {
  const remediations = await ports.list();
  if (!remediations.ok) {
    const message = `The remediations cannot be read now (${remediations.code}). Nothing is lost; try again.`;
    return page(reply, 503, messagePage("No answer", message));
  }
  const query: ListQuery = {
    state: url.searchParams.get("state") ?? "",
    text: (url.searchParams.get("text") ?? "").slice(0, 200),
  };
  const context = {
    reviewer: session.reviewer,
    formToken: formToken(session, config.sessionKey),
    nowMs: ports.now(),
  };
  const isFragment = url.pathname.startsWith("/console/rows");
  const body = isFragment ? rows : listPage;
  return page(reply, 200, body(remediations.value, query, context));
}

function listen(
  request: IncomingMessage,
  reply: ServerResponse,
  ports: ConsolePorts,
  listeners: { count: number },
): void {
  if (listeners.count >= listenersMax) return send(reply, 503, "text/plain", "");
  listeners.count += 1;
  reply.writeHead(200, { ...headers("text/event-stream"), "x-accel-buffering": "no" });
  reply.write("retry: 2000\n\n");
  const unsubscribe = ports.subscribe(() => reply.write("event: change\ndata:\n\n"));
  const heartbeat = setInterval(() => reply.write(":\n\n"), heartbeatMs);
  request.once("close", () => {
    clearInterval(heartbeat);
    unsubscribe();
    listeners.count -= 1;
    reply.end();
  });
}

async function decide(
  request: IncomingMessage,
  reply: ServerResponse,
  session: Session,
  config: ConsoleConfig,
  ports: ConsolePorts,
): Promise<void> {
  const form = await readForm(request);
  if (!sameSecret(form?.get("form") ?? "", formToken(session, config.sessionKey)))
    return staleForm(reply);
  const text = (key: string) => form?.get(key)?.trim() ?? "";
  const name = { namespace: text("namespace"), name: text("name") };
  const reason = text("reason");
  if (reason === "" || reason.length > reasonCharsMax) {
    const message = `Give a reason of 1 to ${reasonCharsMax} characters; it is kept with the decision.`;
    return page(reply, 400, messagePage("A reason is needed", message));
  }
  const decision = text("decision");
  if (decision !== "Approve" && decision !== "Deny" && decision !== "Undo") {
    return page(
      reply,
      400,
      messagePage("Unknown decision", "Approve, Deny and Undo are possible."),
    );
  }
  const by = session.reviewer;
  const outcome =
    decision === "Undo"
      ? await ports.undo(name, by, reason)
      : await ports.decide({ name, digest: text("digest"), decision, by, reason });
  if (!outcome.ok) {
    const status = outcome.code === "Conflict" || outcome.code === "NotFound" ? 409 : 503;
    return page(reply, status, messagePage("Not done", outcome.message));
  }
  return redirect(reply, "/console");
}

const staleForm = (reply: ServerResponse): void =>
  page(reply, 403, messagePage("Form out of date", "Open the list again and repeat the decision."));

/** The fields of a form; undefined when it is larger than {@link bodyBytesMax}. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) return undefined;
    bytes += chunk.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

const page = (reply: ServerResponse, status: number, body: Html): void =>
  send(reply, status, "text/html", body.text);

function send(reply: ServerResponse, status: number, type: string, body: string | Buffer): void {
  reply.writeHead(status, headers(`${type}; charset=utf-8`));
  reply.end(body);
}

function redirect(reply: ServerResponse, to: string, cookie?: string): void {
  reply.writeHead(303, {
    ...headers("text/plain"),
    location: to,
    ...(cookie === undefined ? {} : { "set-cookie": cookie }),
  });
  reply.end();
}

/** Only our own files, no frames, nothing kept by caches: the pages show evidence. */
const headers = (type: string) => ({
  "content-type": type,
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
});
