// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Match } from "#responder/reachability/match";
import type { Action, Rule } from "#responder/reachability/rule";
import { endAt, tcp } from "#responder/reachability/scene";
import { type Stage, judgePacket } from "#responder/reachability/stage";

const packet = tcp(endAt("192.0.2.1"), endAt("192.0.2.2"));
const rule = (action: Action, match: Match): Rule => ({
  policy: { kind: "Test", namespace: "", name: "a" },
  index: 0,
  direction: "Ingress",
  action,
  peers: match === "no" ? [] : [{ kind: "any" }],
  ports: "all",
  ...(match === "maybe" ? { narrowed: () => match } : {}),
});
const allow = rule("Allow", "yes");
const deny = rule("Deny", "yes");
const pass = rule("Pass", "yes");
const silent = rule("Deny", "no");
const next = (...groups: Stage["groups"]): Stage => ({ groups, end: "next" });
const drop = (...groups: Stage["groups"]): Stage => ({ groups, end: "deny" });

const rows: readonly {
  readonly reason: string;
  readonly stages: readonly Stage[];
  readonly want: "allow" | "deny" | "either";
}[] = [
  { reason: "Nothing decides: it passes.", stages: [next(), next()], want: "allow" },
  {
    reason: "The first rule of a policy that matches.",
    stages: [next([[silent, allow, deny]])],
    want: "allow",
  },
  {
    reason: "The first group that decides.",
    stages: [next([[silent]], [[deny]], [[allow]])],
    want: "deny",
  },
  {
    reason: "Of a group, whichever policy decides, before the groups after it.",
    stages: [next([[deny], [silent]], [[allow]])],
    want: "deny",
  },
  {
    reason: "The same with the policies the other way round.",
    stages: [next([[silent], [deny]], [[allow]])],
    want: "deny",
  },
  { reason: "Two of a group that disagree.", stages: [next([[deny], [allow]])], want: "either" },
  {
    reason: "Two of a group of which one leaves it to the next stage.",
    stages: [next([[pass], [allow]]), drop()],
    want: "either",
  },
  {
    reason: "Pass skips what is left of its stage.",
    stages: [drop([[pass]], [[deny]]), next([[allow]])],
    want: "allow",
  },
  {
    reason: "A stage that drops what is left.",
    stages: [drop([[silent]]), next([[allow]])],
    want: "deny",
  },
  {
    reason: "A deny that may match, with an allow under it.",
    stages: [next([[rule("Deny", "maybe"), allow]])],
    want: "either",
  },
  {
    reason: "An allow that may match, in a stage that drops.",
    stages: [drop([[rule("Allow", "maybe")]])],
    want: "either",
  },
  {
    reason: "A deny that may match under an allow that does.",
    stages: [next([[allow, rule("Deny", "maybe")]])],
    want: "allow",
  },
  {
    reason: "A stage of which it cannot be told whether it drops.",
    stages: [{ groups: [], end: "denyOrNext" }],
    want: "either",
  },
];

describe("stages of rules", () => {
  it.each(rows)("$reason", ({ stages, want }) => {
    const verdict = judgePacket(stages, packet);
    expect(verdict.allow && verdict.deny ? "either" : verdict.allow ? "allow" : "deny").toBe(want);
  });
});
