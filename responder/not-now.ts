// SPDX-License-Identifier: Apache-2.0
import type { Failure } from "#responder/cluster";

/** A failed call that is worth another try: the queue hands the alert over again. */
export class NotNow extends Error {
  readonly code: Failure["code"];
  constructor(reply: Failure) {
    super(`${reply.code}: ${reply.message}`);
    this.code = reply.code;
  }
}
