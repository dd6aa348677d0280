// SPDX-License-Identifier: Apache-2.0
import { makePolicyCounter, makeRegistry } from "./series.ts";

/**
 * How a call ended: `malformed` were no RunFunctionRequest's bytes, `unauthorised` callers had no allowed certificate,
 * `cancelled` ones went away or had no time left, `stopped` ones took longer than a call may, `refused` ones came when
 * too many were waiting, and `failed` ones met a mistake of ours or a worker that ended.
 */
export type CallOutcome = (typeof callOutcomes)[number];
const callOutcomes = [
  "ok",
  "fatal",
  "malformed",
  "unauthorised",
  "cancelled",
  "stopped",
  "refused",
  "failed",
] as const;

/** What became of one composed resource. */
export type ResourceOutcome = "checked" | "sent" | "waiting" | "held" | "known" | "stopped";

/** What one call found out; whole numbers that the pure part hands to the meter at its end. */
export type Tally = {
  readonly outcomes: readonly ResourceOutcome[];
  /** `Audit` for what is only told. */
  readonly violations: readonly {
    readonly action: "Audit" | "Enforce";
    readonly answer: string;
    /** Kind, namespace and name of the policy. */
    readonly policy: string;
  }[];
  readonly injected: number;
  readonly companions: number;
  /** Resources whose verdict was remembered from a call before; left out where nothing is. */
  readonly remembered?: number;
};

/**
 * The figures of one process. Labels have values from fixed lists only, but for the names of policies that were violated,
 * of which a bounded number is kept apart; never anything out of a composed resource.
 */
export type Meter = {
  readonly call: (outcome: CallOutcome) => void;
  /** From the last byte of a request to the first of its answer, in seconds. */
  readonly took: (seconds: number) => void;
  /** Until a worker had time for a call, in seconds. */
  readonly waited: (seconds: number) => void;
  /** Runs one call's work and notes how long it took. */
  readonly timed: <T>(work: () => T) => T;
  /** One call's work that was timed elsewhere, in seconds. */
  readonly evaluated: (seconds: number) => void;
  readonly judged: (tally: Tally) => void;
  readonly policiesFound: () => void;
  /** Runs a compilation, which only happens when the cache has no policies for the input. */
  readonly compiling: <T>(work: () => T) => T;
  /** A compilation that was timed elsewhere, in seconds. */
  readonly compiled: (seconds: number) => void;
  /** A worker ended that was not told to. */
  readonly workerLost: (why: WorkerLoss) => void;
  /** A figure that is read when the metrics are asked for. */
  readonly gauge: (name: string, help: string, read: () => number) => void;
  /** Prometheus' text format, in a fixed order. */
  readonly text: () => string;
};

export type WorkerLoss = (typeof workerLosses)[number];
/** `late`: a call took too long and its worker was ended; `memory`: it needed more than a worker may have. */
const workerLosses = ["late", "memory", "crash"] as const;

/** `clock` gives milliseconds from any fixed moment. */
export function makeMeter(clock: () => number): Meter {
  const { counter, histogram, part, gauge, text } = makeRegistry("parapet_function");
  const calls = counter("calls_total", "Calls of RunFunction by outcome.", callSeries);
  const took = histogram("call_duration_seconds", "Time to answer a call, waiting included.");
  const waited = histogram("call_wait_seconds", "Time until a worker took a call.");
  const evaluated = histogram("evaluation_duration_seconds", "Time of a call's evaluation alone.");
  const verdicts = counter("verdicts_total", "Composed resources by verdict.", verdictSeries);
  const violations = counter(
    "violations_total",
    "Violations by the policy's enforcement action and what the guard answers.",
    violationSeries,
  );
  const byPolicy = makePolicyCounter();
  part("policy_violations_total", "counter", "Violations by policy and action.", byPolicy.lines);
  const injected = counter("resources_injected_total", "Composed resources changed.", [""]);
  const companions = counter("companions_total", "Companions in answers.", [""]);
  const lookups = counter("policy_cache_total", "Lookups of compiled policies.", cacheSeries);
  const compileSeconds = counter("policy_compile_seconds_total", "Time spent compiling.", [""]);
  const remembered = counter("remembered_verdicts_total", "Verdicts known from before.", [""]);
  const lost = counter("workers_lost_total", "Workers that ended and were replaced.", lossSeries);
  const compiled = (seconds: number) => {
    lookups('result="miss"');
    compileSeconds("", seconds);
  };
  return {
    call: (outcome) => calls(`outcome="${outcome}"`),
    took,
    waited,
    evaluated,
    timed: (work) => timing(clock, evaluated, work),
    judged: (tally) => {
      for (const outcome of tally.outcomes) verdicts(`result="${outcome}"`);
      for (const { action, answer, policy } of tally.violations) {
        violations(violationLabels(action, answer));
        byPolicy.add(policy, action);
      }
      injected("", tally.injected);
      companions("", tally.companions);
      remembered("", tally.remembered ?? 0);
    },
    policiesFound: () => lookups('result="hit"'),
    compiling: (work) => timing(clock, compiled, work),
    compiled,
    workerLost: (why) => lost(`reason="${why}"`),
    gauge,
    text,
  };
}

/** Hands the seconds that `work` took to `note`, also when it throws. */
export function timing<T>(clock: () => number, note: (seconds: number) => void, work: () => T): T {
  const since = clock();
  try {
    return work();
  } finally {
    note((clock() - since) / 1000);
  }
}

const violationLabels = (action: string, answer: string): string =>
  `action="${action}",answer="${answer}"`;

const callSeries = callOutcomes.map((outcome) => `outcome="${outcome}"`);
const verdictSeries = ["checked", "sent", "waiting", "held", "known", "stopped"].map(
  (result) => `result="${result}"`,
);
const violationSeries = [
  violationLabels("Audit", "Tell"),
  ...["Hold", "Fatal", "Report", "RequireApproval"].map((each) => violationLabels("Enforce", each)),
];
const cacheSeries = ['result="hit"', 'result="miss"'];
const lossSeries = workerLosses.map((reason) => `reason="${reason}"`);
