// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, test } from "vitest";
import { at, isArray, isObject, type Json, type JsonObject, parseJson, textAt } from "#policy/json";
import { readAlerts } from "#responder/intake/alert";
import { parseResponsePolicy, preselects, whenHolds } from "#responder/response-policy";
import { makeFolder } from "../testing.ts";
import { importCommand } from "./import.ts";

const isolate = "actions: [{action: isolate, actionner: kubernetes:networkpolicy}]";
const rule = (match: string): string => `- rule: r\n  match: {${match}}\n  ${isolate}\n`;

const folder = makeFolder({
  "good.yaml": `
- action: Isolate
  actionner: kubernetes:networkpolicy
  parameters:
    allow_cidr: [192.168.0.0/16, "fd00::/8"]
- rule: Terminal shell in container
  description: what a shell in production leads to
  match:
    rules: [Terminal shell in container]
    priority: ">=notice"
    source: syscalls
    tags: ["shell, container"]
  actions:
    - action: Isolate
`,
  "all.yaml": `
- rule: all
  match: {rules: [a]}
  actions:
    - action: Kill
      actionner: kubernetes:terminate
      parameters: {grace_period_seconds: 3, min_healthy_replicas: 2, ignore_daemonsets: true}
    - action: Cordon
      actionner: kubernetes:cordon
    - action: Mark
      actionner: kubernetes:label
      parameters: {labels: {quarantine: true, second: b, gone: ""}}
    - action: Note
      actionner: kubernetes:annotation
      parameters: {annotations: {seen: "yes"}}
    - action: Log
      actionner: kubernetes:log
      parameters: {tail_lines: 10}
    - action: Again
      actionner: kubernetes:log
    - action: Nothing
      actionner: kubernetes:label
`,
  "lossy.yaml": `
- action: Kill
  actionner: kubernetes:drain
- rule: kill
  match: {rules: [a]}
  actions: [{action: Kill}]
- rule: mixed
  match: {rules: [a], wrong: 1}
  continue: "false"
  notifiers: [slack]
  actions:
    - action: Isolate
      actionner: kubernetes:networkpolicy
      parameters: {allow_namespaces: [a], allow: [10.0.0.0/8], other: 1}
      ignore_errors: "true"
      output: {target: aws:s3}
    - action: Nowhere
    - action: Cut
      actionner: cilium:networkpolicy
    - action: Odd
      actionner: made:up
- rule: mixed
  match: {rules: [b]}
  ${isolate}
`,
  "dry.yaml": `- rule: r\n  dry_run: "true"\n  match: {rules: [a]}\n  ${isolate}\n`,
  "cidr.yaml": `- rule: r
  match: {rules: [a]}
  actions: [{action: i, actionner: kubernetes:networkpolicy, parameters: {allow_cidr: [nonsense]}}]
`,
  "priority.yaml": rule('priority: ">=Loud"'),
  "fields.yaml": rule('output_fields: ["nonsense"]'),
  "old.yaml": "- name: Rule Terminate\n  action: {name: kubernetes:terminate}\n",
  "scalar.yaml": "just text\n",
  "syntax.yaml": "- rule: [\n",
  "actions-only.yaml": "- action: a\n  actionner: kubernetes:terminate\n",
  "no-actions.yaml": "- rule: r\n  match: {rules: [a]}\n",
});
afterAll(folder.remove);

describe("import talon", () => {
  test("carries over what has a counterpart", async () => {
    const ran = await folder.run(importCommand, "talon", "good.yaml", "-o", "json", "--strict");
    expect(ran.code).toBe(0);
    expect(at(parseJson(ran.out), ["items", 0])).toEqual({
      apiVersion: "parapet.dev/v1alpha1",
      kind: "ResponsePolicy",
      metadata: {
        name: "terminal-shell-in-container",
        annotations: {
          "parapet.dev/imported-from": "Falco Talon rule Terminal shell in container",
          "parapet.dev/description": "what a shell in production leads to",
        },
      },
      spec: {
        match: {
          falco: {
            rules: ["Terminal shell in container"],
            priority: ">=Notice",
            sources: ["syscall"],
            tags: ["shell", "container"],
          },
        },
        do: [{ isolate: { ttl: "1h", allow: [{ cidr: "192.168.0.0/16" }, { cidr: "fd00::/8" }] } }],
        mode: "Propose",
      },
    });
    expect(ran.err).toContain("differs: action Isolate");
    expect(ran.err).toContain("1 of 1 rules became policies");
  });

  test("says of each rule what it could not carry over, and why", async () => {
    const ran = await folder.run(importCommand, "talon", "lossy.yaml", "-o", "json", "--strict");
    expect(ran.code).toBe(1);
    for (const remark of [
      "rule kill: lost: action Kill (kubernetes:drain): no action here drains a node",
      "rule kill: lost: nothing of it is left to do, so no policy was written",
      "rule mixed: lost: match.wrong: is unknown",
      "rule mixed: lost: actions[1]: no action is called Nowhere",
      "rule mixed: differs: action Isolate (kubernetes:networkpolicy): Talon's allow_namespaces asks for a label that no namespace has",
      "parameter allow: Talon ignores it, too",
      "parameter other: has no counterpart",
      "ignore_errors has no counterpart",
      "output has no counterpart",
      "action Cut (cilium:networkpolicy): it denies the one remote address",
      "action Odd (made:up): the actionner is unknown",
      "rule mixed: lost: notifiers slack",
      "rule mixed: lost: continue: false",
      "rule mixed: lost: a rule of this name came before",
      "1 of 3 rules became policies",
    ]) {
      expect(ran.err).toContain(remark);
    }
    const lenient = await folder.run(importCommand, "talon", "lossy.yaml");
    expect(lenient.code).toBe(0);
  });

  test("puts every action that has a counterpart where it belongs", async () => {
    const ran = await folder.run(importCommand, "talon", "all.yaml", "-o", "json", "--ttl", "30m");
    expect(at(parseJson(ran.out), ["items", 0, "spec", "do"])).toEqual([
      { "capture-evidence": {} },
      { "quarantine-label": { label: { key: "quarantine", value: "true" }, ttl: "30m" } },
      { annotate: { annotations: { seen: "yes" } } },
      { cordon: { ttl: "30m" } },
      { delete: { gracePeriod: "3s" } },
    ]);
    for (const remark of [
      "Kill (kubernetes:terminate): parameter min_healthy_replicas: say it in the policy",
      "Kill (kubernetes:terminate): parameter ignore_daemonsets: has no counterpart",
      "label second: quarantine-label sets one label",
      "gone: no action here removes a label",
      "Log (kubernetes:log): parameter tail_lines: has no counterpart",
      "Again (kubernetes:log): capture-evidence is there already",
      "Nothing (kubernetes:label): its parameters name nothing to do",
    ]) {
      expect(ran.err).toContain(remark);
    }
  });

  test.each([
    { reason: "a dry run only observes", words: ["--mode", "Automatic"], mode: "Observe" },
    { reason: "whatever the mode is", words: [], mode: "Observe" },
  ])("$reason", async ({ words, mode }) => {
    const ran = await folder.run(importCommand, "talon", "dry.yaml", "-o", "json", ...words);
    expect(textAt(parseJson(ran.out), ["items", 0, "spec", "mode"])).toBe(mode);
  });

  test.each([
    {
      reason: "an address range that is none",
      file: "cidr.yaml",
      says: "isolate does not take it: spec.do",
    },
    { reason: "a priority that Falco does not have", file: "priority.yaml", says: '">=Loud"' },
    { reason: "a field test that is none", file: "fields.yaml", says: '"nonsense" is neither' },
    { reason: "a rule without actions", file: "no-actions.yaml", says: "actions: must be a list" },
  ])("malformed rule: $reason", async ({ file, says }) => {
    const ran = await folder.run(importCommand, "talon", file, "--strict");
    expect(ran.code).toBe(1);
    expect(ran.err).toContain(says);
  });

  test.each([
    { reason: "rules of Talon before 0.1", words: ["talon", "old.yaml"], says: "0.1 or later" },
    { reason: "no mapping", words: ["talon", "scalar.yaml"], says: "entry 1 is no mapping" },
    { reason: "no YAML", words: ["talon", "syntax.yaml"], says: "syntax.yaml: " },
    { reason: "no rule at all", words: ["talon", "actions-only.yaml"], says: "holds no rule" },
    { reason: "no file", words: ["talon", "nowhere.yaml"], says: "no such file" },
    { reason: "no argument", words: ["talon"], says: "name the rules" },
    { reason: "another source", words: ["robusta", "x.yaml"], says: "say what from" },
  ])("unreadable: $reason", async ({ words, says }) => {
    const ran = await folder.run(importCommand, ...words);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toContain(says);
  });
});

/** Whether the one policy that a rule becomes matches an alert, by the responder's own reading of both. */
async function matches(match: string, alert: JsonObject): Promise<boolean> {
  const one = makeFolder({ "rule.yaml": rule(match) });
  const ran = await one.run(importCommand, "talon", "rule.yaml", "-o", "json");
  one.remove();
  const list: Json = parseJson(ran.out);
  const [policy] = isArray(at(list, ["items"])) ? [at(list, ["items", 0])] : [];
  const parsed = parseResponsePolicy(isObject(policy) ? policy : {});
  const text = JSON.stringify({ rule: "a", priority: "Notice", source: "syscall", ...alert });
  const [read] = readAlerts(Buffer.from(text)).alerts;
  if (!parsed.ok || read === undefined) throw new Error(ran.err);
  const surroundings = { pod: null, owner: null, namespace: null };
  return (
    preselects(parsed.policy, read.alert).matches &&
    whenHolds(parsed.policy, read.alert, surroundings).matches
  );
}

describe("an imported match means what Talon means", () => {
  const fields = (output_fields: JsonObject): JsonObject => ({ output_fields });
  const tags = (...list: readonly string[]): JsonObject => ({ tags: list });
  test.each([
    {
      reason: "equal",
      match: 'output_fields: ["a.b=c"]',
      alert: fields({ "a.b": "c" }),
      want: true,
    },
    {
      reason: "unequal",
      match: 'output_fields: ["a.b=c"]',
      alert: fields({ "a.b": "d" }),
      want: false,
    },
    {
      reason: "absent is not equal",
      match: 'output_fields: ["a.b=c"]',
      alert: fields({}),
      want: false,
    },
    {
      reason: "null is not equal",
      match: 'output_fields: ["a=c"]',
      alert: fields({ a: null }),
      want: false,
    },
    {
      reason: "a number is no text",
      match: 'output_fields: ["a=1"]',
      alert: fields({ a: 1 }),
      want: false,
    },
    {
      reason: "absent is unequal",
      match: 'output_fields: ["a!=c"]',
      alert: fields({}),
      want: true,
    },
    {
      reason: "null is unequal",
      match: 'output_fields: ["a!=c"]',
      alert: fields({ a: null }),
      want: true,
    },
    {
      reason: "both of one entry",
      match: 'output_fields: ["a=1x, b=2x"]',
      alert: fields({ a: "1x", b: "2x" }),
      want: true,
    },
    {
      reason: "one of one entry is not enough",
      match: 'output_fields: ["a=1x, b=2x"]',
      alert: fields({ a: "1x" }),
      want: false,
    },
    {
      reason: "either of two entries",
      match: 'output_fields: ["a=1x", "b=2x"]',
      alert: fields({ b: "2x" }),
      want: true,
    },
    {
      reason: "a field of a hostile name",
      match: `output_fields: ['a"]b=c']`,
      alert: fields({ 'a"]b': "c" }),
      want: true,
    },
    {
      reason: "a map is equalities together, as before 0.1",
      match: "output_fields: {a: x, b: y}",
      alert: fields({ a: "x", b: "z" }),
      want: false,
    },
    {
      reason: "all tags of one entry",
      match: 'tags: ["x, y"]',
      alert: tags("x", "y", "z"),
      want: true,
    },
    {
      reason: "one tag of an entry is not enough",
      match: 'tags: ["x, y"]',
      alert: tags("x"),
      want: false,
    },
    { reason: "either entry of tags", match: 'tags: ["x, y", "z"]', alert: tags("z"), want: true },
    { reason: "no entry of tags", match: 'tags: ["x, y", "z"]', alert: tags("y"), want: false },
    {
      reason: "tags and fields together",
      match: 'tags: ["x", "y"], output_fields: ["a=b"]',
      alert: tags("x"),
      want: false,
    },
    { reason: "above the priority", match: 'priority: ">=informational"', alert: {}, want: true },
    { reason: "below the priority", match: 'priority: ">Notice"', alert: {}, want: false },
    {
      reason: "info is Informational",
      match: 'priority: "<=info"',
      alert: { priority: "Informational" },
      want: true,
    },
    { reason: "a rule of the list", match: "rules: [b, a]", alert: {}, want: true },
    { reason: "no rule of the list", match: "rules: [b]", alert: {}, want: false },
    { reason: "another source", match: "source: k8s_audit", alert: {}, want: false },
    {
      reason: "falcosidekick's name of the source",
      match: "source: syscalls",
      alert: {},
      want: true,
    },
  ])("$reason", async ({ match, alert, want }) => {
    expect(await matches(match, alert)).toBe(want);
  });
});
