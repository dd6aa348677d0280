// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { parseCalicoSelector } from "#responder/reachability/calico-selector";
import { workedMs } from "#test/support/cpu-time";

// The table of docs.tigera.io/calico/latest/reference/resources/networkpolicy#selectors.
const labels = new Map([
  ["role", "frontend"],
  ["app.kubernetes.io/name", "web-1"],
]);

const rows: readonly [string, boolean | "error", string][] = [
  ["all()", true, "every endpoint"],
  ["", true, "an empty selector is all()"],
  ["global()", false, "no pod is without a namespace"],
  ["role == 'frontend'", true, "equality"],
  ['role == "back"', false, "double quotes as well"],
  ["role != 'back'", true, "inequality"],
  ["zone != 'back'", true, "inequality holds without the label"],
  ["has(role)", true, "presence"],
  ["!has(role)", false, "absence"],
  ["role in { 'a', 'frontend' }", true, "membership"],
  ["zone in { 'a' }", false, "membership wants the label"],
  ["zone not in { 'a' }", true, "not in holds without the label"],
  ["role not in {'frontend'}", false, "not in"],
  ["app.kubernetes.io/name contains 'eb'", true, "a key with a slash; substring"],
  ["app.kubernetes.io/name starts with 'web'", true, "prefix"],
  ["role ends with 'end'", true, "suffix"],
  ["role == 'x' || has(role) && zone != 'a'", true, "&& binds closer than ||"],
  ["(role == 'x' || has(role)) && has(zone)", false, "parentheses"],
  ["! (role == 'x')", true, "negation of a group"],
  ["!!has(role)", true, "twice negated"],
  ["role == frontend", "error", "a value needs quotes"],
  ["role === 'x'", "error", "no such operator"],
  ["role == 'x' &&", "error", "an operand is missing"],
  ["some()", "error", "no such function"],
  ["role == 'x' zone", "error", "something left over"],
  [`${"(".repeat(100)}all()${")".repeat(100)}`, "error", "nested too deep"],
  ["!".repeat(200), "error", "negated too deep"],
  ["a".repeat(20_000), "error", "too long"],
];

describe("Calico's selectors", () => {
  it.each(rows)("%s: %s (%s)", (source, want) => {
    const parsed = parseCalicoSelector(source);
    expect(parsed.ok ? parsed.matches((key) => labels.get(key)) : "error").toBe(want);
  });

  it("reads 10,000 characters of spaces and quotes without backtracking", () => {
    const start = workedMs();
    parseCalicoSelector(`role == '${" ".repeat(9_000)}`);
    parseCalicoSelector(" ".repeat(9_000) + "'");
    expect(workedMs() - start).toBeLessThan(200);
  });
});
