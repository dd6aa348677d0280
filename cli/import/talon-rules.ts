// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, type Json, type JsonObject, textAt } from "#policy/json";

/** One action of a Talon rule, with what its named definition says laid under it. */
export type TalonAction = {
  readonly name: string;
  /** e.g. `kubernetes:networkpolicy`; '' when neither it nor its definition names one. */
  readonly actionner: string;
  readonly parameters: JsonObject;
  /** Members that have no meaning outside Talon, by name. */
  readonly others: readonly string[];
};

export type TalonRule = {
  readonly name: string;
  readonly description: string;
  readonly rules: readonly string[];
  /** Alternatives, each a conjunction. */
  readonly outputFields: readonly (readonly FieldTest[])[];
  readonly priority: string;
  /** Alternatives, each a conjunction. */
  readonly tags: readonly (readonly string[])[];
  readonly source: string;
  readonly actions: readonly TalonAction[];
  readonly dryRun: boolean;
  /** False: no later rule is looked at once this one matched. */
  readonly goesOn: boolean;
  readonly notifiers: readonly string[];
  /** What of the rule could not be read, in words. */
  readonly problems: readonly string[];
};

/** `key=value` or `key!=value` of an alert's output_fields. */
export type FieldTest = {
  readonly key: string;
  readonly value: string;
  readonly negated: boolean;
};

export type ParsedTalon =
  | { readonly ok: true; readonly rules: readonly TalonRule[] }
  | { readonly ok: false; readonly message: string };

const ruleMembers = ["rule", "description", "match", "actions", "continue", "dry_run", "notifiers"];
const matchMembers = ["rules", "output_fields", "priority", "tags", "source"];

/** Most rules and actions of a file; Talon's own examples have a dozen. */
const entriesMax = 10_000;

/**
 * Reads a Falco Talon rules file: a list that mixes `- action:` definitions and `- rule:` entries
 * (docs.falco-talon.org, falcosecurity/falco-talon internal/rules). Unknown members are problems of their rule.
 */
export function parseTalonRules(documents: readonly Json[]): ParsedTalon {
  const entries = documents.flatMap((document) => (isArray(document) ? document : [document]));
  if (entries.length > entriesMax) return { ok: false, message: `more than ${entriesMax} entries` };
  const definitions = new Map<string, JsonObject>();
  for (const [index, entry] of entries.entries()) {
    if (!isObject(entry)) return { ok: false, message: `entry ${index + 1} is no mapping` };
    const action = textAt(entry, ["action"]);
    const rule = textAt(entry, ["rule"]);
    if (action === "" && rule === "") {
      return {
        ok: false,
        message: `entry ${index + 1} has neither a rule nor an action name: this is no rules file of Falco Talon 0.1 or later`,
      };
    }
    if (rule === "") definitions.set(action, { ...definitions.get(action), ...entry });
  }
  const rules = entries
    .filter(isObject)
    .filter((entry) => textAt(entry, ["rule"]) !== "")
    .map((entry) => toRule(entry, definitions));
  if (rules.length === 0) return { ok: false, message: "holds no rule" };
  return { ok: true, rules };
}

function toRule(entry: JsonObject, definitions: ReadonlyMap<string, JsonObject>): TalonRule {
  const problems: string[] = [];
  const match = field(entry, "match");
  if (match !== undefined && match !== null && !isObject(match))
    problems.push("match: must be a mapping");
  unknown(entry, ruleMembers, "", problems);
  unknown(isObject(match) ? match : {}, matchMembers, "match.", problems);
  return {
    name: textAt(entry, ["rule"]),
    description: textAt(entry, ["description"]),
    rules: texts(field(match, "rules"), "match.rules", problems),
    outputFields: outputFields(field(match, "output_fields"), problems),
    priority: scalar(field(match, "priority")),
    tags: texts(field(match, "tags"), "match.tags", problems).map(splitList),
    source: scalar(field(match, "source")),
    actions: actionsOf(field(entry, "actions"), definitions, problems),
    dryRun: isTrue(field(entry, "dry_run")),
    goesOn: !isFalse(field(entry, "continue")),
    notifiers: texts(field(entry, "notifiers"), "notifiers", problems),
    problems,
  };
}

function unknown(
  object: JsonObject,
  known: readonly string[],
  prefix: string,
  problems: string[],
): void {
  for (const key of Object.keys(object)) {
    if (!known.includes(key)) problems.push(`${prefix}${key}: is unknown`);
  }
}

function actionsOf(
  value: Json | undefined,
  definitions: ReadonlyMap<string, JsonObject>,
  problems: string[],
): readonly TalonAction[] {
  if (!isArray(value)) {
    problems.push("actions: must be a list");
    return [];
  }
  return value.flatMap((entry, index) => {
    if (!isObject(entry)) {
      problems.push(`actions[${index}]: must be a mapping`);
      return [];
    }
    const name = textAt(entry, ["action"]);
    const definition = definitions.get(name);
    const merged: JsonObject = {
      ...definition,
      ...entry,
      parameters: { ...objectOf(definition?.["parameters"]), ...objectOf(entry["parameters"]) },
    };
    const actionner = textAt(merged, ["actionner"]).toLowerCase();
    if (actionner === "") {
      problems.push(
        `actions[${index}]: ${name === "" ? "has no name" : `no action is called ${name}`}`,
      );
      return [];
    }
    const meant = ["action", "actionner", "parameters", "description"];
    const others = Object.keys(merged).filter((key) => !meant.includes(key));
    return [{ name, actionner, parameters: objectOf(merged["parameters"]), others }];
  });
}

const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

/** A list of `a=b, c!=d` texts; a mapping, as before version 0.1, is one conjunction of equalities. */
function outputFields(
  value: Json | undefined,
  problems: string[],
): readonly (readonly FieldTest[])[] {
  if (isObject(value)) {
    return [
      Object.entries(value).map(([key, wanted]) => ({
        key,
        value: scalar(wanted),
        negated: false,
      })),
    ];
  }
  return texts(value, "match.output_fields", problems).map((text) =>
    splitList(text).flatMap((part) => {
      const parsed = /^([^!=\s]+)\s*(!?=)\s*(.*)$/s.exec(part);
      if (parsed === null) {
        problems.push(
          `match.output_fields: ${JSON.stringify(part)} is neither key=value nor key!=value`,
        );
        return [];
      }
      const [, key = "", operator, wanted = ""] = parsed;
      return [{ key, value: wanted, negated: operator === "!=" }];
    }),
  );
}

function texts(value: Json | undefined, path: string, problems: string[]): readonly string[] {
  if (value === undefined || value === null) return [];
  if (typeof value === "string") return [value];
  if (!isArray(value) || !value.every((one) => typeof one === "string")) {
    problems.push(`${path}: must be a list of texts`);
    return [];
  }
  return value;
}

const splitList = (text: string): readonly string[] =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");

const scalar = (value: Json | undefined): string =>
  value === undefined || value === null
    ? ""
    : typeof value === "string"
      ? value
      : JSON.stringify(value);

/** Talon takes these as texts: `dry_run: "true"`. */
const isTrue = (value: Json | undefined): boolean => scalar(value).toLowerCase() === "true";
const isFalse = (value: Json | undefined): boolean => scalar(value).toLowerCase() === "false";
