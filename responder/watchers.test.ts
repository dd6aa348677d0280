// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { failure, type FailureCode } from "#responder/cluster";
import { startWatchers } from "#responder/watchers";
import { eventually } from "#test/support/processes";

const ignore = (): void => undefined;

it.each([
  { code: "NotFound", says: "kubectl apply -k package/crds" },
  { code: "Forbidden", says: "package/install/role.yaml" },
  { code: "Unauthorized", says: "service account" },
  // It comes back by itself.
  { code: "Unavailable", says: "" },
] satisfies readonly { code: FailureCode; says: string }[])(
  "a list that fails with $code is told with what to do: $says",
  async ({ code, says }) => {
    const cluster = {
      ...makeMemoryCluster(Date.now).client(),
      list: () => Promise.resolve(failure(code, "no")),
    };
    const advice: string[] = [];
    const log = (_level: string, _message: string, fields?: object): void => {
      const given: unknown = fields !== undefined && "advice" in fields ? fields.advice : "";
      advice.push(String(given));
    };
    const on = { policies: ignore, approvals: ignore, remediations: ignore };
    const watchers = startWatchers(cluster, log, on);
    await eventually("told", () => advice.length >= 3);
    await Promise.all(watchers.map((watcher) => watcher.stop()));
    expect(new Set(advice)).toEqual(new Set([expect.stringContaining(says)]));
    expect(advice.every((one) => (one === "") === (says === ""))).toBe(true);
  },
);
