// SPDX-License-Identifier: Apache-2.0
import { traceOf, type Logger } from "./log.ts";
import { makeMemo } from "./memo.ts";
import { makeMeter, type Meter } from "./meter.ts";
import { makePolicyCache } from "./policies.ts";
import { Refusal } from "./refusal.ts";
import { refuse, runFunction, type Engine } from "./run.ts";
import { WireError } from "./wire/reader.ts";
import { decodeRequest, type Request } from "./wire/request.ts";
import { encodeResponse, type Response } from "./wire/response.ts";

/** Takes the bytes of a RunFunctionRequest and gives those of the answer. */
export type Evaluate = (request: Buffer) => Buffer;

export type HandlerSpec = {
  readonly now: () => number;
  readonly log: Logger;
  readonly approvalNamespace: string;
  /** Left out where nobody reads the figures. */
  readonly meter?: Meter;
};

/**
 * Crossplane's client takes answers of 4 MiB at most (grpc-go's default, core internal/xfn/function_runner.go); above it
 * the pipeline fails with an error that names neither the cause nor the step.
 */
export const answerBytesMax = 4 * 1024 * 1024;

/** Bytes in, bytes out. Throws a WireError on bytes that are no request; every other failure becomes a Fatal result. */
export function makeHandler(spec: HandlerSpec): Evaluate {
  const meter = spec.meter ?? makeMeter(() => 0);
  const cache = makePolicyCache(meter);
  const memo = makeMemo();
  meter.gauge("policy_cache_inputs", "Parsed inputs that are kept.", cache.size);
  meter.gauge("remembered_resources", "Resources whose verdict is remembered.", memo.size);
  const engineNow = (): Engine => {
    const { approvalNamespace } = spec;
    return { cache, memo, nowMs: spec.now(), approvalNamespace, meter };
  };
  const answerBytes = (bytes: Buffer): Buffer => {
    const request = decodeRequest(bytes);
    const response = answerTo(request, engineNow, spec.log);
    const answer = encodeResponse(response);
    const isFatal = response.results.some(({ severity }) => severity === "fatal");
    const isTooLarge = answer.length > answerBytesMax;
    meter.call(isFatal || isTooLarge ? "fatal" : "ok");
    if (!isTooLarge) return answer;
    const sentence = `the answer of ${answer.length} bytes is larger than the ${answerBytesMax} that Crossplane accepts: split the composition into several composites, or make what it composes smaller`;
    const { desired, ...rest } = refuse(request, "AnswerTooLarge", [sentence]);
    const empty = { whole: undefined, composite: undefined, resources: new Map() };
    // A Fatal answer's desired state is never applied, so it can be left out.
    return encodeResponse({
      ...rest,
      context: undefined,
      desired: { ...desired, from: empty },
    });
  };
  return (bytes) => meter.timed(() => answerBytes(bytes));
}

function answerTo(request: Request, engine: () => Engine, log: Logger): Response {
  try {
    return runFunction(request, engine());
  } catch (error) {
    if (error instanceof Refusal) return refuse(request, "CannotJudge", [error.message]);
    if (error instanceof WireError) throw error;
    log("error", "the request could not be judged", traceOf(error));
    const sentence = "an internal error ended the judgement; the function's log says where";
    return refuse(request, "InternalError", [sentence]);
  }
}
