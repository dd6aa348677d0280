// SPDX-License-Identifier: Apache-2.0
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSendHttp } from "#responder/adapters/send-http";
import { parseConfig } from "#responder/config/config";
import { messageFor, type Telling } from "#responder/notify/notification";
import type { Remediation } from "#responder/remediation";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = Date.UTC(2026, 10, 22, 12, 0, 0);
const remediation = exampleRemediation({ name: "web-1", state: "Applying" });
const telling = (one: Remediation, notice: Telling["notice"] = "Response"): Telling => ({
  notice,
  remediations: [one],
});
const example = telling(remediation);
const hostile = telling({
  ...remediation,
  cause: {
    ...remediation.cause,
    rule: "<!channel> & <https://evil.example|click>",
    message: "x".repeat(100_000),
  },
});
const proposed = exampleRemediation({ name: "web-1", state: "Proposed" });
const consoleUrl = "https://parapet.example.org/console/";
const bodyOf = (format: "webhook" | "slack", of: Telling, url = consoleUrl): unknown =>
  JSON.parse(messageFor({ format, secret: undefined }, of, nowMs, url).body);

describe("a message", () => {
  it("is signed over time and body, so that neither can be changed or sent again later", () => {
    const { body, headers } = messageFor({ format: "webhook", secret: "s3cret" }, example, nowMs);
    expect(headers["parapet-timestamp"]).toBe(`${nowMs / 1_000}`);
    const wanted = createHmac("sha256", "s3cret")
      .update(`${nowMs / 1_000}.${body}`)
      .digest("hex");
    expect(headers["parapet-signature"]).toBe(`v1=${wanted}`);
    const later = messageFor({ format: "webhook", secret: "s3cret" }, example, nowMs + 60_000);
    expect(later.headers["parapet-signature"]).not.toBe(headers["parapet-signature"]);
    expect(later.headers["idempotency-key"]).toBe(headers["idempotency-key"]);
  });

  it("is unsigned without a secret, and says nothing of one", () => {
    const { headers } = messageFor({ format: "webhook", secret: undefined }, example, nowMs);
    expect(Object.keys(headers)).not.toContain("parapet-signature");
  });

  it.each(["webhook", "slack"] as const)(
    "to a %s stays small whatever the alert says",
    (format) => {
      const { body } = messageFor({ format, secret: undefined }, hostile, nowMs);
      expect(body.length).toBeLessThan(20_000);
    },
  );

  it("to Slack holds no mark-up of the alert's: it calls nobody and links nowhere", () => {
    const { body } = messageFor({ format: "slack", secret: undefined }, hostile, nowMs);
    const message = JSON.parse(body) as unknown;
    expect(message).toMatchObject({ mrkdwn: false, blocks: [{ text: { type: "plain_text" } }] });
    expect(message).toMatchObject({ text: expect.not.stringContaining("<") as unknown });
    expect(message).toMatchObject({
      text: expect.stringContaining("&lt;!channel&gt; &amp;") as unknown,
    });
  });
});

describe("a message about a proposal", () => {
  it("says what would be done, by which plan, how to decide and where to look", () => {
    expect(bodyOf("webhook", telling(proposed, "Proposed"))).toMatchObject({
      notice: "Proposed",
      headline: "Remediation prod/web-1 waits for an approval",
      state: "Proposed",
      expiresAt: "2026-11-22T10:58:00.000Z",
      plan: {
        digest: `sha256:${"a".repeat(64)}`,
        summary: ["apply NetworkPolicy prod/parapet-isolate-3b1c"],
        residualAllows: 1,
        approvers: 1,
      },
      commands: [
        'parapet approve web-1 -n prod --reason "..."',
        'parapet approve web-1 -n prod --deny --reason "..."',
      ],
      console: "https://parapet.example.org/console/remediations/prod/web-1",
    });
  });

  it("tells how to renew what is in force and ends soon", () => {
    const verified = exampleRemediation({ name: "web-1", state: "Verified" });
    expect(bodyOf("webhook", telling(verified, "ExpiresSoon"))).toMatchObject({
      commands: [
        'parapet approve web-1 -n prod --renew 1h --reason "..."',
        'parapet approve web-1 -n prod --deny --reason "..."',
      ],
    });
  });

  it("says the same to Slack, with a link of our own making", () => {
    const message = bodyOf("slack", telling(proposed, "Proposed"));
    expect(message).toMatchObject({
      blocks: [
        { text: { type: "plain_text" } },
        {
          text: {
            type: "mrkdwn",
            text: "<https://parapet.example.org/console/remediations/prod/web-1|Review in the console>",
          },
        },
      ],
    });
    expect(message).toMatchObject({
      text: expect.stringContaining("$ parapet approve web-1 -n prod") as unknown,
    });
  });

  it.each([
    { reason: "No console is configured: no link.", notice: "Proposed", url: "", want: "" },
    {
      reason: "Many at once lead to the list of those that wait.",
      notice: "Proposed",
      url: consoleUrl,
      want: "https://parapet.example.org/console?state=Proposed",
    },
    {
      reason: "What expires may be in any state.",
      notice: "ExpiresSoon",
      url: consoleUrl,
      want: "https://parapet.example.org/console",
    },
  ] as const)("$reason", ({ notice, url, want }) => {
    const rest = Array.from({ length: 2_000 }, () => proposed);
    const many: Telling = { notice, remediations: [proposed, ...rest] };
    const body = bodyOf("webhook", many, url);
    expect(body).toMatchObject({ count: 2_001, console: want });
    expect(JSON.stringify(body).length).toBeLessThan(16_384);
    expect(JSON.stringify(bodyOf("slack", many, url)).length).toBeLessThan(16_384);
  });

  it("has another key when it is about another plan, another expiry or another kind", () => {
    const keyOf = (of: Telling): string =>
      messageFor({ format: "webhook", secret: undefined }, of, nowMs).headers["idempotency-key"] ??
      "";
    const later = { ...proposed, status: { ...proposed.status, expiresAtMs: nowMs } };
    const keys = [
      telling(proposed, "Proposed"),
      telling(proposed, "ExpiresSoon"),
      telling(later, "ExpiresSoon"),
    ].map(keyOf);
    expect(new Set(keys).size).toBe(3);
    expect(keyOf(telling(later, "Proposed"))).toBe(keys[0]);
  });
});

describe("sending", () => {
  const paths: string[] = [];
  const statuses: Readonly<Record<string, number>> = { "/ok": 204, "/410": 410, "/429": 429 };
  const server = createServer((request, response) => {
    paths.push(request.url ?? "");
    if (request.url === "/slow") return;
    if (request.url === "/moved") response.writeHead(302, { location: "/ok" }).end();
    else response.writeHead(statuses[request.url ?? ""] ?? 500).end();
  });
  let base = "";
  beforeAll(async () => {
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    base = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it.each([
    { reason: "Taken.", path: "/ok", want: { ok: true } },
    {
      reason: "Broken: worth another try.",
      path: "/no",
      want: { ok: false, code: "Unavailable", message: "one answered 500" },
    },
    {
      reason: "Refused for good: not sent again.",
      path: "/410",
      want: { ok: false, code: "Invalid", message: "one answered 410" },
    },
    {
      reason: "Too many at once: later.",
      path: "/429",
      want: { ok: false, code: "Unavailable", message: "one answered 429" },
    },
    {
      reason: "Sent elsewhere: not followed.",
      path: "/moved",
      want: { ok: false, message: "one not reached" },
    },
    {
      reason: "Never answered.",
      path: "/slow",
      want: { ok: false, message: "one did not answer in time" },
    },
  ])("$reason", async ({ path, want }) => {
    paths.length = 0;
    const url = `${base}${path}`;
    const destination = {
      name: "one",
      format: "webhook",
      url,
      secret: undefined,
      timeoutMs: 300,
    } as const;
    expect(await makeSendHttp([destination], () => nowMs)("one", example)).toMatchObject(want);
    expect(paths).toEqual([path]);
  });

  it("goes to configured names only, and keeps the address out of what is said", async () => {
    const send = makeSendHttp(
      [
        {
          name: "one",
          format: "webhook",
          url: "http://127.0.0.1:1/secret-token",
          secret: undefined,
          timeoutMs: 300,
        },
      ],
      () => nowMs,
    );
    expect(await send("two", example)).toMatchObject({ ok: false, code: "Invalid" });
    const reply = await send("one", example);
    expect(reply).toMatchObject({ ok: false, message: "one not reached" });
  });
});

describe("destinations in the configuration", () => {
  const env = { PARAPET_INTAKE_TOKEN: "0123456789abcdef" };
  const problems = (destinations: unknown): readonly string[] => {
    const parsed = parseConfig({ notify: { destinations } }, env);
    return parsed.ok ? [] : parsed.problems;
  };
  it.each([
    { reason: "Fine.", destinations: [{ name: "ops", url: "https://ops.example/x" }], want: 0 },
    {
      reason: "Twice.",
      destinations: [
        { name: "a", url: "https://x.example" },
        { name: "a", url: "https://y.example" },
      ],
      want: 1,
    },
    { reason: "No address.", destinations: [{ name: "a" }], want: 1 },
    {
      reason: "Two addresses.",
      destinations: [{ name: "a", url: "https://x.example", urlFile: "/f" }],
      want: 1,
    },
    {
      reason: "No file is read by it.",
      destinations: [{ name: "a", url: "file:///etc/passwd" }],
      want: 1,
    },
    {
      reason: "It cannot hold the worker up.",
      destinations: [{ name: "a", url: "https://x.example", timeout: "10m" }],
      want: 1,
    },
  ])("$reason", ({ destinations, want }) => {
    expect(problems(destinations)).toHaveLength(want);
  });
});
