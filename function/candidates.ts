// SPDX-License-Identifier: Apache-2.0
import { guessPlural, parseApiVersion } from "#policy/kubernetes/kinds";
import type { Compilation, CompiledPolicy } from "#policy/policy-set";
import type { Review } from "#policy/review";

/** The policies that may speak about a kind, looked up once for each. */
export function rememberCandidates(
  compilation: Compilation,
): (apiVersion: string, kind: string) => readonly CompiledPolicy[] {
  const remembered = new Map<string, readonly CompiledPolicy[]>();
  return (apiVersion, kind) => {
    const key = `${apiVersion}/${kind}`;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    const found = compilation.set.candidates(kindReview(apiVersion, kind));
    if (remembered.size < 10_000) remembered.set(key, found);
    return found;
  };
}

/** A review that has only what the index of policies looks at. */
function kindReview(apiVersion: string, kind: string): Review {
  const groupVersion = parseApiVersion(apiVersion);
  return {
    operation: "CREATE",
    kind: { ...groupVersion, kind },
    resource: { ...groupVersion, resource: guessPlural(kind) },
    subResource: "",
    name: "",
    namespace: "",
    object: null,
    oldObject: null,
    userInfo: null,
    dryRun: false,
    options: null,
  };
}
