// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { priorities } from "#responder/intake/alert";
import type { Mode } from "#responder/remediation";
import { parseResponsePolicy } from "#responder/response-policy";
import { importActions, type Remark } from "./talon-actions.ts";
import type { FieldTest, TalonRule } from "./talon-rules.ts";

export type ImportSettings = {
  /** How far the policies may go by themselves; a rule with `dry_run` only observes. */
  readonly mode: Mode;
  /** How long what is done lasts before it is undone, e.g. `1h`. */
  readonly ttl: string;
};

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
  const done = importActions(rule, settings.ttl);
  remarks.push(...done.remarks);
  const conditions = [fieldsCondition(rule), tagsCondition(rule)].filter((one) => one !== "");
  const match = matchOf(rule, remarks);
  general(rule, remarks);
  if (done.actions.length === 0 || match === undefined) {
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
      do: done.actions,
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
