// SPDX-License-Identifier: Apache-2.0
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSendHttp } from "#responder/adapters/send-http";
import { parseConfig } from "#responder/config";
import { messageFor } from "#responder/notification";
import { exampleRemediation } from "#test/support/example-remediation";

const nowMs = Date.UTC(2026, 10, 22, 12, 0, 0);
const example = exampleRemediation({ name: "web-1", state: "Applying" });
const hostile = {
  ...example,
  cause: {
    ...example.cause,
    rule: "<!channel> & <https://evil.example|click>",
    message: "x".repeat(100_000),
  },
};

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

describe("sending", () => {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? "");
    if (request.url === "/slow") return;
    if (request.url === "/moved") response.writeHead(302, { location: "/ok" }).end();
    else response.writeHead(request.url === "/ok" ? 204 : 500).end();
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
    { reason: "Refused.", path: "/no", want: { ok: false, message: "one answered 500" } },
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
