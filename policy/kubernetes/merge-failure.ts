// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";

/** Why two values do not merge. A value of its own, so that JSON is never mistaken for it. */
export class MergeFailure {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

/** The result of merging one field: undefined when it is gone. */
export type Merged = Json | undefined | MergeFailure;
