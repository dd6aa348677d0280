// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

const userFields = ["subjects", "roles", "clusterRoles"] as const;

/**
 * Rules of classic policies that except or choose by user, for runs in which no user is known: an exclusion by user does
 * not apply then, and a match by user counts for everybody (pkg/engine/utils/match.go).
 */
export function findUserFields(policies: readonly JsonObject[]): readonly string[] {
  return policies.flatMap((policy) => {
    const rules = at(policy, ["spec", "rules"]);
    if (!textAt(policy, ["apiVersion"]).startsWith("kyverno.io/") || !isArray(rules)) return [];
    const name = `${textAt(policy, ["kind"])}/${textAt(policy, ["metadata", "name"])}`;
    return rules.flatMap((rule) => notesOf(rule, `${name} rule ${textAt(rule, ["name"])}`));
  });
}

function notesOf(rule: Json, name: string): readonly string[] {
  const excluded = fieldsIn(field(rule, "exclude"));
  const matched = fieldsIn(field(rule, "match"));
  return [
    ...(excluded.length === 0
      ? []
      : [
          `${name}: exclude by ${excluded.join(", ")} is not applied: no user is known (--userinfo)`,
        ]),
    ...(matched.length === 0
      ? []
      : [
          `${name}: match by ${matched.join(", ")} counts for everybody: no user is known (--userinfo)`,
        ]),
  ];
}

function fieldsIn(block: Json | undefined): readonly string[] {
  const blocks = [block, ...["any", "all"].flatMap((key) => listOf(field(block, key)))];
  return userFields.filter((key) => blocks.some((one) => listOf(field(one, key)).length > 0));
}

const listOf = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
