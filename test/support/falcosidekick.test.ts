// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:http";
import { describe, expect, it } from "vitest";
import { parseJson } from "#policy/json";
import { makeFalcosidekick, toSidekickBody } from "#test/support/falcosidekick";

const alert = (extra = "") =>
  `{"hostname":"n1","output":"a <b> & c","output_fields":{"evt.time":1791357661871149301,"k8s.pod.name":null,"proc.aname[2]":"x"},"priority":"Notice","rule":"r","source":"syscall","tags":["z","a"],"time":"2026-10-07T07:21:01.871149301Z"${extra}}`;

describe("the falcosidekick stand-in sends what the real one was seen to send", () => {
  const rows = [
    { reason: "numbers keep every digit", body: alert(), want: '"evt.time":1791357661871149301' },
    { reason: "nulls are kept", body: alert(), want: '"k8s.pod.name":null' },
    {
      reason: "Go's encoder escapes angle brackets",
      body: alert(),
      want: "a \\u003cb\\u003e \\u0026 c",
    },
    { reason: "tags are sorted", body: alert(), want: '"tags":["a","z"]' },
    {
      reason: "Falco writes syscall, falcosidekick's default is syscalls",
      body: alert().replace('"source":"syscall",', ""),
      want: '"source":"syscalls"',
    },
    {
      reason: "long strings are cut once the body passes 4,096 bytes",
      body: alert(`,"unused":1`).replace("a <b> & c", "y".repeat(5_000)),
      want: `"${"y".repeat(507)}[...]"`,
    },
  ];
  it.each(rows)("$reason", ({ body, want }) => {
    expect(toSidekickBody(body)).toContain(want);
  });
  it.each([
    { reason: "arrays are refused", body: `[${alert()}]` },
    {
      reason: "an alert without fields is refused",
      body: '{"rule":"r","time":"2026-10-07T07:21:01Z"}',
    },
    { reason: "an alert without time is refused", body: '{"rule":"r","output_fields":{"a":1}}' },
  ])("$reason", ({ body }) => {
    expect(toSidekickBody(body)).toBeUndefined();
  });
  it("drops unknown keys and ends the body with a newline", () => {
    const body = toSidekickBody(alert(',"message":"m","zz":{"a":[1,{"b":2}]}')) ?? "";
    expect(body.endsWith("}\n")).toBe(true);
    expect(Object.keys(parseJson(body) ?? {})).toEqual([
      ...[
        "uuid",
        "output",
        "priority",
        "rule",
        "time",
        "output_fields",
        "source",
        "tags",
        "hostname",
      ],
    ]);
  });

  it("tries each alert once and never again", async () => {
    let calls = 0;
    const server = createServer((_, reply) => {
      calls += 1;
      reply.writeHead(calls === 1 ? 503 : 202).end();
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const sidekick = makeFalcosidekick({ url: `http://127.0.0.1:${port}/falco` });
    sidekick.accept(alert());
    sidekick.accept(alert());
    await sidekick.drained();
    server.closeAllConnections();
    server.close();
    expect({ calls, delivered: sidekick.delivered(), dropped: sidekick.dropped() }).toEqual({
      calls: 2,
      delivered: 1,
      dropped: 1,
    });
  });
});
