// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json, type JsonObject } from "#policy/json";
import { priorities } from "#responder/alert";
import type { Mode } from "#responder/remediation";
import { parseResponsePolicy } from "#responder/response-policy";
import type { FieldTest, TalonAction, TalonRule } from "./talon-rules.ts";

export type ImportSettings = {
  /** How far the policies may go by themselves; a rule with `dry_run` only observes. */
  readonly mode: Mode;
  /** How long an isolation lasts, e.g. `1h`. */
  readonly ttl: string;
};

/** One remark on a rule: `lost` has no counterpart here; `differs` was carried over with another meaning. */
export type Remark = { readonly kind: "lost" | "differs"; readonly text: string };

export type Imported = {
  readonly rule: string;
  /** Undefined when nothing of the rule can be done here. */
  readonly policy: JsonObject | undefined;
  readonly remarks: readonly Remark[];
};

/** Turns Falco Talon rules into ResponsePolicies; what has no exact counterpart is a remark, never left out in silence. */
export function importTalon(
  rules: readonly TalonRule[],
  settings: ImportSettings,
): readonly Imported[] {
  const names = new Set<string>();
  const seen = new Set<string>();
  return rules.map((rule) => {
    if (seen.has(rule.name)) {
      const text = "a rule of this name came before; Talon merges the two, so merge them first";
      return { rule: rule.name, policy: undefined, remarks: [{ kind: "lost", text }] };
    }
    seen.add(rule.name);
    return importRule(rule, settings, names);
  });
}

function importRule(rule: TalonRule, settings: ImportSettings, names: Set<string>): Imported {
  const remarks: Remark[] = rule.problems.map((text) => ({ kind: "lost", text }));
  const actions = rule.actions.map((action) => importAction(action, settings, remarks));
  const isolate = actions.find((one) => one !== undefined);
  const conditions = [fieldsCondition(rule), tagsCondition(rule)].filter((one) => one !== "");
  const match = matchOf(rule, remarks);
  general(rule, remarks);
  if (isolate === undefined || match === undefined) {
    const text = "nothing of it is left to do, so no policy was written";
    return { rule: rule.name, policy: undefined, remarks: [...remarks, { kind: "lost", text }] };
  }
  const policy: JsonObject = {
    apiVersion: "parapet.dev/v1alpha1",
    kind: "ResponsePolicy",
    metadata: {
      name: freeName(rule.name, names),
      annotations: {
        "parapet.dev/imported-from": `Falco Talon rule ${rule.name}`,
        ...(rule.description === "" ? {} : { "parapet.dev/description": rule.description }),
      },
    },
    spec: {
      match: { falco: match },
      ...(conditions.length === 0 ? {} : { when: joined(conditions, " && ") }),
      do: [{ isolate }],
      mode: rule.dryRun ? "Observe" : settings.mode,
    },
  };
  const parsed = parseResponsePolicy(policy);
  if (parsed.ok) return { rule: rule.name, policy, remarks };
  const problems = parsed.problems.map(({ path, message }): Remark => ({
    kind: "lost",
    text: `no policy was written: ${path}: ${message}`,
  }));
  return { rule: rule.name, policy: undefined, remarks: [...remarks, ...problems] };
}

/** What Talon's other actionners would need; each is named so that nobody believes it was carried over. */
const missing: Readonly<Record<string, string>> = {
  "kubernetes:terminate": "no action here deletes a pod",
  "kubernetes:label": "no action here sets labels of one's choice",
  "kubernetes:annotation": "no action here sets annotations of one's choice",
  "kubernetes:exec": "nothing is ever run inside a pod here",
  "kubernetes:script": "nothing is ever run inside a pod here",
  "kubernetes:log": "no action here fetches logs",
  "kubernetes:delete": "no action here deletes an object",
  "kubernetes:cordon": "no action here cordons a node",
  "kubernetes:drain": "no action here drains a node",
  "kubernetes:download": "no action here fetches files",
  "kubernetes:tcpdump": "no action here captures packets",
  "kubernetes:sysdig": "no action here captures system calls",
  "aws:lambda": "no action here calls a cloud function",
  "gcp:function": "no action here calls a cloud function",
  "calico:networkpolicy":
    "it denies the one remote address of the alert; here a pod is cut off altogether or not at all",
  "cilium:networkpolicy":
    "it denies the one remote address of the alert; here a pod is cut off altogether or not at all",
};

function importAction(
  action: TalonAction,
  settings: ImportSettings,
  remarks: Remark[],
): JsonObject | undefined {
  const label = action.name === "" ? action.actionner : `${action.name} (${action.actionner})`;
  if (action.actionner !== "kubernetes:networkpolicy") {
    const known = Object.hasOwn(missing, action.actionner) ? missing[action.actionner] : undefined;
    remarks.push({ kind: "lost", text: `action ${label}: ${known ?? "the actionner is unknown"}` });
    return undefined;
  }
  for (const other of action.others) {
    remarks.push({ kind: "lost", text: `action ${label}: ${other} has no counterpart` });
  }
  remarks.push({
    kind: "differs",
    text: `action ${label}: Talon stops the egress of all pods of the workload for good; isolate cuts the alert's pod alone, in both directions, for ${settings.ttl}`,
  });
  return { ttl: settings.ttl, ...allowOf(action, label, remarks) };
}

function allowOf(action: TalonAction, label: string, remarks: Remark[]): JsonObject {
  const allow: Json[] = [];
  for (const [name, value] of Object.entries(action.parameters)) {
    if (name !== "allow_cidr" && name !== "allow") {
      const why =
        name === "allow_namespaces"
          ? "isolate allows address ranges only"
          : "isolate has no such parameter";
      remarks.push({ kind: "lost", text: `action ${label}: parameter ${name}: ${why}` });
      continue;
    }
    if (name === "allow") {
      remarks.push({
        kind: "lost",
        text: `action ${label}: parameter allow: Talon ignores it, too; it means allow_cidr`,
      });
      continue;
    }
    for (const cidr of isArray(value) ? value : [value]) {
      if (typeof cidr === "string") allow.push({ cidr });
      else
        remarks.push({
          kind: "lost",
          text: `action ${label}: allow_cidr holds ${JSON.stringify(cidr)}, which is no text`,
        });
    }
  }
  return allow.length === 0 ? {} : { allow };
}

function matchOf(rule: TalonRule, remarks: Remark[]): JsonObject | undefined {
  const priority = priorityOf(rule.priority);
  if (priority === undefined) {
    remarks.push({
      kind: "lost",
      text: `match.priority: ${JSON.stringify(rule.priority)} is no priority of Falco`,
    });
    return undefined;
  }
  const [only, second] = rule.tags;
  // A list of one conjunction is what `tags` means here; alternatives go into the condition.
  const tags = second === undefined && only !== undefined && only.length > 0 ? { tags: only } : {};
  return {
    ...(rule.rules.length === 0 ? {} : { rules: rule.rules }),
    ...(priority === "" ? {} : { priority }),
    // falcosidekick writes `syscalls` where Falco writes `syscall`; alerts are read as Falco's here.
    ...(rule.source === ""
      ? {}
      : { sources: [rule.source === "syscalls" ? "syscall" : rule.source] }),
    ...tags,
  };
}

/** Talon takes priorities in any case; '' for none given, undefined for one that is none. */
function priorityOf(text: string): string | undefined {
  if (text === "") return "";
  const match = /^([<>]?=?)\s*([A-Za-z]+)$/.exec(text.trim());
  const wanted = (match?.[2] ?? "").toLowerCase();
  const name = priorities.find(
    (one) =>
      one !== "Unknown" &&
      (one.toLowerCase() === wanted || (wanted === "info" && one === "Informational")),
  );
  return name === undefined ? undefined : `${match?.[1] ?? ""}${name}`;
}

/** Alternatives of conjunctions, as Talon compares: an absent or null field is unequal to every text. */
function fieldsCondition(rule: TalonRule): string {
  const alternatives = rule.outputFields.filter((tests) => tests.length > 0);
  return joined(
    alternatives.map((tests) => joined(tests.map(fieldCondition), " && ")),
    " || ",
  );
}

function fieldCondition({ key, value, negated }: FieldTest): string {
  const [name, wanted] = [JSON.stringify(key), JSON.stringify(value)];
  const test = `${name} in alert.output_fields && alert.output_fields[${name}] == ${wanted}`;
  return negated ? `!(${test})` : `(${test})`;
}

function tagsCondition(rule: TalonRule): string {
  if (rule.tags.length < 2) return "";
  return joined(
    rule.tags.map((tags) =>
      joined(
        tags.map((tag) => `${JSON.stringify(tag)} in alert.tags`),
        " && ",
      ),
    ),
    " || ",
  );
}

/** Several parts in parentheses, one as it is. */
const joined = (parts: readonly string[], by: string): string =>
  parts.length <= 1 ? (parts[0] ?? "") : parts.map((part) => `(${part})`).join(by);

function general(rule: TalonRule, remarks: Remark[]): void {
  if (rule.notifiers.length > 0) {
    const text = `notifiers ${rule.notifiers.join(", ")}: no policy here names notifiers; Kubernetes Events and the audit log tell what is done`;
    remarks.push({ kind: "lost", text });
  }
  if (!rule.goesOn) {
    remarks.push({
      kind: "lost",
      text: "continue: false: every policy that matches counts here, whatever came before",
    });
  }
}

/** A name that Kubernetes takes, made of the rule's; unique among those of one run. */
function freeName(rule: string, names: Set<string>): string {
  const plain = rule.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  const slug = plain.slice(0, 50).replaceAll(/^-+|-+$/g, "") || "rule";
  let name = slug;
  for (let number = 2; names.has(name); number += 1) name = `${slug}-${number}`;
  names.add(name);
  return name;
}
