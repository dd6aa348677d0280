// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Priority } from "#responder/intake/alert";
import { parseFalcoMetrics } from "#responder/intake/falco-metrics";
import { compareLosses, lossKey, type LossState, lossText } from "#responder/intake/loss-detection";
import { readLossState, writeLossState } from "#responder/intake/loss-state";
import { workedMs } from "#test/support/cpu-time";

const exposition = `# HELP falcosecurity_evt_hostname_info https://falco.org/docs/metrics/
# TYPE falcosecurity_evt_hostname_info gauge
falcosecurity_evt_hostname_info{hostname="node-1"} 1
# TYPE falcosecurity_falco_outputs_queue_num_drops_total counter
falcosecurity_falco_outputs_queue_num_drops_total 3
falcosecurity_falco_rules_matches_total{priority="4",rule_name="Read sensitive file untrusted",source="syscall",tag_T1555="true",tag_container="true"} 120
falcosecurity_falco_rules_matches_total{priority="5",rule_name="a \\"quoted\\" rule, with } and \\\\",source="syscall"} 7 1783198004000
falcosecurity_evt_hostname_info{hostname="node-1"} 1
falcosecurity_falco_outputs_queue_num_drops_total 3
falcosecurity_falco_rules_matches_total{priority="4",rule_name="Read sensitive file untrusted",source="syscall"} 120
process_cpu_seconds_total 5
`;

describe("Falco's metrics", () => {
  it("of one process with two event sources are counted once", () => {
    expect(parseFalcoMetrics(exposition)).toEqual({
      hostname: "node-1",
      queueDrops: 3,
      matches: new Map([
        ["Read sensitive file untrusted", { count: 120, priority: "Warning" }],
        ['a "quoted" rule, with } and \\', { count: 7, priority: "Notice" }],
      ]),
    });
  });

  it("of Falco 0.38 have one name for each rule, and a sum that is none", () => {
    const text = `falcosecurity_falco_rules_matches_total{raw_name="rules.matches_total"} 2
falcosecurity_falco_rules_Test_rule_total{raw_name="rules.Test_rule",priority="5",rule="Test rule",source="syscall",tags="container, host"} 2`;
    expect(parseFalcoMetrics(text)?.matches).toEqual(
      new Map([["Test rule", { count: 2, priority: "Notice" }]]),
    );
  });

  it.each([
    { reason: "Another's metrics.", text: "process_cpu_seconds_total 5\n" },
    { reason: "A page of HTML.", text: "<html><body>falcosecurity_</body></html>" },
    { reason: "Nothing.", text: "" },
  ])("are not there: $reason", ({ text }) => {
    expect(parseFalcoMetrics(text)).toBeUndefined();
  });

  it("that are broken or hostile do not count, and cost no time", () => {
    const startedAt = workedMs();
    const figures = parseFalcoMetrics(
      [
        'falcosecurity_falco_version_info{version="0.44.1"} 1',
        'falcosecurity_falco_rules_matches_total{rule_name="a"} NaN',
        'falcosecurity_falco_rules_matches_total{rule_name="b"} -5',
        'falcosecurity_falco_rules_matches_total{rule_name="c" 5',
        `falcosecurity_falco_rules_matches_total{rule_name="${"\\".repeat(200_000)}`,
        `falcosecurity_falco_rules_matches_total{${'a="b",'.repeat(100_000)}`,
        ...Array.from(
          { length: 5_000 },
          (_, i) => `falcosecurity_falco_rules_matches_total{rule_name="r${i}"} 1`,
        ),
      ].join("\n"),
    );
    expect(figures?.matches.size).toBe(2_000);
    expect(workedMs() - startedAt).toBeLessThan(500);
  });
});

const minute = 60_000;

/** One look: what Falco says (by rule, or nothing for a Falco that is away) and what came altogether. */
type Look = {
  readonly says?: Readonly<Record<string, number>>;
  readonly came?: Readonly<Record<string, number>>;
  readonly drops?: number;
  readonly behind?: true;
  /** A new process with the accounts that were saved. */
  readonly restarted?: true;
};

const cases: readonly {
  readonly reason: string;
  readonly looks: readonly Look[];
  readonly want: readonly string[];
  readonly priority?: Priority;
}[] = [
  {
    reason: "What was before the first look is not known, and nobody's loss.",
    looks: [{ says: { r: 500 }, came: {} }, { says: { r: 500 } }, { says: { r: 500 } }],
    want: [],
  },
  {
    reason: "All that Falco says came.",
    looks: [
      { says: {} },
      { says: { r: 120 }, came: { r: 120 } },
      { says: { r: 120 }, came: { r: 120 } },
    ],
    want: [],
  },
  {
    reason: "Two are missing, and that is said once.",
    looks: [
      { says: { r: 1 }, came: { r: 1 } },
      { says: { r: 121 }, came: { r: 119 } },
      { says: { r: 121 }, came: { r: 119 } },
      { says: { r: 121 }, came: { r: 119 } },
    ],
    want: ["120 said, 118 came, 2 missing"],
  },
  {
    reason: "A rule that matched for the first time is there with its first count.",
    looks: [{ says: {} }, { says: { r: 3 }, came: { r: 2 } }, { says: { r: 3 }, came: { r: 2 } }],
    want: ["3 said, 2 came, 1 missing"],
  },
  {
    reason: "One that is late is not lost.",
    looks: [
      { says: {} },
      { says: { r: 10 }, came: { r: 5 } },
      { says: { r: 20 }, came: { r: 12 } },
      { says: { r: 20 }, came: { r: 20 } },
      { says: { r: 20 }, came: { r: 20 } },
    ],
    want: [],
  },
  {
    reason: "One that comes after it was called missing is taken back.",
    looks: [
      { says: {} },
      { says: { r: 5 }, came: {} },
      { says: { r: 5 }, came: {} },
      { says: { r: 5 }, came: { r: 5 } },
      { says: { r: 5 }, came: { r: 5 } },
    ],
    want: ["5 said, 0 came, 5 missing", "5 recovered"],
  },
  {
    reason: "A restart of Falco begins its counter anew, and what it lost before and after counts.",
    looks: [
      { says: { r: 100 }, came: { r: 100 } },
      { says: { r: 110 }, came: { r: 110 } },
      { says: { r: 4 }, came: { r: 112 } },
      { says: { r: 4 }, came: { r: 112 } },
    ],
    want: ["14 said, 12 came, 2 missing"],
  },
  {
    reason: "Alerts that a restart hid from its counter are no credit for later losses.",
    looks: [
      { says: { r: 100 }, came: { r: 100 } },
      { says: { r: 1 }, came: { r: 120 } },
      { says: { r: 11 }, came: { r: 125 } },
      { says: { r: 11 }, came: { r: 125 } },
    ],
    want: ["11 said, 6 came, 5 missing"],
  },
  {
    reason: "Nothing is missing while our own queue is behind, and it is told when it is not.",
    looks: [
      { says: {} },
      { says: { r: 50 }, came: { r: 1 }, behind: true },
      { says: { r: 50 }, came: { r: 20 }, behind: true },
      { says: { r: 50 }, came: { r: 49 } },
    ],
    want: ["50 said, 49 came, 1 missing"],
  },
  {
    reason: "A Falco that does not answer keeps its account.",
    looks: [
      { says: { r: 1 }, came: { r: 1 } },
      { came: { r: 3 } },
      { came: { r: 3 } },
      { says: { r: 5 }, came: { r: 3 } },
      { says: { r: 5 }, came: { r: 3 } },
    ],
    want: ["4 said, 2 came, 2 missing"],
  },
  {
    reason: "What is sent while all of the responder is down is found after it.",
    looks: [
      { says: { r: 10 }, came: { r: 10 } },
      { says: { r: 10 }, came: { r: 10 } },
      { says: { r: 30 }, came: { r: 10 }, restarted: true },
      { says: { r: 30 }, came: { r: 10 } },
    ],
    want: ["20 said, 0 came, 20 missing"],
  },
  {
    reason: "Counts of ours that were lost with their Redis are no loss of alerts.",
    looks: [
      { says: { r: 10 }, came: { r: 10 } },
      { says: { r: 15 }, came: { r: 15 } },
      { says: { r: 15 }, came: {} },
      { says: { r: 16 }, came: { r: 1 } },
      { says: { r: 16 }, came: { r: 1 } },
    ],
    want: [],
  },
  {
    reason: "What the senders filter is not missed.",
    looks: [{ says: {} }, { says: { r: 9 } }, { says: { r: 9 } }],
    want: [],
    priority: "Debug",
  },
  {
    reason: "A rule that is to be ignored is.",
    looks: [{ says: {} }, { says: { noisy: 9 } }, { says: { noisy: 9 } }],
    want: [],
  },
  {
    reason: "What Falco drops by itself is told each time, also after its restart.",
    looks: [
      { says: {}, drops: 7 },
      { says: {}, drops: 10 },
      { says: {}, drops: 10 },
      { says: {}, drops: 2 },
    ],
    want: ["3 dropped", "2 dropped"],
  },
];

describe("a comparison with Falco's counters", () => {
  it.each(cases)("$reason", ({ looks, want, priority = "Warning" }) => {
    let state: LossState = new Map();
    let before: ReadonlyMap<string, number> | undefined;
    const told: string[] = [];
    for (const [i, look] of looks.entries()) {
      const atMs = i * minute;
      if (look.restarted) {
        state = readLossState(writeLossState(state, atMs), atMs);
        before = undefined;
      }
      const received = new Map(
        Object.entries(look.came ?? {}).map(([rule, n]) => [lossKey({ host: "node-1", rule }), n]),
      );
      const matches = new Map(
        Object.entries(look.says ?? {}).map(([rule, count]) => [rule, { count, priority }]),
      );
      const falcos =
        look.says === undefined
          ? []
          : [{ hostname: "node-1", matches, queueDrops: look.drops ?? 0 }];
      const isBehind = look.behind === true;
      const losses = compareLosses(
        state,
        { atMs, received, before, falcos, isBehind },
        { latenessMs: minute, minimumPriority: "Notice", ignoreRules: ["noisy"] },
      );
      before = received;
      for (const loss of losses) {
        told.push(
          loss.kind === "missing"
            ? `${loss.said} said, ${loss.received} came, ${loss.missing} missing`
            : `${loss.count} ${loss.kind}`,
        );
      }
    }
    expect(told).toEqual(want);
  });

  it("finds exactly what was lost, in any mixture of restarts, lateness and bursts", () => {
    let seed = 11;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed % below;
    };
    for (let run = 0; run < 200; run++) {
      const restarts = run % 2 === 1;
      const state: LossState = new Map();
      let before: ReadonlyMap<string, number> | undefined;
      let [raw, came, late, lost, told] = [random(50), random(50), 0, 0, 0];
      for (let i = 0; i < 40; i++) {
        // What was late comes before Falco is asked again; a third of the looks begin with a restart of Falco just after a look.
        came += late;
        late = 0;
        if (restarts && i > 0 && random(3) === 0) raw = 0;
        const sent = i > 0 && i < 37 ? random(20) : 0;
        const gone = random(4) === 0 ? random(sent + 1) : 0;
        raw += sent;
        lost += gone;
        late = random(sent - gone + 1);
        came += sent - gone - late;
        const key = lossKey({ host: "n", rule: "r" });
        const received = new Map([[key, came]]);
        const matches = new Map([["r", { count: raw, priority: "Error" as const }]]);
        const losses = compareLosses(
          state,
          {
            atMs: i * minute,
            received,
            before,
            falcos: [{ hostname: "n", matches, queueDrops: 0 }],
            isBehind: false,
          },
          { latenessMs: minute, minimumPriority: "Debug", ignoreRules: [] },
        );
        before = received;
        for (const loss of losses) {
          if (loss.kind === "missing") told += loss.missing;
          if (loss.kind === "recovered") told -= loss.count;
        }
      }
      // A counter that began anew and has passed its old value hides a part: then never more is told than was lost.
      if (restarts) expect(told).toBeLessThanOrEqual(lost);
      else expect(told).toBe(lost);
    }
  });

  it("says it in words that an operator can act on", () => {
    const missing = { kind: "missing", host: "node-1", rule: "Shell", sinceMs: 0 } as const;
    expect(lossText({ ...missing, said: 120, received: 118, missing: 2 })).toBe(
      'Falco on node-1 says 120 of "Shell" since 1970-01-01T00:00:00.000Z, we have 118: 2 more are missing',
    );
  });

  it("forgets accounts that are a day old, and what is none", () => {
    const state: LossState = new Map([["n", { sinceMs: 0, drops: 0, rules: new Map() }]]);
    expect(readLossState(writeLossState(state, 0), 1_000).size).toBe(1);
    expect(readLossState(writeLossState(state, 0), 48 * 60 * minute).size).toBe(0);
    expect(readLossState("{", 0).size).toBe(0);
    expect(readLossState(undefined, 0).size).toBe(0);
  });
});
