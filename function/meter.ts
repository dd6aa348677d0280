// SPDX-License-Identifier: Apache-2.0

/** How a call ended: `malformed` were no RunFunctionRequest's bytes, `unauthorised` callers had no allowed certificate. */
export type CallOutcome = "ok" | "fatal" | "malformed" | "unauthorised" | "cancelled" | "failed";

/** What became of one composed resource. */
export type ResourceOutcome = "checked" | "sent" | "waiting" | "held" | "known" | "stopped";

/** What one call found out; whole numbers that the pure part hands to the meter at its end. */
export type Tally = {
  readonly outcomes: readonly ResourceOutcome[];
  /** `Audit` for what is only told. */
  readonly violations: readonly { readonly action: "Audit" | "Enforce"; readonly answer: string }[];
  readonly injected: number;
  readonly companions: number;
};

/** The figures of one process. Labels have values from fixed lists only, never anything out of a request. */
export type Meter = {
  readonly call: (outcome: CallOutcome) => void;
  /** Runs one call's work and notes how long it took. */
  readonly timed: <T>(work: () => T) => T;
  readonly judged: (tally: Tally) => void;
  readonly policiesFound: () => void;
  /** Runs a compilation, which only happens when the cache has no policies for the input. */
  readonly compiling: <T>(work: () => T) => T;
  /** A figure that is read when the metrics are asked for. */
  readonly gauge: (name: string, help: string, read: () => number) => void;
  /** Prometheus' text format, in a fixed order. */
  readonly text: () => string;
};

/** Upper bounds of the latency histogram, in seconds. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** `clock` gives milliseconds from any fixed moment. */
export function makeMeter(clock: () => number): Meter {
  const parts: (() => readonly string[])[] = [];
  const part = (name: string, type: string, help: string, lines: () => readonly string[]) => {
    const full = `parapet_function_${name}`;
    parts.push(() => [
      `# HELP ${full} ${help}`,
      `# TYPE ${full} ${type}`,
      ...lines().map((line) => `${full}${line}`),
    ]);
  };
  const counter = (name: string, help: string, known: readonly string[]) => {
    const values = new Map(known.map((labels) => [labels, 0]));
    part(name, "counter", help, () =>
      [...values].map(([labels, value]) => `${labels === "" ? "" : `{${labels}}`} ${value}`),
    );
    return (labels: string, by = 1) => values.set(labels, (values.get(labels) ?? 0) + by);
  };
  const calls = counter("calls_total", "Calls of RunFunction by outcome.", callSeries);
  const latency = makeHistogram();
  part("call_duration_seconds", "histogram", "Time to answer a call.", latency.lines);
  const verdicts = counter("verdicts_total", "Composed resources by verdict.", verdictSeries);
  const violations = counter(
    "violations_total",
    "Violations by the policy's enforcement action and what the guard answers.",
    violationSeries,
  );
  const injected = counter("resources_injected_total", "Composed resources changed.", [""]);
  const companions = counter("companions_total", "Companions in answers.", [""]);
  const lookups = counter("policy_cache_total", "Lookups of compiled policies.", cacheSeries);
  const compiled = counter("policy_compile_seconds_total", "Time spent compiling.", [""]);
  return {
    call: (outcome) => calls(`outcome="${outcome}"`),
    timed: (work) => {
      const since = clock();
      try {
        return work();
      } finally {
        latency.observe((clock() - since) / 1000);
      }
    },
    judged: (tally) => {
      for (const outcome of tally.outcomes) verdicts(`result="${outcome}"`);
      for (const { action, answer } of tally.violations)
        violations(violationLabels(action, answer));
      injected("", tally.injected);
      companions("", tally.companions);
    },
    policiesFound: () => lookups('result="hit"'),
    compiling: (work) => {
      lookups('result="miss"');
      const since = clock();
      try {
        return work();
      } finally {
        compiled("", (clock() - since) / 1000);
      }
    },
    gauge: (name, help, read) => part(name, "gauge", help, () => [` ${read()}`]),
    text: () => `${parts.flatMap((lines) => lines()).join("\n")}\n`,
  };
}

const violationLabels = (action: string, answer: string): string =>
  `action="${action}",answer="${answer}"`;

const callSeries = ["ok", "fatal", "malformed", "unauthorised", "cancelled", "failed"].map(
  (outcome) => `outcome="${outcome}"`,
);
const verdictSeries = ["checked", "sent", "waiting", "held", "known", "stopped"].map(
  (result) => `result="${result}"`,
);
const violationSeries = [
  violationLabels("Audit", "Tell"),
  ...["Hold", "Fatal", "Report", "RequireApproval"].map((each) => violationLabels("Enforce", each)),
];
const cacheSeries = ['result="hit"', 'result="miss"'];

function makeHistogram() {
  const buckets = bounds.map(() => 0);
  let count = 0;
  let sum = 0;
  return {
    observe: (seconds: number) => {
      count += 1;
      sum += seconds;
      const index = bounds.findIndex((bound) => seconds <= bound);
      if (index >= 0) buckets[index] = (buckets[index] ?? 0) + 1;
    },
    lines: (): readonly string[] => {
      let below = 0;
      const lines = bounds.map((bound, index) => {
        below += buckets[index] ?? 0;
        return `_bucket{le="${bound}"} ${below}`;
      });
      return [...lines, `_bucket{le="+Inf"} ${count}`, `_sum ${sum}`, `_count ${count}`];
    },
  };
}
