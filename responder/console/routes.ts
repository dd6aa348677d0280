// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { readFileSync } from "node:fs";
import type { JsonObject } from "#policy/json";
import type { Approval } from "#responder/approval";
import type { ObjectName, Reply } from "#responder/cluster";
import { headers, readForm, redirect, safePath, send, sendPage } from "#responder/console/answers";
import { type ChangeView, viewChange } from "#responder/console/change-view";
import { decide } from "#responder/console/decide-route";
import { detailPage, detailPart } from "#responder/console/detail-page";
import { loginPage, messagePage } from "#responder/console/layout";
import { type ListQuery, listPage, rows } from "#responder/console/list-page";
import { login, type LoginFailures, logout } from "#responder/console/login";
import {
  cookieOf,
  formToken,
  openSession,
  type Reviewer,
  type Session,
} from "#responder/console/session";
import { type PageContext, pathOf } from "#responder/console/words";
import type { Change, WriteChange } from "#responder/plan";
import { changesOf } from "#responder/plan";
import type { Remediation } from "#responder/remediation";

/** What the console needs of the responder. It decides nothing: it writes the Approval that a person asked for. */
export type ConsolePorts = {
  readonly list: () => Promise<Reply<readonly Remediation[]>>;
  readonly get: (name: ObjectName) => Promise<Reply<Remediation>>;
  /** The object of a change, as it is now. */
  readonly live: (change: WriteChange) => Promise<Reply<JsonObject>>;
  /** The decisions on its plan so far. */
  readonly approvals: (remediation: Remediation) => Promise<Reply<readonly Approval[]>>;
  /** Writes an Approval object for the plan of that digest, as `kubectl parapet approve` does. */
  readonly decide: (decision: ConsoleDecision) => Promise<Reply<undefined>>;
  /** Asks for more time for what is in force. */
  readonly renew: (renewal: Omit<ConsoleDecision, "decision">) => Promise<Reply<undefined>>;
  /** Asks for the undo of what is in force. */
  readonly undo: (name: ObjectName, by: string, reason: string) => Promise<Reply<undefined>>;
  /** Calls back on every change of a Remediation; returns the end of it. */
  readonly subscribe: (onChange: () => void) => () => void;
  /** Whether the global stop is on. */
  readonly stopped: () => boolean;
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
  /** Where the global stop's ConfigMap lies. */
  readonly namespace: string;
};

/** Most pages that listen for changes at once. */
const listenersMax = 200;
/** A comment is sent this often, so that proxies keep the stream open. */
const heartbeatMs = 15_000;
/** Changes of one plan whose objects are read for a page; those beyond are shown as the plan has them. */
const readsMax = 20;

const assets = ["console.css", "console.js", "icon.svg"] as const;
const assetTypes = {
  "console.css": "text/css",
  "console.js": "text/javascript",
  "icon.svg": "image/svg+xml",
} as const;

type Visit = {
  readonly url: URL;
  readonly request: IncomingMessage;
  readonly reply: ServerResponse;
  readonly session: Session;
  readonly reviewer: Reviewer;
};

/** A handler for all paths under /console; without a session they give the login page or 401, and no data. */
export function makeConsole(config: ConsoleConfig, ports: ConsolePorts) {
  const files = new Map(
    assets.map((name) => [name, readFileSync(new URL(`assets/${name}`, import.meta.url))]),
  );
  const listeners = { count: 0 };
  const failures: LoginFailures = new Map();

  return async (request: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://console");
    const route = `${request.method} ${url.pathname.replace(/\/$/, "")}`;
    const asset = assets.find((name) => url.pathname === `/console/${name}`);
    if (asset !== undefined && request.method === "GET") {
      return send(reply, 200, assetTypes[asset], files.get(asset) ?? "");
    }
    if (route === "POST /console/login")
      return login(request, reply, config, ports.now(), failures);
    const session = openSession(
      cookieOf(request.headers.cookie) ?? "",
      config.sessionKey,
      ports.now(),
    );
    // Whoever was taken out of the configuration is out, whatever the session says.
    const reviewer = config.reviewers.find(({ name }) => name === session?.reviewer);
    if (session === undefined || reviewer === undefined) {
      return sendAway(route, url, request, reply);
    }
    const visit = { url, request, reply, session, reviewer };
    switch (route) {
      case "GET /console":
      case "GET /console/rows":
        return list(visit, config, ports);
      case "GET /console/events":
        return listen(visit, ports, listeners);
      case "POST /console/decide":
        return decide(request, reply, visit, config, ports);
      case "POST /console/logout":
        return logout(request, reply, session, config);
      default:
        return detail(visit, route, config, ports);
    }
  };
}

const pagePath = /^GET \/console\/remediations\/([^/]{1,300})\/([^/]{1,300})(\/part)?$/;

/**
 * To a page the login comes first and leads back to it; so it does for a form that was open for longer than its session,
 * whose reader must know that nothing came of it. Everything else gets nothing.
 */
async function sendAway(
  route: string,
  url: URL,
  request: IncomingMessage,
  reply: ServerResponse,
): Promise<void> {
  if (route === "POST /console/decide") {
    const form = await readForm(request);
    const text = (key: string): string => form?.get(key) ?? "";
    const name = { namespace: text("namespace"), name: text("name") };
    const to = name.name === "" ? "/console" : safePath(pathOf(name));
    const problem = "Your session is over, and nothing was decided. Log in and decide again.";
    return sendPage(reply, 401, loginPage(problem, to));
  }
  if (route === "POST /console/logout") return redirect(reply, "/console");
  const isPage =
    route === "GET /console" || (pagePath.exec(route) ?? ["", "", "", "no"])[3] === undefined;
  return isPage
    ? sendPage(reply, 401, loginPage("", `${url.pathname}${url.search}`))
    : send(reply, 401, "text/plain", "");
}

function contextOf(visit: Visit, config: ConsoleConfig, ports: ConsolePorts): PageContext {
  return {
    reviewer: visit.reviewer.name,
    role: visit.reviewer.role ?? "review",
    formToken: formToken(visit.session, config.sessionKey),
    nowMs: ports.now(),
    stopped: ports.stopped(),
    namespace: config.namespace,
  };
}

const notNow = (code: string) =>
  messagePage(
    "No answer",
    `The remediations cannot be read now (${code}). Nothing is lost; try again.`,
  );

async function list(visit: Visit, config: ConsoleConfig, ports: ConsolePorts): Promise<void> {
  const { url, reply } = visit;
  const remediations = await ports.list();
  if (!remediations.ok) return sendPage(reply, 503, notNow(remediations.code));
  const text = (name: string): string => (url.searchParams.get(name) ?? "").slice(0, 253);
  const query: ListQuery = {
    state: text("state"),
    namespace: text("namespace"),
    policy: text("policy"),
    text: text("text"),
    page: Number(/^\d{1,6}$/.exec(text("page"))?.[0] ?? 1),
  };
  const body = url.pathname.startsWith("/console/rows") ? rows : listPage;
  return sendPage(reply, 200, body(remediations.value, query, contextOf(visit, config, ports)));
}

async function detail(
  visit: Visit,
  route: string,
  config: ConsoleConfig,
  ports: ConsolePorts,
): Promise<void> {
  const { reply, url } = visit;
  const [, namespace = "", name = "", part] = pagePath.exec(route) ?? [];
  const absent = messagePage("Not found", "There is no such page.");
  const wanted = { namespace: decoded(namespace), name: decoded(name) };
  if (wanted.name === "") return sendPage(reply, 404, absent);
  const found = await ports.get(wanted);
  if (!found.ok) {
    const isAbsent = found.code === "NotFound" || found.code === "Invalid";
    return sendPage(reply, isAbsent ? 404 : 503, isAbsent ? absent : notNow(found.code));
  }
  const approvals = await ports.approvals(found.value);
  const content = {
    remediation: found.value,
    approvals: approvals.ok ? approvals.value : undefined,
    viewOf: await viewsOf(found.value, ports),
    done: url.searchParams.get("done") ?? "",
  };
  const body = part === undefined ? detailPage : detailPart;
  return sendPage(reply, 200, body(content, contextOf(visit, config, ports)));
}

/** A name of Kubernetes holds nothing that needs an escape; anything else is no name. */
const decoded = (text: string): string => (/^[a-z0-9.-]+$/.test(text) ? text : "");

async function viewsOf(
  { plan }: Remediation,
  ports: ConsolePorts,
): Promise<(change: Change) => ChangeView | undefined> {
  const writes = (plan === undefined ? [] : changesOf(plan)).filter(
    (one): one is WriteChange => one.kind === "apply" || one.kind === "edit",
  );
  const unread = { ok: false, code: "Unavailable", message: "not read" } as const;
  const views = await Promise.all(
    writes.map(async (change, index): Promise<[Change, ChangeView]> => [
      change,
      viewChange(change, index < readsMax ? await ports.live(change) : unread),
    ]),
  );
  const byChange = new Map<Change, ChangeView>(views);
  return (change) => byChange.get(change);
}

function listen(visit: Visit, ports: ConsolePorts, listeners: { count: number }): void {
  const { request, reply } = visit;
  if (listeners.count >= listenersMax) return send(reply, 503, "text/plain", "");
  listeners.count += 1;
  reply.writeHead(200, { ...headers("text/event-stream"), "x-accel-buffering": "no" });
  reply.write("retry: 2000\n\n");
  // For a reader that takes nothing, what changes meanwhile is one change when it takes again: nothing piles up for it.
  let missed = false;
  const tell = (): void => {
    missed = reply.writableNeedDrain;
    if (!missed) reply.write("event: change\ndata:\n\n");
  };
  reply.on("drain", () => missed && tell());
  const unsubscribe = ports.subscribe(tell);
  const heartbeat = setInterval(
    () => !reply.writableNeedDrain && reply.write(":\n\n"),
    heartbeatMs,
  );
  request.once("close", () => {
    clearInterval(heartbeat);
    unsubscribe();
    listeners.count -= 1;
    reply.end();
  });
}
