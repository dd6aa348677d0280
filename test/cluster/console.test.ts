// SPDX-License-Identifier: Apache-2.0
import { type Server, createServer } from "node:http";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import type { AuditEntry } from "#responder/record/audit";
import { readApproval } from "#responder/record/approval-record";
import { makeRemediationCache } from "#responder/caches";
import { type Cluster, types, uidOf } from "#responder/cluster";
import { makeConsolePorts } from "#responder/console-ports";
import { makeConsole } from "#responder/console/routes";
import type { Remediation, Status } from "#responder/remediation";
import { remediationJson, statusJson } from "#responder/record/remediation-record";
import { startBrowser } from "#test/support/browser";
import { exampleRemediation } from "#test/support/example-remediation";
import { faintControls, faintTexts, focused, tooWide, unnamed } from "#test/support/page-checks";
import { eventually } from "#test/support/processes";

const browser: Browser | undefined = await startBrowser();
const nowMs = Date.UTC(2026, 10, 22, 10, 0, 0);

/** The console's own ports over a cluster in memory: what it writes are the objects that kubectl would show. */
function startScene() {
  const cluster: Cluster = makeMemoryCluster(() => nowMs).client("console");
  const cache = makeRemediationCache((_, why) => {
    throw new Error(why);
  });
  const listeners = new Set<() => void>();
  const stop = { on: false };
  const subscribe = (onChange: () => void) => {
    listeners.add(onChange);
    return () => listeners.delete(onChange);
  };
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const put = async (one: Remediation, status: Partial<Status> = {}): Promise<void> => {
    const live = await cluster.get(types.remediation, one.name);
    const made = live.ok
      ? live
      : await cluster.create(types.remediation, remediationJson(one, one.name.name));
    if (!made.ok) throw new Error(made.message);
    const written = await cluster.replaceStatus(types.remediation, {
      ...made.value,
      status: statusJson({ ...one.status, ...status }),
    });
    if (!written.ok) throw new Error(written.message);
    const key = `${one.name.namespace}/${one.name.name}`;
    cache.change({ key, before: undefined, after: written.value, seen: "live" });
    tell();
  };
  const told: AuditEntry[] = [];
  const audit = (entry: AuditEntry): Promise<void> => {
    told.push(entry);
    return Promise.resolve();
  };
  const ports = makeConsolePorts(
    { remediations: cache, subscribe, stopped: () => stop.on, audit },
    cluster,
    () => nowMs,
  );
  return { cluster, ports, listeners, stop, tell, put, told };
}

const reviewers = [
  { name: "jane", token: "correct-horse-battery" },
  { name: "vera", token: "looks-at-everything", role: "view" },
] as const;

/** A proposal as rich as they come: evidence, an isolation, a label on a pod, and a node that two must agree to. */
function richProposal(podUid: string): Remediation {
  const one = exampleRemediation({ name: "first", state: "Proposed" });
  const { plan } = one;
  if (plan === undefined) throw new Error("no plan");
  const pod = { namespace: "prod", name: "web-7f9c", uid: podUid };
  const label = {
    kind: "edit",
    type: types.pod,
    ...pod,
    edits: [{ path: ["metadata", "labels", "parapet.dev/quarantine"], to: "true" }],
  } as const;
  return {
    ...one,
    plan: {
      ...plan,
      actions: [
        {
          action: "capture-evidence",
          changes: [{ kind: "capture", ...pod, logLines: 1_000 }],
        },
        ...plan.actions,
        { action: "quarantine-label", changes: [label] },
      ],
    },
  };
}

const example = exampleRemediation({ name: "hostile", state: "Proposed" });

/** Names without a place to break, as long as they come, and text that would rearrange or restyle what is around it. */
const hostile: Remediation = {
  ...example,
  workload: `ReplicaSet/${"w".repeat(200)}`,
  target: { ...example.target, name: "t".repeat(253) },
  policy: "p".repeat(253),
  cause: {
    ...example.cause,
    rule: `<b>${"x".repeat(300)}</b> \u202Egnp.exe`,
    actor: `system:serviceaccount:${"n".repeat(250)}`,
    message: `${"curl".repeat(200)} \u202E<style>*{display:none}</style>`,
  },
};

const page1200 = { viewport: { width: 1200, height: 900 } };
/** For what will never come; a busy machine takes seconds to draw. */
const waitMsMax = 90_000;

// The page in a real browser: what a person sees and clicks, and that evidence from an alert stays text.
describe.skipIf(browser === undefined)("console in a browser", () => {
  let server: Server;
  let page: Page;
  let base = "";
  const scene = startScene();
  const errors: string[] = [];

  const logIn = async (
    on: Page,
    path = "/console",
    who: (typeof reviewers)[number] = reviewers[0],
  ) => {
    await on.goto(`${base}${path}`);
    await on.fill("input[name=name]", who.name);
    await on.fill("input[name=token]", who.token);
    await on.click("button[type=submit]");
    await on.waitForSelector("#rows");
  };
  const other = async (options: Parameters<Browser["newContext"]>[0]): Promise<BrowserContext> => {
    const context = (await browser?.newContext(options)) ?? expect.fail("no browser");
    context.setDefaultTimeout(waitMsMax);
    return context;
  };
  /** The page itself says so: the server may still count the one before it. */
  const listens = async (): Promise<void> => {
    await page.waitForSelector("#live:not([hidden])");
    await eventually("the page listens", () => scene.listeners.size > 0);
  };
  const screenshot = async (on: Page, name: string): Promise<void> => {
    const folder = process.env["PARAPET_SCREENSHOTS"];
    if (folder !== undefined)
      await on.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  };

  beforeAll(async () => {
    const config = {
      reviewers,
      sessionKey: "k".repeat(32),
      secure: false,
      namespace: "parapet-system",
    };
    const handle = makeConsole(config, scene.ports);
    server = createServer((request, reply) => void handle(request, reply));
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    if (typeof address === "object" && address !== null) base = `http://127.0.0.1:${address.port}`;
    page = await (await other(page1200)).newPage();
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().includes("401"))
        errors.push(message.text());
    });
  });
  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });

  it("asks for a login first", async () => {
    await page.goto(`${base}/console`);
    expect(await page.textContent("h1")).toBe("Parapet");
    await screenshot(page, "login");
    await logIn(page);
    expect(await page.textContent(".empty")).toContain("There is none yet");
  });

  it("shows a new remediation by itself", async () => {
    await eventually("the page listens", () => scene.listeners.size > 0);
    const made = await scene.cluster.create(types.pod, {
      metadata: { name: "web-7f9c", namespace: "prod", labels: { app: "web", tier: "front" } },
      spec: { containers: [{ name: "web", image: "registry.example/web:1.4" }] },
    });
    await scene.put(richProposal(made.ok ? uidOf(made.value) : ""));
    const second = exampleRemediation({ name: "second", state: "Verified" });
    await scene.put(second, {
      appliedAtMs: nowMs - 600_000,
      evidence: [
        {
          atMs: nowMs - 590_000,
          check: "ReadBack",
          finding: "Holds",
          detail: "2 objects as written",
        },
        {
          atMs: nowMs - 580_000,
          check: "Probe",
          finding: "Holds",
          detail: "TCP 10.0.0.7:80 no answer",
        },
        { atMs: nowMs - 580_000, check: "Control", finding: "Holds", detail: "twin web-2 answers" },
      ],
      history: [
        ...second.status.history,
        {
          atMs: nowMs - 600_000,
          from: "Applying",
          to: "Applied",
          reason: "ReadBack",
          message: `2 change(s) written, all read back; evidence sha256:${"c".repeat(64)} in s3://evidence/prod_second.json`,
          by: "parapet",
        },
      ],
    });
    await page.waitForSelector(".row .state.ask");
    expect(await page.locator(".row").count()).toBe(2);
    await screenshot(page, "list");
  });

  it("shows the plan as a difference to what is in the cluster, and an alert's text as text", async () => {
    await page.click(".row a >> nth=0");
    await page.waitForSelector("#decide");
    expect(await page.locator("#rows img").count()).toBe(0);
    expect(await page.textContent(".facts")).toContain("<img src=x onerror=alert(1)>");
    const added = await page.locator("ins").allTextContents();
    expect(added.join("")).toContain("+     parapet.dev/quarantine: 'true'");
    expect(await page.locator(".diff").last().textContent()).toContain("app: web");
    expect(await page.textContent(".warn table")).toContain("NetworkPolicy prod/allow-dns");
    await screenshot(page, "proposal");
  });

  it("keeps the reason that somebody is typing when something changes", async () => {
    await page.fill("#reason", "seen the plan, isolate");
    await scene.put(exampleRemediation({ name: "third", state: "Verified" }));
    await page.waitForTimeout(700);
    expect(await page.inputValue("#reason")).toBe("seen the plan, isolate");
  });

  it("approves exactly the plan that was on the page, by keyboard alone, and says so", async () => {
    await page.focus("#reason");
    // Enter in the field is no decision: which one would it be?
    await page.evaluate(
      "window.sent = 0; document.querySelector('form.decide').addEventListener('submit', () => (window.sent += 1))",
    );
    await page.keyboard.press("Enter");
    expect(await page.evaluate("window.sent")).toBe(0);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(focused)).toContain("Approve");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".banner.good");
    const listed = await scene.cluster.list(types.approval, { namespace: "prod" });
    const approvals = listed.ok ? listed.value.items.map(readApproval) : [];
    expect(approvals).toMatchObject([
      {
        remediation: "first",
        planDigest: `sha256:${"a".repeat(64)}`,
        decision: "Approve",
        approvedBy: "jane",
        reason: "seen the plan, isolate",
      },
    ]);
    expect(await page.textContent("#decisions ~ .card")).toContain("seen the plan, isolate");
    expect(scene.told).toEqual([
      {
        what: "decided in the console",
        who: "jane",
        remediation: "prod/first",
        detail: {
          decision: "Approve",
          digest: `sha256:${"a".repeat(64)}`,
          reason: "seen the plan, isolate",
        },
      },
    ]);
  });

  it("shows what is in force with its evidence, and takes a wish to renew or undo it", async () => {
    await page.goto(`${base}/console/remediations/prod/second`);
    expect(await page.textContent("#verified ~ .card")).toContain("twin web-2 answers");
    expect(await page.textContent("#evidence ~ dl")).toContain("s3://evidence/prod_second.json");
    await screenshot(page, "in-force");
    for (const [button, decision] of [
      ["Renew", "Approve"],
      ["Undo now", "Deny"],
    ] as const) {
      await page.fill("#reason", `please: ${button}`);
      await page.click(`button:has-text("${button}")`);
      await page.waitForSelector(".banner.good");
      const listed = await scene.cluster.list(types.approval, { namespace: "prod" });
      const found = (listed.ok ? listed.value.items : []).map(readApproval);
      const written = found.find((one) => one?.reason === `please: ${button}`);
      expect(written?.decision).toBe(decision);
      expect(written?.renewUntilMs).toBe(button === "Renew" ? nowMs + 3_600_000 : undefined);
    }
  });

  it("refuses a plan that became another one while the page was open", async () => {
    const one = exampleRemediation({ name: "moved", state: "Proposed" });
    await scene.put(one);
    await page.goto(`${base}/console/remediations/prod/moved`);
    await page.evaluate(
      `document.querySelector("input[name=digest]").value = "sha256:${"b".repeat(64)}"`,
    );
    await page.fill("#reason", "an old page");
    await page.click("button.primary");
    await page.waitForSelector("text=the plan is another one now");
    errors.splice(0);
  });

  it("shows the stop on every open page at once", async () => {
    await page.goto(`${base}/console`);
    await listens();
    scene.stop.on = true;
    scene.tell();
    await page.waitForSelector("#stop:visible");
    await screenshot(page, "stopped");
    scene.stop.on = false;
    scene.tell();
    await page.waitForSelector("#stop[hidden]", { state: "attached" });
  });

  it("lets a viewer look, not decide", async () => {
    const context = await other(page1200);
    const viewer = await context.newPage();
    await logIn(viewer, "/console/remediations/prod/moved", reviewers[1]);
    expect(viewer.url()).toBe(`${base}/console/remediations/prod/moved`);
    expect(await viewer.locator("form.decide").count()).toBe(0);
    expect(await viewer.textContent(".decide-card")).toContain("may look, not decide");
    await context.close();
  });

  it("works without scripts, from the list to the decision", async () => {
    const context = await other({ ...page1200, javaScriptEnabled: false });
    const plain = await context.newPage();
    await logIn(plain);
    await plain.selectOption("select[name=state]", "Proposed");
    await plain.click(".filters button");
    // The list as it was is there until the other one comes.
    await plain.waitForURL(/state=Proposed/);
    await plain.click(".row a");
    await plain.fill("#reason", "no script");
    await plain.click("button.danger");
    expect(await plain.textContent(".banner.good")).toContain("denial is recorded");
    await context.close();
  });

  it("keeps the keyboard's place, an open part and a mark for copying when something changes", async () => {
    await page.goto(`${base}/console/remediations/prod/second`);
    await listens();
    await page.focus("summary");
    await page.keyboard.press("Enter");
    const second = exampleRemediation({ name: "second", state: "Verified" });
    await scene.put(second, { lastError: "the first", attempts: 1 });
    await page.waitForSelector("text=the first");
    expect(await page.evaluate(focused)).toBe("The same in a terminal");
    expect(await page.locator("details[open]").count()).toBe(1);
    // Whoever marks a digest to copy it keeps the mark, and sees the change once it is gone.
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('.digest code'))");
    await scene.put(second, { lastError: "the second", attempts: 2 });
    await page.waitForTimeout(700);
    expect(await page.textContent(".facts")).toContain("the first");
    await page.evaluate("getSelection().removeAllRanges()");
    scene.tell();
    await page.waitForSelector("text=the second");
  });

  it("says when it is cut off, and catches up by itself", async () => {
    await page.goto(`${base}/console`);
    await listens();
    server.closeAllConnections();
    await page.waitForSelector("#live.lost");
    await scene.put(exampleRemediation({ name: "meanwhile", state: "Proposed" }));
    await page.waitForSelector("a[href$='/meanwhile']");
    await page.waitForSelector("#live:not(.lost)");
    errors.splice(0);
  });

  it.each([
    { reason: "dark", options: { ...page1200, colorScheme: "dark" } },
    { reason: "wide", options: page1200 },
    { reason: "narrow", options: { viewport: { width: 380, height: 800 } } },
    {
      reason: "narrow and dark",
      options: { viewport: { width: 380, height: 800 }, colorScheme: "dark" },
    },
  ] as const)(
    "can be read $reason: contrast, and nothing wider than the window",
    async ({ reason, options }) => {
      const context = await other(options);
      const one = await context.newPage();
      await logIn(one);
      await scene.put(hostile);
      for (const path of [
        "/console",
        "/console/remediations/prod/first",
        "/console/remediations/prod/second",
        "/console/remediations/prod/hostile",
      ]) {
        await one.goto(`${base}${path}`);
        expect(await one.evaluate(tooWide)).toBeLessThanOrEqual(0);
        expect(await one.evaluate(faintTexts)).toEqual([]);
        expect(await one.evaluate(faintControls)).toEqual([]);
        await screenshot(one, `${reason}${path.replaceAll("/", "-")}`.replaceAll(" ", "-"));
      }
      await context.close();
    },
  );

  it("names every part that a screen reader walks through", async () => {
    await page.goto(`${base}/console/remediations/prod/second`);
    expect(await page.evaluate(unnamed)).toEqual([]);
    expect(await page.locator("h1").count()).toBe(1);
    expect(await page.locator("main").count()).toBe(1);
    await page.goto(`${base}/console`);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(focused)).toBe("Skip to content");
  });

  it("stays quick with 10,000 remediations", async () => {
    const many = Array.from({ length: 10_000 }, (_, i) =>
      exampleRemediation({ name: `bulk-${i}`, state: "Verified", lastSeenMs: i }),
    );
    const handle = makeConsole(
      { reviewers, sessionKey: "k".repeat(32), secure: false, namespace: "parapet-system" },
      { ...scene.ports, list: () => Promise.resolve({ ok: true, value: many }) },
    );
    const big = createServer((request, reply) => void handle(request, reply));
    await new Promise<void>((resolve) => {
      big.listen(0, "127.0.0.1", resolve);
    });
    const address = big.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const context = await other(page1200);
    await context.addCookies(await page.context().cookies());
    const one = await context.newPage();
    const before = performance.now();
    await one.goto(`http://127.0.0.1:${port}/console?page=2`);
    expect(await one.innerText(".count")).toBe("10000 of 10000 remediations, page 2 of 200");
    // Measured under 300 ms, browser included, on two busy cores.
    expect(performance.now() - before).toBeLessThan(5_000);
    await one.click("text=Next");
    expect(await one.textContent(".pager [aria-current]")).toBe("3 / 200");
    await context.close();
    big.closeAllConnections();
    big.close();
  });

  it("runs under its own content security policy without an error", () => {
    expect(errors).toEqual([]);
  });
});
