// SPDX-License-Identifier: Apache-2.0
import { makeHandler } from "../handler.ts";
import type { Logger } from "../log.ts";
import type { Meter } from "../meter.ts";
import type { WorkerSettings } from "./messages.ts";
import { addNotes, makeRecorder } from "./notes.ts";

export type LocalSpec = {
  readonly settings: WorkerSettings;
  readonly meter: Meter;
  readonly log: Logger;
  readonly clock: () => number;
};

/** Evaluation on the thread that reads and writes, with policies and memory of its own like any worker's. */
export type Local = {
  /** Takes the bytes of a request and gives those of the answer; throws a WireError on malformed ones. */
  readonly evaluate: (request: Buffer) => Buffer;
  readonly gauges: () => Readonly<Record<string, number>>;
};

/** In a file of its own, since it loads the whole engine. */
export function makeLocal({ settings, meter, log, clock }: LocalSpec): Local {
  const recorder = makeRecorder(clock);
  const handler = makeHandler({
    now: () => Date.now(),
    log,
    approvalNamespace: settings.approvalNamespace,
    meter: recorder.meter,
  });
  let gauges: Readonly<Record<string, number>> = {};
  return {
    evaluate: (request) => {
      try {
        return handler(request);
      } finally {
        const notes = recorder.take();
        gauges = notes.gauges;
        addNotes(meter, notes);
      }
    },
    gauges: () => gauges,
  };
}
