// SPDX-License-Identifier: Apache-2.0
import { afterEach, expect, it, vi } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { failure } from "#responder/cluster";
import { makeMetrics } from "#responder/metrics";
import { startRightsCheck } from "#responder/isolation/policy-rights";
import { policyKinds, typeOfKind } from "#responder/reachability/policy-kinds";

afterEach(() => {
  vi.useRealTimers();
});

const served = policyKinds.map(typeOfKind).filter((one) => one.apiVersion === "cilium.io/v2");

it.each([
  { reason: "all may be read", forbidden: [], says: 0, gauge: " 1" },
  {
    reason: "a kind that is served may not be read",
    forbidden: ["ciliumnetworkpolicies"],
    says: 1,
    gauge: " 0",
  },
  {
    reason: "isolate was not given its role",
    forbidden: ["ciliumnetworkpolicies", "networkpolicies"],
    says: 0,
    gauge: "",
  },
])("says once what is missing: $reason", async ({ forbidden, says, gauge }) => {
  vi.useFakeTimers();
  const cluster = makeMemoryCluster(() => 0, served).client();
  const metrics = makeMetrics();
  const said: string[] = [];
  const timers = startRightsCheck("parapet-system", {
    cluster: {
      ...cluster,
      list: (type, query) =>
        forbidden.some((one) => one === type.resource)
          ? Promise.resolve(failure("Forbidden", "no"))
          : cluster.list(type, query),
    },
    metrics,
    log: (level, message, fields) => said.push(`${level} ${message} ${JSON.stringify(fields)}`),
    now: Date.now,
  });
  await vi.advanceTimersByTimeAsync(700_000);
  for (const timer of timers) clearInterval(timer);
  expect(said).toHaveLength(says);
  if (says > 0) expect(said[0]).toContain("no right to list it");
  expect(/^parapet_policies_readable( \d)$/m.exec(metrics.text())?.[1] ?? "").toBe(gauge);
});
