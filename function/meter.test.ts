// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:net";
import { Client, credentials, ServerCredentials } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import {
  bucket,
  encodeRequest,
  guardrails,
  mutating,
  noPublic,
  nowMs,
  validating,
} from "#test/support/run-function";
import { makeHandler } from "./handler.ts";
import { makeMeter } from "./meter.ts";
import { startMetricsServer } from "./metrics-server.ts";
import { help, parseOptions } from "./options.ts";
import { makePolicyCounter, namedPoliciesMax } from "./series.ts";
import { startServer } from "./server.ts";

const sample = (text: string, series: string): number => {
  const line = text.split("\n").find((each) => each.startsWith(`parapet_function_${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(line.lastIndexOf(" ") + 1));
};

function metered() {
  let ms = 0;
  const meter = makeMeter(() => (ms += 3));
  const spec = { now: () => nowMs, log: () => undefined, approvalNamespace: "", meter };
  return { meter, handler: makeHandler(spec) };
}

describe("the figures", () => {
  test("count calls, verdicts, violations, injections and the cache", () => {
    const { meter, handler } = metered();
    const tagged = mutating(
      "tag",
      "Object{spec: Object.spec{forProvider: Object.spec.forProvider{note: 'x'}}}",
    );
    const told = validating("told", "false", { action: "Audit" });
    const request = encodeRequest({
      input: guardrails([noPublic, tagged, told]),
      desired: { a: bucket({ acl: "public" }), b: bucket() },
    });
    handler(request);
    handler(request);
    handler(encodeRequest({ input: { kind: "Wrong" } }));
    const text = meter.text();
    expect({
      ok: sample(text, 'calls_total{outcome="ok"}'),
      fatal: sample(text, 'calls_total{outcome="fatal"}'),
      sent: sample(text, 'verdicts_total{result="sent"}'),
      waiting: sample(text, 'verdicts_total{result="waiting"}'),
      held: sample(text, 'violations_total{action="Enforce",answer="Hold"}'),
      told: sample(text, 'violations_total{action="Audit",answer="Tell"}'),
      injected: sample(text, "resources_injected_total"),
      hits: sample(text, 'policy_cache_total{result="hit"}'),
      misses: sample(text, 'policy_cache_total{result="miss"}'),
      inputs: sample(text, "policy_cache_inputs"),
      count: sample(text, "evaluation_duration_seconds_count"),
      told1: sample(text, 'policy_violations_total{policy="ValidatingPolicy/told",action="Audit"}'),
    }).toEqual({
      ok: 2,
      fatal: 1,
      sent: 2,
      waiting: 2,
      held: 2,
      told: 4,
      injected: 4,
      hits: 1,
      misses: 1,
      inputs: 2,
      count: 3,
      told1: 4,
    });
    expect(sample(text, "policy_compile_seconds_total")).toBeGreaterThan(0);
    expect(sample(text, 'evaluation_duration_seconds_bucket{le="0.0025"}')).toBe(0);
    expect(sample(text, 'evaluation_duration_seconds_bucket{le="+Inf"}')).toBe(3);
  });

  test("name policies and nothing else out of a request, and only so many of them", () => {
    const { meter, handler } = metered();
    const series = () =>
      meter
        .text()
        .replaceAll(/ [\d.e+-]+$/gm, "")
        .split("\n");
    const before = series();
    for (let i = 0; i < namedPoliciesMax + 30; i++) {
      const secret = validating(`policy-${i}`, "false", { message: `hunter${i}` });
      handler(encodeRequest({ input: guardrails([secret]), desired: { [`r${i}`]: bucket() } }));
    }
    const added = series().filter((line) => !before.includes(line));
    expect(added.length).toBe(namedPoliciesMax + 1);
    expect(added.every((line) => /\{policy="(?:\w+\/policy-\d+|other)",action/.test(line))).toBe(
      true,
    );
    expect(sample(meter.text(), 'policy_violations_total{policy="other",action="Enforce"}')).toBe(
      30,
    );
  });

  test("keep a hostile name of a policy inside its label", () => {
    const counter = makePolicyCounter();
    counter.add('x"} 1\nevil{a="\\', "Audit");
    counter.add("y".repeat(1000), "Audit");
    expect(counter.lines()).toEqual([
      '{policy="other",action="Audit"} 1',
      '{policy="x\\"} 1\\nevil{a=\\"\\\\",action="Audit"} 1',
    ]);
  });

  test("are lines of the text format, each family with help and type before its samples", () => {
    const { meter } = metered();
    let family = "";
    for (const line of meter.text().trimEnd().split("\n")) {
      const type = /^# TYPE (\S+) (?:counter|gauge|histogram)$/.exec(line);
      family = type?.[1] ?? family;
      if (line.startsWith("#")) continue;
      expect(line).toMatch(
        /^parapet_function_[a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? [\d.]+$/,
      );
      expect(line.startsWith(family)).toBe(true);
    }
    expect(meter.text().endsWith("\n")).toBe(true);
  });
});

describe("the port", () => {
  const figures = { text: () => "figures 1\n", isServing: () => true };

  test("answers GET /metrics, the probes, and nothing else", async () => {
    let serving = true;
    const server = await startMetricsServer("127.0.0.1:0", {
      ...figures,
      isServing: () => serving,
    });
    const url = `http://127.0.0.1:${server.port}`;
    const good = await fetch(`${url}/metrics`);
    expect([good.status, await good.text()]).toEqual([200, "figures 1\n"]);
    expect(good.headers.get("content-type")).toContain("version=0.0.4");
    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: "POST", body: "x" })).status).toBe(405);
    const probes = async () =>
      Promise.all(
        ["healthz", "readyz"].map(async (page) => (await fetch(`${url}/${page}`)).status),
      );
    expect(await probes()).toEqual([200, 200]);
    serving = false;
    expect(await probes()).toEqual([200, 503]);
    await expect(startMetricsServer(`127.0.0.1:${server.port}`, figures)).rejects.toThrow(
      "EADDRINUSE",
    );
    server.stop();
  });

  test("a caller that hangs up in the middle does no harm", async () => {
    const server = await startMetricsServer("127.0.0.1:0", figures);
    const socket = connect(server.port, "127.0.0.1");
    await new Promise<void>((resolve) => socket.write("GET /met", () => resolve()));
    socket.destroy();
    expect((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status).toBe(200);
    server.stop();
  });
});

test("the server counts what it refuses", async () => {
  const { meter, handler } = metered();
  const server = await startServer("127.0.0.1:0", {
    handler,
    meter,
    credentials: ServerCredentials.createInsecure(),
    receiveBytesMax: 1_000_000,
    clientSans: ["crossplane.crossplane-system"],
    log: () => undefined,
  });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  await new Promise<void>((resolve) => {
    const same = (bytes: Buffer) => bytes;
    const path = "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction";
    client.makeUnaryRequest(path, same, same, Buffer.from([7]), () => resolve());
  });
  client.close();
  await server.drain(100);
  expect(sample(meter.text(), 'calls_total{outcome="unauthorised"}')).toBe(1);
});

describe("--metrics-address", () => {
  const parse = (args: readonly string[], env: Record<string, string> = {}) =>
    parseOptions(["--insecure", ...args], env);
  test.each([
    { args: [], env: {}, address: ":8080", reason: "Crossplane names this port of every function" },
    { args: ["--metrics-address", ""], env: {}, address: "", reason: "turns it off" },
    { args: [], env: { PARAPET_METRICS_ADDRESS: "[::1]:9" }, address: "[::1]:9", reason: "set" },
  ])("$reason", ({ args, env, address }) => {
    const parsed = parse(args, env);
    expect(parsed.kind === "run" ? parsed.options.metricsAddress : parsed).toBe(address);
  });
  test.each(["8080", "a b:1", ":70000"])("%s is refused", (address) => {
    expect(parse(["--metrics-address", address]).kind).toBe("wrong");
  });
  test("is explained", () => expect(help).toContain("--metrics-address"));
});
