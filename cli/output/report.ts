// SPDX-License-Identifier: Apache-2.0
import { makeReport } from "#policy/report/policy-report";
import type { ReportGroup } from "#policy/report/policy-report";
import { formatYaml } from "#policy/yaml";
import type { Verdict } from "../verdict.ts";

/** Reports that can be applied to a cluster: one per namespace, and one for what has none. */
export function formatReport(
  verdicts: readonly Verdict[],
  group: ReportGroup,
  nowMs: number,
): string {
  const namespaces = Map.groupBy(verdicts, ({ resource }) => resource.namespace);
  return [...namespaces]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([namespace, own]) =>
      makeReport({
        group,
        name: "parapet-check",
        namespace,
        entries: own.map(({ result, object }) => ({ result, resource: object })),
        nowMs,
      }),
    )
    .map(formatYaml)
    .join("---\n");
}
