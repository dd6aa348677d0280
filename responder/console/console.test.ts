// SPDX-License-Identifier: Apache-2.0
import { type Server, createServer, request } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { failure } from "#responder/cluster";
import { html } from "#responder/console/html";
import { emptyQuery, linkTo, listPage, rows, rowsMax, select } from "#responder/console/list-page";
import { type ConsoleDecision, type ConsolePorts, makeConsole } from "#responder/console/routes";
import { openSession, sealSession, sessionMs } from "#responder/console/session";
import { workedMs } from "#test/support/cpu-time";
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
    {
      reason: "marks that turn the direction of writing are shown, lines stay lines",
      given: "shell\u202Egnp.exe\n\u0000",
      want: "shell\\u202egnp.exe\n\\x00",
    },
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
    { reason: "groups of states", query: { state: "InForce" }, want: ["a"] },
    { reason: "by namespace", query: { state: "All", namespace: "elsewhere" }, want: [] },
    {
      reason: "by policy",
      query: { state: "All", policy: "isolate-shells" },
      want: ["b", "a", "c"],
    },
    { reason: "a state that is none finds nothing", query: { state: "constructor" }, want: [] },
    {
      reason: "text that nowhere stands finds nothing",
      query: { state: "All", text: "zzz" },
      want: [],
    },
  ])("$reason", ({ query, want }) => {
    expect(select(all, { ...emptyQuery, ...query }).map((one) => one.name.name)).toEqual(want);
  });
});

describe("over HTTP", () => {
  let server: Server;
  let base = "";
  let decisions: (ConsoleDecision | { readonly undo: string } | { readonly renew: string })[] = [];
  let stopped = false;
  const one = exampleRemediation({ name: "one", state: "Proposed" });
  const done = { ok: true, value: undefined } as const;
  const ports: ConsolePorts = {
    list: () => Promise.resolve({ ok: true, value: [one] }),
    get: ({ namespace, name }) =>
      Promise.resolve(
        namespace === "prod" && name === "one"
          ? { ok: true, value: one }
          : failure("NotFound", "no such thing"),
      ),
    live: () => Promise.resolve(failure("NotFound", "not there")),
    approvals: () => Promise.resolve({ ok: true, value: [] }),
    decide: (decision) => {
      decisions.push(decision);
      return Promise.resolve(done);
    },
    renew: ({ name }) => {
      decisions.push({ renew: name.name });
      return Promise.resolve(done);
    },
    undo: ({ name }) => {
      decisions.push({ undo: name });
      return Promise.resolve(done);
    },
    subscribe: () => () => {},
    stopped: () => stopped,
    now: () => nowMs,
  };
  beforeAll(async () => {
    const handle = makeConsole(
      {
        reviewers: [
          { name: "jane", token: "correct-horse-battery" },
          { name: "vera", token: "looks-at-everything", role: "view" },
        ],
        sessionKey: key,
        secure: false,
        namespace: "parapet-system",
      },
      ports,
    );
    server = createServer((incoming, reply) => void handle(incoming, reply));
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
  const logIn = async (name = "jane", token = "correct-horse-battery") => {
    const reply = await post("/console/login", { name, token });
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

  const read = async (path: string, cookie: string): Promise<string> =>
    (await fetch(base + path, { headers: { cookie } })).text();

  it("shows the plan, what stays open and how to decide on a page of its own", async () => {
    const text = await read("/console/remediations/prod/one", await logIn());
    for (const part of [
      "Waits for your decision",
      "+ kind: NetworkPolicy",
      "to pods k8s-app=kube-dns, UDP/53",
      "parapet approve one -n prod",
      "2 of 3 replicas stay in service",
    ]) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain("<img src=x");
  });

  it.each([
    "/console/remediations/prod/two",
    "/console/remediations/prod/..%2f..",
    "/console/remediations/prod/%E0%A4%A",
    "/console/remediations/prod",
    "/console/anything",
  ])("has no page at %s", async (path) => {
    const reply = await fetch(base + path, { headers: { cookie: await logIn() } });
    expect(reply.status).toBe(404);
  });

  it("lets a viewer see all and decide nothing, whatever form is sent", async () => {
    const cookie = await logIn("vera", "looks-at-everything");
    const text = await read("/console/remediations/prod/one", cookie);
    expect(text).toContain("may look, not decide");
    expect(text).not.toContain('value="Approve"');
    const form = await formOf(cookie);
    expect((await post("/console/decide", { ...valid, form }, cookie)).status).toBe(403);
    expect(decisions).toEqual([]);
  });

  it("says while the global stop is on, and how to lift it", async () => {
    const cookie = await logIn();
    expect(await read("/console", cookie)).toMatch(/id="stop"[^>]* hidden/);
    stopped = true;
    const text = await read("/console", cookie);
    stopped = false;
    expect(text).not.toMatch(/id="stop"[^>]* hidden/);
    expect(text).toContain("kubectl -n parapet-system delete configmap parapet-stop");
  });

  it.each([
    { decision: "Undo", want: { undo: "one" } },
    { decision: "Renew", want: { renew: "one" } },
  ])("passes a wish on: $decision", async ({ decision, want }) => {
    const cookie = await logIn();
    const fields = { ...valid, decision, form: await formOf(cookie) };
    const reply = await post("/console/decide", fields, cookie);
    expect(reply.headers.get("location")).toBe(`/console/remediations/prod/one?done=${decision}`);
    expect(decisions).toEqual([want]);
  });

  it("refuses what a browser says comes from another site, whatever it carries", async () => {
    const cookie = await logIn();
    const reply = await fetch(`${base}/console/decide`, {
      method: "POST",
      body: new URLSearchParams({ ...valid, form: await formOf(cookie) }),
      headers: { cookie, "sec-fetch-site": "cross-site" },
      redirect: "manual",
    });
    expect(reply.status).toBe(403);
    expect(decisions).toEqual([]);
  });

  it.each([
    {
      reason: "a link in a message leads to its page",
      to: "/console/remediations/prod/one",
      want: "/console/remediations/prod/one",
    },
    { reason: "but to no other site", to: "https://evil.example/console", want: "/console" },
    { reason: "nor by a path without a host", to: "//evil.example/console", want: "/console" },
    { reason: "nor out of the console", to: "/console/../admin\\", want: "/console" },
  ])("after the login $reason", async ({ to, want }) => {
    const fields = { name: "jane", token: "correct-horse-battery", to };
    expect((await post("/console/login", fields)).headers.get("location")).toBe(want);
  });

  it.each(["/console", "/console/rows", "/console/events", "/console/anything"])(
    "shows nothing on %s without a session",
    async (path) => {
      const reply = await fetch(base + path);
      expect(reply.status).toBe(401);
      expect(await reply.text()).not.toContain("Terminal shell");
    },
  );

  it("tells whoever decides after the session's end that nothing came of it, and leads back", async () => {
    const reply = await post("/console/decide", valid);
    expect(reply.status).toBe(401);
    const text = await reply.text();
    expect(text).toContain("nothing was decided");
    expect(text).toContain('name="to" value="/console/remediations/prod/one"');
    expect(decisions).toEqual([]);
  });

  it.each([
    { reason: "a name that is none", fields: { ...valid, name: "..//evil.example" } },
    { reason: "no names", fields: {} },
    { reason: "more than a form may hold", fields: { reason: "x".repeat(9_000) } },
  ])("leads nowhere else after it: $reason", async ({ fields }) => {
    const reply = await post("/console/decide", fields);
    expect(reply.status).toBe(401);
    expect(await reply.text()).toMatch(
      /name="to" value="\/console(\/remediations\/[\w%.-]*\/[\w%.-]*)?"/,
    );
  });

  it("has nothing to log out of without a session", async () => {
    const reply = await post("/console/logout", {});
    expect([reply.status, reply.headers.get("location")]).toEqual([303, "/console"]);
  });

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
    { reason: "only four decisions exist", change: { decision: "Delete" }, want: 400 },
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

  /** The status of a form sent from another loopback address. */
  const postFrom = (localAddress: string, path: string, fields: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const sent = request(`${base}${path}`, { method: "POST", localAddress }, (reply) => {
        reply.resume();
        resolve(reply.statusCode ?? 0);
      });
      sent.on("error", reject);
      sent.setHeader("content-type", "application/x-www-form-urlencoded");
      sent.end(new URLSearchParams(fields).toString());
    });

  it("stops answering logins after many failures, without saying which names exist", async () => {
    const replies = [];
    for (let attempt = 0; attempt < 21; attempt += 1) {
      const name = attempt % 2 === 0 ? "jane" : "nobody";
      replies.push(await postFrom("127.0.0.3", "/console/login", { name, token: "wrong" }));
    }
    expect(replies).toEqual([...Array.from({ length: 20 }, () => 401), 429]);
    // Another address logs in all the same.
    const reply = await postFrom("127.0.0.2", "/console/login", {
      name: "jane",
      token: "correct-horse-battery",
    });
    expect(reply).toBe(303);
  });
});

describe("a list of 10,000", () => {
  const list = Array.from({ length: 10_000 }, (_, index) => {
    const state = index % 100 === 0 ? "Proposed" : "Verified";
    return exampleRemediation({ name: `row-${index}`, state, lastSeenMs: index });
  });
  const context = {
    reviewer: "jane",
    role: "review",
    formToken: "f",
    nowMs,
    stopped: false,
    namespace: "parapet-system",
  } as const;

  it("is shown page by page, those that wait first", () => {
    const first = rows(list, emptyQuery, context).text;
    expect(first.match(/class="row"/g)).toHaveLength(rowsMax);
    expect(first).toContain("page 1 of 200");
    expect(first).not.toContain(">Verified<");
    const third = rows(list, { ...emptyQuery, page: 3 }, context).text;
    expect(third).toContain(">Verified<");
    expect(third).toContain('href="/console?page=4"');
  });

  it.each([
    { reason: "a page after the last is the last", page: 9_999 },
    { reason: "a page before the first is the first", page: 0 },
  ])("$reason", ({ page }) => {
    expect(rows(list, { ...emptyQuery, page }, context).text).toMatch(/page (1|200) of 200/);
  });

  it("keeps the filters from page to page", () => {
    const query = { state: "InForce", namespace: "prod", policy: "", text: "a&b", page: 2 };
    expect(linkTo(query)).toBe("/console?state=InForce&namespace=prod&text=a%26b&page=2");
  });

  it("costs no more than a page does", () => {
    listPage(list, emptyQuery, context);
    const before = workedMs();
    const text = listPage(list, { ...emptyQuery, text: "terminal" }, context).text;
    // Measured 20 to 40 ms; a page that grows with the list would take seconds.
    expect(workedMs() - before).toBeLessThan(1_000);
    expect(text.length).toBeLessThan(100_000);
  });
});
