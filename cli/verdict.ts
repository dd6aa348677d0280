// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { RuleResult } from "#policy/report/result";
import type { Response } from "./evaluate.ts";
import { keyOf } from "./input/resources.ts";
import type { Resource, ResourceKey } from "./input/resources.ts";

/** What one rule said about one resource, with where the resource was read. */
export type Verdict = {
  readonly result: RuleResult;
  readonly resource: ResourceKey;
  readonly object: JsonObject;
  readonly file: string;
};

/**
 * Every verdict of the responses; what no rule matched has none. That a policy would delete or keep a resource is no
 * verdict on it, unless it cannot say.
 */
export const verdictsOf = (
  resource: Resource,
  responses: readonly Response[],
): readonly Verdict[] =>
  responsesOf(resource, responses).filter(
    ({ result }) => result.type !== "Deletion" || result.result === "error",
  );

/** What the next runs of the policies that delete would delete. */
export const deletionsOf = (
  resource: Resource,
  responses: readonly Response[],
): readonly Verdict[] =>
  responsesOf(resource, responses).filter(
    ({ result }) => result.type === "Deletion" && result.result === "pass",
  );

const responsesOf = (resource: Resource, responses: readonly Response[]): readonly Verdict[] =>
  responses.flatMap((response) =>
    response.results.map((result) => ({
      result,
      resource: keyOf(resource.object),
      object: resource.object,
      file: resource.file,
    })),
  );

export type Counts = Record<"pass" | "fail" | "warn" | "error" | "skip" | "unsupported", number>;

/** How often each result was given; an unsupported verdict counts as error and once more by itself. */
export function countVerdicts(verdicts: readonly Verdict[]): Counts {
  const counts: Counts = { pass: 0, fail: 0, warn: 0, error: 0, skip: 0, unsupported: 0 };
  for (const { result } of verdicts) {
    counts[result.result] += 1;
    if (result.unsupported !== undefined) counts.unsupported += 1;
  }
  return counts;
}

/** What makes a run fail: an enforced violation, any violation, any warning too, or nothing. */
export const failOnChoices = ["enforced", "violation", "warning", "never"] as const;
export type FailOn = (typeof failOnChoices)[number];

/** An error stops what Enforce would stop: who could not be judged is not let through. */
export function isFailure({ result }: Verdict, failOn: FailOn): boolean {
  const violated = result.result === "fail" || result.result === "error";
  switch (failOn) {
    case "enforced":
      return violated && result.action === "Enforce";
    case "violation":
      return violated;
    case "warning":
      return violated || result.result === "warn";
    case "never":
      return false;
    default:
      return failOn satisfies never;
  }
}

/** `namespace/name` for a namespaced policy, as PolicyReports name it. */
export const policyName = ({ policy }: RuleResult): string =>
  policy.namespace === "" ? policy.name : `${policy.namespace}/${policy.name}`;
