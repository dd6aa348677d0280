// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { textAt } from "#policy/json";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { makeMemoryQueue } from "#responder/adapters/memory-queue";
import { makeMemoryCounts, type ReceivedCounts } from "#responder/adapters/received-counts";
import { scrapeFalcos, scrapeLimits } from "#responder/adapters/scrape-falco";
import type { StoredAlert } from "#responder/intake/alert-queue";
import { types } from "#responder/cluster";
import { makeLossWatch } from "#responder/intake/loss-watch";
import { makeMetrics } from "#responder/metrics";
import { freePort } from "#test/support/processes";
import { receivedCountsContract } from "#test/support/received-counts-contract";

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A Falco's web server, or whatever answers in its place. */
async function serve(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer ?? (() => undefined));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  return `http://127.0.0.1:${address.port}/metrics`;
}

const metricsOf = (hostname: string, matches: number, drops = 0): string =>
  `falcosecurity_evt_hostname_info{hostname="${hostname}"} 1
falcosecurity_falco_outputs_queue_num_drops_total ${drops}
falcosecurity_falco_rules_matches_total{priority="5",rule_name="Shell",source="syscall"} ${matches}
`;

const stored = (host: string, n: number): StoredAlert => ({
  fingerprint: `${host}-${n}`,
  receivedAtMs: n,
  sender: "falco",
  priority: "Notice",
  text: `{"rule":"Shell","hostname":"${host}","priority":"Notice"}`,
});

function watch(urls: readonly string[], counts: ReceivedCounts, identity = "replica-0") {
  const memory = makeMemoryCluster(() => clock.ms);
  const cluster = memory.client();
  const clock = { ms: Date.parse("2026-07-04T20:46:44Z") };
  const metrics = makeMetrics();
  const told: string[] = [];
  const losses = makeLossWatch({
    scrape: () =>
      scrapeFalcos(
        { metricsUrls: urls, service: undefined, path: "/metrics" },
        { ...scrapeLimits, timeoutMs: 300, bytesMax: 100_000 },
      ),
    counts,
    queue: makeMemoryQueue(),
    spool: { isEmpty: () => true },
    cluster,
    metrics,
    log: (level, message) => told.push(`${level} ${message}`),
    now: () => clock.ms,
    identity,
    rules: { latenessMs: 60_000, minimumPriority: "Debug", ignoreRules: [] },
  });
  return { losses, clock, metrics, told, cluster };
}

describe("counts in memory", () => {
  receivedCountsContract(makeMemoryCounts);
});

describe("a watch over Falco's counters", () => {
  it("says which host's alerts did not come, as log, metric, Event and status", async () => {
    const says = { one: 10, two: 10, drops: 0 };
    const one = await serve((_request, response) =>
      response.end(metricsOf("node-1", says.one, says.drops)),
    );
    const two = await serve((_request, response) => response.end(metricsOf("node-2", says.two)));
    const { losses, clock, metrics, told, cluster } = watch([one, two], makeMemoryCounts());
    await losses.round();
    Object.assign(says, { one: 130, two: 15, drops: 4 });
    const came = [
      ...Array.from({ length: 118 }, (_, n) => losses.note(stored("node-1", n))),
      ...Array.from({ length: 5 }, (_, n) => losses.note(stored("node-2", n))),
      // Handed over again: the same alerts.
      ...Array.from({ length: 5 }, (_, n) => losses.note(stored("node-2", n))),
    ];
    await Promise.all(came);
    for (let i = 0; i < 3; i++) {
      clock.ms += 60_000;
      await losses.round();
    }
    const text =
      'Falco on node-1 says 120 of "Shell" since 2026-07-04T20:46:44.000Z, we have 118: 2 more are missing';
    const dropped =
      "Falco on node-1 dropped 4 alert(s) since its output queue was full (outputs_queue.capacity)";
    expect(told).toEqual([`warn ${dropped}`, `warn ${text}`]);
    expect(metrics.text()).toContain('parapet_falco_missing_alerts_total{host="node-1"} 2');
    expect(metrics.text()).toContain('parapet_falco_dropped_alerts_total{host="node-1"} 4');
    expect(metrics.text()).toContain("parapet_falco_reached 2");
    expect(losses.status()).toEqual({ reached: 2, unreached: [], losses: [dropped, text] });
    const events = await cluster.list(types.event, { namespace: "default" });
    const found = events.ok ? events.value.items : [];
    expect(found.map((event) => textAt(event, ["message"])).sort()).toEqual([dropped, text].sort());
    expect(textAt(found[0], ["involvedObject", "name"])).toBe("node-1");
  });

  it("goes on where its process ended: what was sent meanwhile is missing", async () => {
    const says = { n: 10 };
    const url = await serve((_request, response) => response.end(metricsOf("node-1", says.n)));
    const counts = makeMemoryCounts();
    const first = watch([url], counts);
    await first.losses.round();
    says.n = 17;
    const second = watch([url], counts);
    await second.losses.round();
    second.clock.ms += 60_000;
    await second.losses.round();
    expect(second.told.join()).toContain("says 7");
    const another = watch([url], counts, "replica-1");
    await another.losses.round();
    another.clock.ms += 60_000;
    await another.losses.round();
    expect(another.told).toEqual([]);
  });

  it.each([
    { reason: "an error", answer: (r: Reply) => r.writeHead(500).end("x"), why: "answered 500" },
    {
      reason: "a redirect",
      answer: (r: Reply) => r.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
      why: "not reached",
    },
    {
      reason: "another's metrics",
      answer: (r: Reply) => r.end("up 1\n"),
      why: "none of Falco's metrics are there",
    },
    {
      reason: "more than anybody needs",
      answer: (r: Reply) => r.end("falcosecurity_x 1\n".repeat(100_000)),
      why: "more than 100000 bytes",
    },
    { reason: "silence", answer: () => undefined, why: "did not answer in time" },
    {
      reason: "an answer that never ends",
      answer: (r: Reply) => void r.write("falcosecurity_x 1\n"),
      why: "did not answer in time",
    },
    { reason: "a reset", answer: (r: Reply) => r.destroy(), why: "UND_ERR_SOCKET" },
  ])("survives $reason of one Falco, and asks the others", async ({ answer, why }) => {
    const bad = await serve((_request, response) => void answer(response));
    const good = await serve((_request, response) => response.end(metricsOf("node-2", 1)));
    const gone = `http://127.0.0.1:${await freePort()}/metrics`;
    const { losses, told } = watch([bad, good, gone], makeMemoryCounts());
    await losses.round();
    const status = losses.status();
    expect(status["reached"]).toBe(1);
    expect(status["unreached"]).toContainEqual({ url: bad, why });
    expect(status["unreached"]).toContainEqual({
      url: gone,
      why: "ECONNREFUSED",
    });
    expect(told).toHaveLength(2);
  });

  it("finds the Falcos behind a headless Service by its name", async () => {
    const url = new URL(await serve((_request, response) => response.end(metricsOf("node-1", 1))));
    const service = { host: "localhost", port: Number(url.port) };
    const scraped = await scrapeFalcos({ metricsUrls: [], service, path: "/metrics" });
    expect(scraped.falcos.map((falco) => falco.hostname)).toContain("node-1");
    const nothing = { host: "no-such-service.invalid", port: 1 };
    const failed = await scrapeFalcos({ metricsUrls: [], service: nothing, path: "/metrics" });
    expect(failed.failures.map(({ url: where }) => where)).toEqual(["no-such-service.invalid:1"]);
  });
});

type Reply = Parameters<NonNullable<Parameters<typeof createServer>[1]>>[1];
