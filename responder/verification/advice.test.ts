// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { HistoryEntry, Remediation, State } from "#responder/remediation";
import { adviceByReason, adviceFor } from "#responder/verification/advice";
import { exampleRemediation } from "#test/support/example-remediation";
import { repository } from "#test/support/shared";

const found = (state: State, reason: string): HistoryEntry => ({
  atMs: 1,
  from: "Applied",
  to: state,
  reason,
  message: "",
  by: "parapet",
});

function example(state: State, more: Partial<Remediation["status"]>): Remediation {
  const one = exampleRemediation({ name: "one", state });
  return { ...one, status: { ...one.status, evidence: [], ...more } };
}

const probe = (finding: "Holds" | "Unknown") => ({
  evidence: [{ atMs: 1, check: "Probe" as const, finding, detail: "" }],
});

describe("what a person can do about an isolation", () => {
  it("is said for every reason that the guide names, and for no other", () => {
    const page = readFileSync(join(repository, "package/install/verification.md"), "utf8");
    const table = page.slice(
      page.indexOf("| reason of Unverifiable"),
      page.indexOf("## Open conn"),
    );
    const named = [...table.matchAll(/^\| (\w+(?:, \w+)*) \|/gm)].flatMap(([, names = ""]) =>
      names.split(", "),
    );
    expect(Object.keys(adviceByReason).sort()).toEqual(named.sort());
  });

  it.each([
    {
      reason: "It rests there because nobody tries: the way on is to turn probes on.",
      one: example("Realised", probe("Unknown")),
      says: /no probes are configured: with verification\.probes/,
    },
    {
      reason: "Probes are on their way.",
      one: example("Realised", {}),
      says: /^$/,
    },
    {
      reason: "Nothing is left to do.",
      one: example("Verified", probe("Holds")),
      says: /^$/,
    },
    {
      reason: "A shell may still be open.",
      one: example("Unverifiable", { history: [found("Unverifiable", "EstablishedConnections")] }),
      says: /New connections are cut\. .*evict or delete/,
    },
    {
      reason: "A reason of another time.",
      one: example("Unverifiable", { history: [found("Unverifiable", "Elsewise")] }),
      says: /^$/,
    },
    {
      reason: "A label is no isolation.",
      one: { ...example("Realised", probe("Unknown")), plan: undefined },
      says: /^$/,
    },
  ])("$reason", ({ one, says }) => {
    expect(adviceFor(one)).toMatch(says);
  });
});
