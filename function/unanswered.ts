// SPDX-License-Identifier: Apache-2.0
import { textAt, type Json } from "#policy/json";
import { guessPlural, parseApiVersion } from "#policy/kubernetes/kinds";
import type { Selector } from "./wire/response.ts";

/** Why Crossplane did not bring something that was asked for. */
type Cause = "unserved" | "late" | "other";

/**
 * What to tell when Crossplane could not bring what was asked for the last time; '' when nothing says so. The run ends then, no
 * later call follows, and all that is known of it is the error in the composite's Synced condition (core
 * internal/xfn/required_resources.go: `fetching resources for NAME: ...`). A kind that Crossplane's account may not list
 * looks like a slow one there: its cache waits until the reconcile times out, after two minutes.
 */
export function unansweredSentence(
  synced: Json | undefined,
  asked: ReadonlyMap<string, Selector>,
): string {
  if (textAt(synced, ["status"]) !== "False") return "";
  const message = textAt(synced, ["message"]);
  const found = [...asked].find(([name]) => message.includes(`fetching resources for ${name}: `));
  if (found === undefined) return "";
  const [, { apiVersion, kind, namespace }] = found;
  const where = namespace === undefined ? "" : ` in namespace ${namespace}`;
  const what = `Crossplane could not read what policies need: ${kind} of ${apiVersion}${where}`;
  return `${what}. ${advice[causeOf(message)](apiVersion, kind)}`;
}

function causeOf(message: string): Cause {
  if (message.includes("no matches for kind")) return "unserved";
  return /forbidden|Informer to sync|deadline exceeded/.test(message) ? "late" : "other";
}

const advice: Readonly<Record<Cause, (apiVersion: string, kind: string) => string>> = {
  unserved: (_, kind) =>
    `The API server does not serve that kind: install its definition, or take ${kind} out of policies.fromCluster.kinds.`,
  late: (apiVersion, kind) => {
    const { group } = parseApiVersion(apiVersion);
    const resource = `${guessPlural(kind)}${group === "" ? "" : `.${group}`}`;
    return `Most often its account may not: give it get, list and watch on ${resource} by a ClusterRole with the label rbac.crossplane.io/aggregate-to-crossplane: "true".`;
  },
  other: () => "The composite's events say why.",
};
