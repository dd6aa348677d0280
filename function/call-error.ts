// SPDX-License-Identifier: Apache-2.0

/** Why a call got no verdict although its bytes may be fine; the server turns it into a gRPC status. */
export type CallProblem =
  /** The caller has gone or has no time left. */
  | "cancelled"
  /** It took longer than a call may. */
  | "stopped"
  /** Too many were waiting. */
  | "refused"
  /** The worker that had it ended; another try may succeed. */
  | "lost"
  /** A mistake of ours. */
  | "failed";

/** A call that ends without a verdict. The message is for the caller and holds nothing out of the request. */
export class CallError extends Error {
  override readonly name = "CallError";
  readonly problem: CallProblem;
  constructor(problem: CallProblem, message: string) {
    super(message);
    this.problem = problem;
  }
}

/** The caller's side of a call, as far as the work for it must know. */
export type Caller = {
  /** True from the moment on that nobody waits for the answer: cancelled, disconnected or out of time. */
  readonly hasGone: () => boolean;
  /** Calls back once, at that moment. */
  readonly onGone: (tell: () => void) => void;
};
