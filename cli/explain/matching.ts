// SPDX-License-Identifier: Apache-2.0
import type { Alert } from "#responder/intake/alert";
import {
  preselects,
  type ResponsePolicy,
  type Surroundings,
  whenHolds,
} from "#responder/response-policy";

/** One condition of a policy and how the alert answers it. */
export type Part = {
  readonly part: string;
  /** Undefined: the policy says nothing about it. */
  readonly matches: boolean | undefined;
  readonly wanted: string;
  readonly why: string;
};

/** Every condition of a policy by itself, by the responder's own rules, so that none hides behind the first that fails. */
export function partsOf(
  policy: ResponsePolicy,
  alert: Alert,
  surroundings: Surroundings,
): readonly Part[] {
  if (!("falco" in policy.spec.match)) {
    return [{ part: "match", matches: false, wanted: "drift", why: preselects(policy, alert).why }];
  }
  const { rules, priority, sources, tags } = policy.spec.match.falco;
  const part = (name: string, wanted: string, falco: Falco | undefined): Part => {
    if (falco === undefined) return { part: name, matches: undefined, wanted: "", why: "any" };
    const only = { ...policy, spec: { ...policy.spec, match: { falco } } };
    const { matches, why } = preselects(only, alert);
    return { part: name, matches, wanted, why: matches ? "matches" : why };
  };
  const when = whenHolds(policy, alert, surroundings);
  return [
    part("rules", rules?.join(", ") ?? "", rules && { rules }),
    part(
      "priority",
      priority === undefined ? "" : `${priority.operator}${priority.priority}`,
      priority && { priority },
    ),
    part("sources", sources?.join(", ") ?? "", sources && { sources }),
    part("tags", tags?.join(", ") ?? "", tags && { tags }),
    {
      part: "when",
      matches: policy.spec.when === undefined ? undefined : when.matches,
      wanted: policy.spec.when ?? "",
      why: policy.spec.when === undefined ? "always" : when.why,
    },
  ];
}

type Falco = Extract<ResponsePolicy["spec"]["match"], { falco: unknown }>["falco"];
