// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "#responder/config/config";
import { networks } from "#responder/verification/networks";
import { repository } from "#test/support/shared";
import { tryAgainDefault } from "#responder/verification/try-again";

const page = readFileSync(join(repository, "package/install/verification.md"), "utf8");
const environment = { PARAPET_INTAKE_TOKEN: "0123456789abcdef" };

const problemsOf = (verification: unknown): readonly string[] => {
  const parsed = parseConfig({ verification }, environment);
  return parsed.ok ? [] : parsed.problems;
};

describe("the settings of verification", () => {
  it("are as the page shows them", () => {
    const [, block = ""] = /```yaml\n([^`]+)```/.exec(page) ?? [];
    const shown: unknown = parse(block.replace("REGISTRY/", "registry.example/"));
    const parsed = parseConfig(shown, environment);
    expect(parsed.ok ? [] : parsed.problems).toEqual([]);
    expect(parsed.ok ? parsed.config.verification.probes : undefined).toMatchObject({
      namespace: "parapet-probes",
      command: ["node", "responder/verification/probe-main.ts"],
      standInNamespaces: ["shop", "payments"],
      selfTestHold: 50_000,
    });
  });

  it("name every network of the table", () => {
    for (const { name } of networks) expect(page).toContain(name);
  });

  it("try no traffic unless told to, and keep closed records for 30 days", () => {
    const parsed = parseConfig({}, environment);
    expect(parsed.ok ? parsed.config.verification : undefined).toEqual({
      network: "auto",
      tryAgain: tryAgainDefault,
    });
    expect(parsed.ok ? [parsed.config.retention, parsed.config.settle] : []).toEqual([
      30 * 86_400_000,
      undefined,
    ]);
  });

  it.each([
    {
      reason: "No such network.",
      of: { network: "weave" },
      said: /^verification\.network: .*calico/,
    },
    {
      reason: "An image is no option.",
      of: { probes: { namespace: "p", image: "--x" } },
      said: /image/,
    },
    {
      reason: "Nor is a namespace a path.",
      of: { probes: { namespace: "../p", image: "i" } },
      said: /namespace/,
    },
    {
      reason: "A connection must be seen to live and to end.",
      of: { probes: { namespace: "p", image: "i", selfTestHold: "3s" } },
      said: /10s to 5m/,
    },
    {
      reason: "Pods for each try: not every instant.",
      of: { tryAgain: { after: "10ms" } },
      said: /1s to 30m/,
    },
    { reason: "A word that nobody knows.", of: { prove: true }, said: /prove/ },
  ])("refuse: $reason", ({ of, said }) => {
    expect(problemsOf(of).join("\n")).toMatch(said);
  });
});
