// SPDX-License-Identifier: Apache-2.0

/** A request that cannot be answered, with a sentence that may be shown: it ends the step with a Fatal result. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}
