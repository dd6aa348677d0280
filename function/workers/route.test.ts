// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { bucket, composite, encodeRequest } from "#test/support/run-function";
import { help, parseOptions } from "../options.ts";
import { makeCosts } from "./cheap.ts";
import { homeOf, routeOf } from "./route.ts";
import { workerMb, workersFor } from "./size.ts";

describe("where a call goes", () => {
  const withMetadata = (metadata: Record<string, string>) =>
    encodeRequest({
      composite: { ...composite(), metadata },
      desired: { a: bucket({}, { uid: "another" }) },
    });
  test.each([
    { metadata: { uid: "u-1", name: "a" }, route: "u-1", reason: "a uid names a composite" },
    { metadata: { name: "a", namespace: "b" }, route: "b/a", reason: "rendered ones have no uid" },
    { metadata: { name: "a" }, route: "/a", reason: "cluster-scoped ones have no namespace" },
  ])("$reason", ({ metadata, route }) => expect(routeOf(withMetadata(metadata))).toBe(route));

  test("malformed bytes go anywhere, never wrong", () => {
    const bytes = withMetadata({ uid: "u" });
    for (let end = 0; end < bytes.length; end++) {
      expect(["", "u"]).toContain(routeOf(bytes.subarray(0, end)));
    }
    expect(routeOf(Buffer.from("garbage"))).toBe("");
  });

  test("composites are spread evenly", () => {
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      const home = homeOf(`00000000-0000-4000-8000-${String(i).padStart(12, "0")}`, 4);
      counts[home] = (counts[home] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
  });
});

describe("how many workers", () => {
  const gib = 1024 ** 3;
  test.each([
    { cores: 1, memory: 8, workers: 1, reason: "nothing is gained on one core" },
    { cores: 2, memory: 8, workers: 2, reason: "one for each core" },
    { cores: 64, memory: 256, workers: 4, reason: "a large machine is not all ours" },
    { cores: 8, memory: 0.75, workers: 3, reason: "each needs its memory" },
    { cores: 8, memory: 0.25, workers: 1, reason: "too little memory for any" },
  ])("$reason", ({ cores, memory, workers }) => {
    const machine = { cores, memoryBytes: memory * gib };
    expect(workersFor(machine)).toBe(workers);
    const heaps = workers * workerMb(machine, workers) * 1024 * 1024;
    if (workers > 1) expect(heaps).toBeLessThan(machine.memoryBytes * 0.75);
  });
});

describe("what a composite's calls cost", () => {
  test.each([
    { took: [], cheap: false, reason: "nobody knows what the first takes" },
    { took: [0.001], cheap: true, reason: "less than the handing over" },
    { took: [0.001, 0.05], cheap: true, reason: "one late call may have waited for the processor" },
    { took: [0.001, 0.05, 0.05], cheap: false, reason: "two late calls are costly ones" },
    { took: [0, 0.05, 0.05], cheap: false, reason: "however little it took before" },
    { took: [0.05, 0.001], cheap: true, reason: "what has become cheap is so at once" },
  ])("$reason", ({ took, cheap }) => {
    const costs = makeCosts();
    for (const seconds of took) costs.note("u", seconds);
    expect(costs.isCheap("u", true)).toBe(cheap);
  });
});

describe("--workers and --call-seconds", () => {
  const parse = (args: readonly string[], env: Record<string, string> = {}) =>
    parseOptions(["--insecure", ...args], env);
  test.each([
    { args: [], env: {}, want: [undefined, 30], reason: "the machine decides" },
    { args: ["--workers", "3", "--call-seconds", "5"], env: {}, want: [3, 5], reason: "flags" },
    {
      args: [],
      env: { PARAPET_WORKERS: "2", PARAPET_CALL_SECONDS: "60" },
      want: [2, 60],
      reason: "set",
    },
  ])("$reason", ({ args, env, want }) => {
    const parsed = parse(args, env);
    if (parsed.kind !== "run") throw new Error(JSON.stringify(parsed));
    expect([parsed.options.workers, parsed.options.callSeconds]).toEqual(want);
  });
  test.each([["--workers=0"], ["--workers=65"], ["--workers=two"], ["--call-seconds=0"]])(
    "%s is refused",
    (flag) => expect(parse([flag]).kind).toBe("wrong"),
  );
  test.each(["--workers", "--call-seconds"])("%s is explained", (flag) => {
    expect(help).toContain(flag);
  });
});
