// SPDX-License-Identifier: Apache-2.0
import { type Server, createServer } from "node:http";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConsoleDecision, makeConsole } from "#responder/console/routes";
import type { Remediation } from "#responder/remediation";
import { startBrowser } from "#test/support/browser";
import { exampleRemediation } from "#test/support/example-remediation";
import { eventually } from "#test/support/processes";

const browser: Browser | undefined = await startBrowser();

// The page in a real browser: what a person sees and clicks, and that evidence from an alert stays text.
describe.skipIf(browser === undefined)("console in a browser", () => {
  let server: Server;
  let page: Page;
  let remediations: Remediation[] = [];
  const decisions: ConsoleDecision[] = [];
  const listeners = new Set<() => void>();
  const errors: string[] = [];
  const change = (next: Remediation[]) => {
    remediations = next;
    for (const listener of listeners) listener();
  };

  beforeAll(async () => {
    const handle = makeConsole(
      {
        reviewers: [{ name: "jane", token: "correct-horse-battery" }],
        sessionKey: "k".repeat(32),
        secure: false,
      },
      {
        list: () => Promise.resolve({ ok: true, value: remediations }),
        decide: (decision) => {
          decisions.push(decision);
          const approved = exampleRemediation({ name: decision.name.name, state: "Approved" });
          change(
            remediations.map((one) => (one.name.name === decision.name.name ? approved : one)),
          );
          return Promise.resolve({ ok: true, value: undefined });
        },
        undo: () => Promise.resolve({ ok: true, value: undefined }),
        subscribe: (onChange) => {
          listeners.add(onChange);
          return () => listeners.delete(onChange);
        },
        now: () => Date.UTC(2026, 10, 22, 10, 0, 0),
      },
    );
    server = createServer((request, reply) => void handle(request, reply));
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    page =
      (await browser?.newPage({ viewport: { width: 1200, height: 900 } })) ??
      expect.fail("no page");
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error" && !message.text().includes("401"))
        errors.push(message.text());
    });
    const address = server.address();
    if (typeof address === "object" && address !== null) {
      await page.goto(`http://127.0.0.1:${address.port}/console`);
    }
  });
  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });

  it("asks for a login first", async () => {
    expect(await page.textContent("h1")).toBe("Parapet");
    await page.fill("input[name=name]", "jane");
    await page.fill("input[name=token]", "correct-horse-battery");
    await page.click("button[type=submit]");
    await page.waitForSelector(".filters");
    expect(await page.textContent(".empty")).toContain("No remediation waits");
  });

  it("shows a new remediation by itself", async () => {
    await eventually("the page listens", () => listeners.size > 0);
    change([
      exampleRemediation({ name: "first", state: "Proposed" }),
      exampleRemediation({ name: "second", state: "Verified" }),
    ]);
    await page.waitForSelector(".row .state.Proposed");
    expect(await page.locator(".row").count()).toBe(2);
  });

  it("shows an alert's text as text", async () => {
    expect(await page.locator(".row img").count()).toBe(0);
    expect(await page.locator(".row dd").first().textContent()).toContain(
      "<img src=x onerror=alert(1)>",
    );
  });

  it("keeps the reason that somebody is typing when the list changes", async () => {
    const reason = page.locator(".row").first().locator("input[name=reason]");
    await reason.fill("seen the plan, isolate");
    change([...remediations, exampleRemediation({ name: "third", state: "Verified" })]);
    await page.waitForTimeout(300);
    expect(await reason.inputValue()).toBe("seen the plan, isolate");
  });

  it("approves exactly the plan that was on the page", async () => {
    await page.locator(".row").first().locator("button.approve").click();
    await page.waitForSelector(".row .state.Approved");
    expect(decisions).toEqual([
      {
        name: { namespace: "prod", name: "first" },
        digest: `sha256:${"a".repeat(64)}`,
        decision: "Approve",
        by: "jane",
        reason: "seen the plan, isolate",
      },
    ]);
  });

  it("runs under its own content security policy without an error", async () => {
    const file = process.env["PARAPET_SCREENSHOTS"];
    if (file !== undefined) {
      change([exampleRemediation({ name: "first", state: "Proposed" }), ...remediations.slice(1)]);
      await page.waitForSelector(".row .state.Proposed");
      await page.locator(".row summary").first().click();
      await page.screenshot({ path: join(file, "console.png"), fullPage: true });
    }
    expect(errors).toEqual([]);
  });
});
