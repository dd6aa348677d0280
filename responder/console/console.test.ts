// SPDX-License-Identifier: Apache-2.0
import { type Server, createServer } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { html } from "#responder/console/html";
import { rows, select } from "#responder/console/pages";
import { type ConsoleDecision, type ConsolePorts, makeConsole } from "#responder/console/routes";
import { openSession, sealSession, sessionMs } from "#responder/console/session";
import { exampleRemediation } from "#test/support/example-remediation";

const key = "k".repeat(32);
const nowMs = Date.UTC(2026, 10, 22, 10, 0, 0);

describe("html escapes what comes from outside", () => {
  it.each([
    {
      reason: "element content",
      given: "<script>alert(1)</script>",
      want: "&lt;script&gt;alert(1)&lt;/script&gt;",
    },
    {
      reason: "quoted attributes",
      given: `" onmouseover='x'`,
      want: "&quot; onmouseover=&#39;x&#39;",
    },
    { reason: "entities are not decoded", given: "&lt;", want: "&amp;lt;" },
  ])("$reason", ({ given, want }) => {
    expect(html`<p>${given}</p>`.text).toBe(`<p>${want}</p>`);
  });
});

describe("sessions", () => {
  const value = sealSession({ reviewer: "jane", expiresAtMs: nowMs + sessionMs }, key);
  it.each([
    { reason: "a session of ours is opened", cookie: value, atMs: nowMs, want: "jane" },
    { reason: "an old session is over", cookie: value, atMs: nowMs + sessionMs, want: undefined },
    {
      reason: "another reviewer's name under the same signature is refused",
      cookie: `${Buffer.from(JSON.stringify(["root", nowMs + sessionMs])).toString("base64url")}.${value.split(".")[1]}`,
      atMs: nowMs,
      want: undefined,
    },
    {
      reason: "a value without signature is refused",
      cookie: value.split(".")[0] ?? "",
      atMs: nowMs,
      want: undefined,
    },
    {
      reason: "rubbish is refused without an exception",
      cookie: "a.b.c",
      atMs: nowMs,
      want: undefined,
    },
  ])("$reason", ({ cookie, atMs, want }) => {
    expect(openSession(cookie, key, atMs)?.reviewer).toBe(want);
  });
  it("refuses a session signed with another key", () => {
    expect(
      openSession(sealSession({ reviewer: "jane", expiresAtMs: nowMs * 2 }, "other"), key, nowMs),
    ).toBeUndefined();
  });
});

describe("the list", () => {
  const proposed = exampleRemediation({ name: "b", state: "Proposed", lastSeenMs: 1 });
  const verified = exampleRemediation({ name: "a", state: "Verified", lastSeenMs: 3 });
  const undone = exampleRemediation({ name: "c", state: "Undone", lastSeenMs: 2 });
  const all = [undone, verified, proposed];
  it.each([
    {
      reason: "what waits for a decision comes first, what is over is left out",
      query: { state: "", text: "" },
      want: ["b", "a"],
    },
    {
      reason: "all means all, newest first",
      query: { state: "All", text: "" },
      want: ["b", "a", "c"],
    },
    { reason: "one state", query: { state: "Undone", text: "" }, want: ["c"] },
    {
      reason: "text is found in any case",
      query: { state: "All", text: "TERMINAL SHELL" },
      want: ["b", "a", "c"],
    },
    {
      reason: "text that nowhere stands finds nothing",
      query: { state: "All", text: "zzz" },
      want: [],
    },
  ])("$reason", ({ query, want }) => {
    expect(select(all, query).map((one) => one.name.name)).toEqual(want);
  });
});

describe("over HTTP", () => {
  let server: Server;
  let base = "";
  let decisions: ConsoleDecision[] = [];
  const ports: ConsolePorts = {
    list: () =>
      Promise.resolve({
        ok: true,
        value: [exampleRemediation({ name: "one", state: "Proposed" })],
      }),
    decide: (decision) => {
      decisions.push(decision);
      return Promise.resolve({ ok: true, value: undefined });
    },
    undo: () => Promise.resolve({ ok: true, value: undefined }),
    subscribe: () => () => {},
    now: () => nowMs,
  };
  beforeAll(async () => {
    const handle = makeConsole(
      {
        reviewers: [{ name: "jane", token: "correct-horse-battery" }],
        sessionKey: key,
        secure: false,
      },
      ports,
    );
    server = createServer((request, reply) => void handle(request, reply));
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    base =
      typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    decisions = [];
  });

  const post = (path: string, fields: Record<string, string>, cookie = "") =>
    fetch(base + path, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: { cookie },
      redirect: "manual",
    });
  const logIn = async () => {
    const reply = await post("/console/login", { name: "jane", token: "correct-horse-battery" });
    return reply.headers.get("set-cookie")?.split(";")[0] ?? "";
  };
  const formOf = async (cookie: string) => {
    const text = await (await fetch(`${base}/console`, { headers: { cookie } })).text();
    return /name="form" value="([^"]+)"/.exec(text)?.[1] ?? "";
  };
  const valid = {
    namespace: "prod",
    name: "one",
    digest: "sha256:abc",
    decision: "Approve",
    reason: "seen the plan",
  };

  it.each(["/console", "/console/rows", "/console/events", "/console/anything"])(
    "shows nothing on %s without a session",
    async (path) => {
      const reply = await fetch(base + path);
      expect(reply.status).toBe(401);
      expect(await reply.text()).not.toContain("Terminal shell");
    },
  );

  it("writes down what a reviewer decided, with the digest that was on the page", async () => {
    const cookie = await logIn();
    const reply = await post("/console/decide", { ...valid, form: await formOf(cookie) }, cookie);
    expect(reply.status).toBe(303);
    expect(decisions).toEqual([
      {
        name: { namespace: "prod", name: "one" },
        digest: "sha256:abc",
        decision: "Approve",
        by: "jane",
        reason: "seen the plan",
      },
    ]);
  });

  it.each([
    {
      reason: "a form from elsewhere carries no token of the session",
      change: { form: "forged" },
      want: 403,
    },
    { reason: "a decision needs a reason", change: { reason: "  " }, want: 400 },
    { reason: "a reason has a limit", change: { reason: "x".repeat(501) }, want: 400 },
    { reason: "only three decisions exist", change: { decision: "Delete" }, want: 400 },
    { reason: "a body has a limit", change: { reason: "x".repeat(9_000) }, want: 403 },
  ])("$reason", async ({ change, want }) => {
    const cookie = await logIn();
    const reply = await post(
      "/console/decide",
      { ...valid, form: await formOf(cookie), ...change },
      cookie,
    );
    expect(reply.status).toBe(want);
    expect(decisions).toEqual([]);
  });

  it("stops answering logins after many failures, without saying which names exist", async () => {
    const replies = [];
    for (let attempt = 0; attempt < 21; attempt += 1) {
      replies.push(
        (
          await post("/console/login", {
            name: attempt % 2 === 0 ? "jane" : "nobody",
            token: "wrong",
          })
        ).status,
      );
    }
    expect(replies).toEqual([...Array.from({ length: 20 }, () => 401), 429]);
  });
});

it("a long list opens only its first proposals, so that it can be skimmed", () => {
  const list = Array.from({ length: 10 }, (_, index) =>
    exampleRemediation({ name: `row-${index}`, state: "Proposed" }),
  );
  const text = rows(
    list,
    { state: "", text: "" },
    { reviewer: "jane", formToken: "f", nowMs },
  ).text;
  expect(text.match(/<details/g)).toHaveLength(10);
  expect(text.match(/<details[^>]* open/g)).toHaveLength(3);
});
