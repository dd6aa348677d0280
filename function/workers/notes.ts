// SPDX-License-Identifier: Apache-2.0
import type { CallOutcome, Meter, Tally } from "../meter.ts";
import { timing } from "../meter.ts";

/** What one call adds to the figures: a worker sends it along with the answer, and nothing is lost when it ends. */
export type Notes = {
  readonly outcomes: readonly CallOutcome[];
  readonly evaluatedSeconds: readonly number[];
  readonly tallies: readonly Tally[];
  readonly policiesFound: number;
  readonly compiledSeconds: readonly number[];
  /** Gauges by name, as they are now. */
  readonly gauges: Readonly<Record<string, number>>;
};

export type Recorder = {
  /** Notes what it is told instead of counting; has no text. */
  readonly meter: Meter;
  /** What was noted since the last time. */
  readonly take: () => Notes;
};

const none: Omit<Notes, "gauges"> = {
  outcomes: [],
  evaluatedSeconds: [],
  tallies: [],
  policiesFound: 0,
  compiledSeconds: [],
};

/** `clock` gives milliseconds from any fixed moment. */
export function makeRecorder(clock: () => number): Recorder {
  let notes = none;
  const gauges = new Map<string, () => number>();
  const evaluated = (seconds: number) => {
    notes = { ...notes, evaluatedSeconds: [...notes.evaluatedSeconds, seconds] };
  };
  const compiled = (seconds: number) => {
    notes = { ...notes, compiledSeconds: [...notes.compiledSeconds, seconds] };
  };
  const meter: Meter = {
    call: (outcome) => {
      notes = { ...notes, outcomes: [...notes.outcomes, outcome] };
    },
    evaluated,
    compiled,
    timed: (work) => timing(clock, evaluated, work),
    compiling: (work) => timing(clock, compiled, work),
    judged: (tally) => {
      notes = { ...notes, tallies: [...notes.tallies, tally] };
    },
    policiesFound: () => {
      notes = { ...notes, policiesFound: notes.policiesFound + 1 };
    },
    gauge: (name, _help, read) => gauges.set(name, read),
    // The server's side of a call is counted where the server is.
    took: () => undefined,
    waited: () => undefined,
    workerLost: () => undefined,
    text: () => "",
  };
  return {
    meter,
    take: () => {
      const taken = notes;
      notes = none;
      const values = [...gauges].map(([name, read]) => [name, read()] as const);
      return { ...taken, gauges: Object.fromEntries(values) };
    },
  };
}

/** Adds what a worker noted to the figures of the process. */
export function addNotes(meter: Meter, notes: Notes): void {
  for (const outcome of notes.outcomes) meter.call(outcome);
  for (const seconds of notes.evaluatedSeconds) meter.evaluated(seconds);
  for (const tally of notes.tallies) meter.judged(tally);
  for (let i = 0; i < notes.policiesFound; i++) meter.policiesFound();
  for (const seconds of notes.compiledSeconds) meter.compiled(seconds);
}
