// SPDX-License-Identifier: Apache-2.0
import {
  defineScalarTag,
  FAILSAFE_SCHEMA,
  loadAll,
  mergeTag,
  NOT_RESOLVED,
  YAMLException,
} from "js-yaml";
import { isArray, isObject, type Json } from "#policy/json";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Deepest nesting, and most values once aliases are followed: a few lines of aliases can stand for billions. */
const depthMax = 200;
const valuesMax = 100_000;

/**
 * Reads the first document of a YAML text that stands in a policy or resource, as sigs.k8s.io/yaml does: `yes` and
 * `on` are booleans, `0644` is octal, keys become texts, timestamps stay text. Never throws.
 */
export function parseYaml(text: string): Parsed<Json> {
  try {
    const [first = null] = loadAll(text, { schema, json: true, maxDepth: depthMax });
    const budget = { left: valuesMax };
    const value = toJson(first, budget);
    if (budget.left < 0) return unparsed(`yaml: the text stands for more than ${valuesMax} values`);
    return value === undefined ? unparsed("yaml: a value that JSON does not have") : parsed(value);
  } catch (fault) {
    if (fault instanceof YAMLException) return unparsed(`yaml: ${fault.reason}`);
    throw fault;
  }
}

function toJson(value: unknown, budget: { left: number }): Json | undefined {
  budget.left -= 1;
  if (budget.left < 0) return null;
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (isArray(value)) {
    const items = value.map((item) => toJson(item, budget));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (!isObject(value)) return undefined;
  const entries: [string, Json][] = [];
  for (const [key, item] of Object.entries(value)) {
    const converted = toJson(item, budget);
    if (converted === undefined) return undefined;
    entries.push([key, converted]);
  }
  return Object.fromEntries(entries);
}

const booleans = new Map<string, boolean>();
for (const word of ["y", "yes", "on", "true"]) addWord(word, true);
for (const word of ["n", "no", "off", "false"]) addWord(word, false);

function addWord(word: string, value: boolean): void {
  const capital = word.charAt(0).toUpperCase() + word.slice(1);
  for (const spelling of [word, capital, word.toUpperCase()]) booleans.set(spelling, value);
}

const digits = "0123456789".split("");

const schema = FAILSAFE_SCHEMA.withTags(
  defineScalarTag<null>("tag:yaml.org,2002:null", {
    implicit: true,
    implicitFirstChars: ["", "~", "n", "N"],
    resolve: (source) => (/^(?:~|null|Null|NULL)?$/.test(source) ? null : NOT_RESOLVED),
    identify: (data) => data === null,
    represent: () => "null",
  }),
  defineScalarTag<boolean>("tag:yaml.org,2002:bool", {
    implicit: true,
    implicitFirstChars: "yYnNtTfFoO".split(""),
    resolve: (source) => booleans.get(source) ?? NOT_RESOLVED,
    identify: (data) => typeof data === "boolean",
    represent: String,
  }),
  defineScalarTag<number>("tag:yaml.org,2002:int", {
    implicit: true,
    implicitFirstChars: ["+", "-", ...digits],
    resolve: (source) => readInteger(source) ?? NOT_RESOLVED,
    identify: Number.isInteger,
    represent: String,
  }),
  defineScalarTag<number>("tag:yaml.org,2002:float", {
    implicit: true,
    implicitFirstChars: ["+", "-", ".", ...digits],
    resolve: (source) => readFloat(source) ?? NOT_RESOLVED,
    identify: (data) => typeof data === "number" && !Number.isInteger(data),
    represent: String,
  }),
  mergeTag,
);

function readInteger(source: string): number | undefined {
  const found = /^([-+]?)(0x[0-9a-f]+|0o?[0-7]+|0b[01]+|0|[1-9][0-9]*)$/i.exec(
    source.replaceAll("_", ""),
  );
  if (found === null) return undefined;
  const [, sign = "", body = ""] = found;
  const size = Number(/^0[0-7]/.test(body) ? `0o${body.slice(1)}` : body.toLowerCase());
  return sign === "-" && size !== 0 ? -size : size;
}

function readFloat(source: string): number | undefined {
  const plain = source.replaceAll("_", "");
  return /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(plain)
    ? Number(plain)
    : undefined;
}
