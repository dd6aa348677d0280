// SPDX-License-Identifier: Apache-2.0

/** Why a part of a rule has no exact equivalent; thrown inside the rewriting and caught where a rule is rewritten. */
export class Refusal extends Error {
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** What a rewrite takes for granted: true of every object that an API server accepts. */
export type Assumptions = Set<string>;
