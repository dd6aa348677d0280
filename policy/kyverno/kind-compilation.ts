// SPDX-License-Identifier: Apache-2.0
import type { CompiledPolicy, Unsupported } from "#policy/policy-set";
import type { Problem } from "#policy/problem";

/**
 * What compiling one policy document gives. A document may give a policy and be named in `unsupported`: then each of
 * its results says so, and none of them is a pass.
 */
export type KindCompilation = {
  readonly policies: readonly CompiledPolicy[];
  readonly problems: readonly Problem[];
  readonly unsupported: readonly Unsupported[];
};

export const nothingCompiled: KindCompilation = { policies: [], problems: [], unsupported: [] };
