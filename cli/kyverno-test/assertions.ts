// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { RuleResult } from "#policy/report/result";
import { formatKey, keyOf } from "../input/resources.ts";
import type { Check } from "./checks.ts";
import type { LoadedTest } from "./load.ts";
import type { RunEntry } from "./run.ts";

/**
 * The `checks` of a test: each asserts on the rule responses that its `match` selects by resource, policy and rule
 * (cmd/cli/kubectl-kyverno/commands/test/checks.go). Keys in parentheses are expressions, which nothing here evaluates.
 */
export function checkAssertions(
  assertions: readonly Json[],
  loaded: LoadedTest,
  entries: readonly RunEntry[],
): readonly Check[] {
  return assertions.flatMap((assertion, index) => {
    const name = `checks[${index}]`;
    const expression = findExpression(assertion);
    if (expression !== undefined) {
      return [unsupported(`${name}: the expression ${expression} is not evaluated`)];
    }
    return select(field(assertion, "match"), loaded, entries).flatMap((selected) =>
      judge(assertion, name, selected),
    );
  });
}

type Selected = { readonly entry: RunEntry; readonly rule: RuleResult };

function select(
  match: Json | undefined,
  loaded: LoadedTest,
  entries: readonly RunEntry[],
): readonly Selected[] {
  const wanted = (key: string): Json | undefined => field(match, key);
  return entries.flatMap((entry) =>
    entry.responses
      .filter(({ before }) => holds(wanted("resource"), withAliases(before)))
      .filter(({ policy }) => holds(wanted("policy"), withAliases(documentOf(policy.ref, loaded))))
      .flatMap(({ results }) => results)
      .filter(({ rule }) => holds(wanted("rule"), { name: rule }))
      .map((rule) => ({ entry, rule })),
  );
}

function documentOf(ref: RuleResult["policy"], loaded: LoadedTest): JsonObject {
  const found = loaded.policies.find((document) => {
    const { kind, namespace, name } = keyOf(document);
    return kind === ref.kind && namespace === ref.namespace && name === ref.name;
  });
  return found ?? {};
}

/** Name and namespace may be asked for without metadata. */
function withAliases(object: JsonObject): JsonObject {
  const name = at(object, ["metadata", "name"]);
  const namespace = at(object, ["metadata", "namespace"]);
  return {
    ...object,
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
  };
}

function judge(assertion: Json, name: string, { entry, rule }: Selected): readonly Check[] {
  const actual: JsonObject = {
    name: rule.rule,
    ruleType: rule.type,
    message: rule.message,
    status: rule.result,
    exceptions: rule.exceptions,
  };
  const assert = field(assertion, "assert");
  const error = field(assertion, "error");
  return [
    ...(assert === undefined ? [] : [toCheck(holds(assert, actual), assert, name)]),
    ...(error === undefined ? [] : [toCheck(!holds(error, actual), error, `${name} denied`)]),
  ].map((check) => ({
    ...check,
    policy: rule.policy.name,
    rule: rule.rule,
    kind: entry.key.kind,
    resource: formatKey(entry.key),
    actual: rule.result,
  }));
}

function toCheck(
  ok: boolean,
  expected: Json,
  name: string,
): Pick<Check, "expected" | "ok" | "message" | "status"> {
  return {
    expected: JSON.stringify(expected),
    ok,
    message: ok ? name : `${name}: the rule's response is another`,
    status: ok ? "passed" : "failed",
  };
}

/** Objects hold in part, lists item by item, everything else when equal. */
function holds(expected: Json | undefined, actual: Json | undefined): boolean {
  if (expected === undefined) return true;
  if (isObject(expected)) {
    return (
      isObject(actual) &&
      Object.keys(expected).every((key) => holds(expected[key] ?? null, field(actual, key)))
    );
  }
  if (isArray(expected)) {
    return (
      isArray(actual) &&
      actual.length === expected.length &&
      expected.every((item, index) => holds(item, actual[index]))
    );
  }
  return expected === actual;
}

/** A key in parentheses anywhere in an assertion. */
function findExpression(value: Json): string | undefined {
  if (isArray(value)) return value.map(findExpression).find((found) => found !== undefined);
  if (!isObject(value)) return undefined;
  const keys = Object.keys(value);
  return (
    keys.find((key) => key.startsWith("(") && key.endsWith(")")) ??
    keys.map((key) => findExpression(value[key] ?? null)).find((found) => found !== undefined)
  );
}

const unsupported = (message: string): Check => ({
  policy: "",
  rule: "",
  kind: "",
  resource: "",
  expected: "",
  actual: "",
  ok: false,
  message,
  status: "unsupported",
});
