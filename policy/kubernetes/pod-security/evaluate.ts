// SPDX-License-Identifier: Apache-2.0
import { podChecks } from "#policy/kubernetes/pod-security/checks";
import type { PodView } from "#policy/kubernetes/pod-security/pod";
import type { CheckPod, Violation } from "#policy/kubernetes/pod-security/violation";

/** A Kubernetes version, 1.x; 'latest' takes the newest form of each check. */
export type StandardVersion = number | "latest";

export type StandardCheck = { readonly id: string; readonly check: CheckPod };

/** A check that a pod does not pass. */
export type FailedCheck = Violation & { readonly id: string };

/** Reads `latest`, `v1.25`; '' is latest, undefined what is neither. */
export function parseStandardVersion(text: string): StandardVersion | undefined {
  if (text === "" || text === "latest") return "latest";
  const match = /^v1\.(0|[1-9][0-9]{0,2})$/.exec(text);
  return match === null ? undefined : Number(match[1]);
}

/**
 * The checks of a level and version, as Kyverno picks them (pkg/pss/evaluate.go): baseline leaves the restricted ones
 * out, every other level has all; a stated version runs all forms of a check up to it, not only the last.
 */
export function standardChecks(level: string, version: StandardVersion): readonly StandardCheck[] {
  const key = `${level === "baseline" ? "baseline" : "all"} ${version}`;
  const known = chosen.get(key);
  if (known !== undefined) return known;
  const checks = chooseChecks(level, version);
  chosen.set(key, checks);
  return checks;
}

/** Policies that ask for the same get the same list. Versions are bounded, so this is. */
const chosen = new Map<string, readonly StandardCheck[]>();

function chooseChecks(level: string, version: StandardVersion): readonly StandardCheck[] {
  return podChecks
    .filter((check) => level !== "baseline" || check.level === "baseline")
    .flatMap(({ id, versions }) => {
      const forms =
        version === "latest"
          ? versions.slice(-1)
          : versions.filter(({ minor }) => minor <= version);
      return forms.map(({ check }) => ({ id, check }));
    });
}

/** The checks that a pod fails, in their order. */
export function failedChecks(
  checks: readonly StandardCheck[],
  pod: PodView,
): readonly FailedCheck[] {
  return checks.flatMap(({ id, check }) => {
    const found = check(pod);
    return found === undefined ? [] : [{ ...found, id }];
  });
}
