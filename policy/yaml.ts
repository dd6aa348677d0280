// SPDX-License-Identifier: Apache-2.0
import {
  CORE_SCHEMA,
  FAILSAFE_SCHEMA,
  NOT_RESOLVED,
  YAMLException,
  defineMappingTag,
  defineScalarTag,
  dump,
  loadAll,
  mergeTag,
} from "js-yaml";
import { isArray, isObject, parseJson as parseJsonText } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

/** How much a text may stand for. */
export type YamlLimits = {
  /** Deepest nesting of a document. */
  readonly nesting: number;
  /** Most values of all documents once aliases are followed: a few lines of aliases can stand for billions. */
  readonly values: number;
};

/** For files that somebody names; Kubernetes' decoder allows a nesting of 10,000, no manifest comes near a hundredth of it. */
export const fileLimits: YamlLimits = { nesting: 1_000, values: 20_000_000 };

export type ParsedText =
  | {
      readonly ok: true;
      readonly documents: readonly Json[];
      /** What was read but not kept exactly: whole numbers that a double cannot hold. */
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly message: string };

/**
 * Reads YAML or JSON text as sigs.k8s.io/yaml does, which is what kubectl and Kyverno read manifests with: YAML 1.1 words
 * (`yes`, `on`, `n`) are booleans, `0644` is octal, of two equal keys the last counts, `<<` merges, keys become strings,
 * timestamps stay text. Empty documents are left out. Never throws.
 */
export function parseText(text: string, limits: YamlLimits = fileLimits): ParsedText {
  if (/^[\s\uFEFF]*[{[]/.test(text)) {
    const parsed = parseJson(text, limits);
    if (parsed !== undefined) return parsed;
  }
  const read = readYaml(text, limits);
  return read.ok ? { ...read, documents: read.documents.filter((each) => each !== null) } : read;
}

/** undefined when the text is no single JSON value: then it may still be YAML that starts with a flow collection. */
function parseJson(text: string, { nesting }: YamlLimits): ParsedText | undefined {
  const inexact: string[] = [];
  try {
    if (isTooDeep(text, nesting)) {
      return { ok: false, message: `nested deeper than ${nesting} levels` };
    }
    const value = parseJsonText(text);
    if (hasLongDigits(text)) findInexact(text, inexact);
    return { ok: true, documents: [value], warnings: inexact };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Reads the text once more, with the source of every number. */
function findInexact(text: string, inexact: string[]): void {
  JSON.parse(text, (key: string, item: unknown, context?: { source?: string }) => {
    const source = context?.source;
    if (source !== undefined && typeof item === "number" && isInexact(source, item)) {
      inexact.push(`${key}: ${source} is read as ${item}: it does not fit a double`);
    }
    return item;
  });
}

/** JSON.parse takes any depth, but who walks the value afterwards has a stack. */
function isTooDeep(text: string, nestingMax: number): boolean {
  let depth = 0;
  for (let place = 0; place < text.length; place += 1) {
    const code = text.charCodeAt(place);
    if (code === 0x22) place = endOfString(text, place);
    else if (code === 0x5b || code === 0x7b) depth += 1;
    else if (code === 0x5d || code === 0x7d) depth -= 1;
    if (depth > nestingMax) return true;
  }
  return false;
}

/** The place of the quote that ends a string, or the end of the text. */
function endOfString(text: string, start: number): number {
  for (let place = start + 1; place < text.length; place += 1) {
    const code = text.charCodeAt(place);
    if (code === 0x5c) place += 1;
    else if (code === 0x22) return place;
  }
  return text.length;
}

const hasLongDigits = (text: string): boolean => /\d{16}/.test(text);

/** Whether a whole number's digits are not what the double says. */
const isInexact = (source: string, value: number): boolean =>
  /^[-+]?\d+$/.test(source) && !Number.isSafeInteger(value) && BigInt(source) !== BigInt(value);

/** Like {@link parseText}, but never as JSON, and with `null` for an empty document. */
export function readYaml(text: string, limits: YamlLimits): ParsedText {
  try {
    inexactNumbers.length = 0;
    const loaded = loadAll(text, { schema: readSchema, json: true, maxDepth: limits.nesting });
    const budget = { left: limits.values, max: limits.values };
    const documents = loaded.map((document) => toJson(document, budget));
    return { ok: true, documents, warnings: [...new Set(inexactNumbers)] };
  } catch (error) {
    if (error instanceof YAMLException) {
      const { mark } = error;
      const place = mark === undefined ? "" : ` (line ${mark.line + 1}, column ${mark.column + 1})`;
      return { ok: false, message: `${error.reason}${place}` };
    }
    if (error instanceof NotJsonError) return { ok: false, message: error.message };
    throw error;
  }
}

class NotJsonError extends Error {}

/** Checks that a loaded document is JSON, and that its aliases do not stand for more than anybody can walk. */
function toJson(value: unknown, budget: { left: number; readonly max: number }): Json {
  budget.left -= 1;
  if (budget.left < 0) {
    throw new NotJsonError(`the text stands for more than ${budget.max} values`);
  }
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new NotJsonError(`${value} is no JSON number`);
    return value;
  }
  if (isArray(value)) {
    for (const item of value) toJson(item, budget);
    return value;
  }
  if (isObject(value)) {
    for (const key of Object.keys(value)) toJson(value[key], budget);
    return value;
  }
  throw new NotJsonError("a document holds a value that JSON does not have");
}

/** Filled by the integer resolver, which has no other way out; emptied at the start of each parse (all synchronous). */
const inexactNumbers: string[] = [];

const words = new Map<string, boolean | null>([
  ...["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"].map(
    (word) => [word, true] as const,
  ),
  ...["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"].map(
    (word) => [word, false] as const,
  ),
  ...["", "~", "null", "Null", "NULL"].map((word) => [word, null] as const),
]);

const nullTag = defineScalarTag<null>("tag:yaml.org,2002:null", {
  implicit: true,
  implicitFirstChars: ["", "~", "n", "N"],
  resolve: (source) => (words.get(source) === null ? null : NOT_RESOLVED),
  identify: (data) => data === null,
  represent: () => "null",
});

const boolTag = defineScalarTag<boolean>("tag:yaml.org,2002:bool", {
  implicit: true,
  implicitFirstChars: "yYnNtTfFoO".split(""),
  resolve: (source) => words.get(source) ?? NOT_RESOLVED,
  identify: (data) => typeof data === "boolean",
  represent: (data) => (data === true ? "true" : "false"),
});

const digits = "0123456789".split("");

const intTag = defineScalarTag<number>("tag:yaml.org,2002:int", {
  implicit: true,
  implicitFirstChars: ["+", "-", ...digits],
  resolve: (source) => parseGoInteger(source) ?? NOT_RESOLVED,
  identify: (data) => Number.isInteger(data),
  represent: (data) => String(data),
});

const floatTag = defineScalarTag<number>("tag:yaml.org,2002:float", {
  implicit: true,
  implicitFirstChars: ["+", "-", ".", ...digits],
  resolve: (source) => parseGoFloat(source) ?? NOT_RESOLVED,
  identify: (data) => typeof data === "number" && !Number.isInteger(data),
  represent: (data) => String(data),
});

/** strconv.ParseInt(text without `_`, 0): decimal, and octal, hexadecimal and binary by prefix; a bare leading 0 is octal. */
export function parseGoInteger(source: string): number | undefined {
  const found = /^([-+]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9]\d*)$/.exec(
    source.includes("_") ? source.replaceAll("_", "") : source,
  );
  if (found === null) return undefined;
  const [, sign = "", body = ""] = found;
  const text = /^0[0-7]/.test(body) ? `0o${body.slice(1)}` : body;
  const size = Number(text);
  const value = sign === "-" ? -size : size;
  if (!Number.isSafeInteger(value) && BigInt(text) !== BigInt(size)) {
    inexactNumbers.push(`${source} is read as ${value}: it does not fit a double`);
  }
  // Go has no negative zero integer.
  return value === 0 ? 0 : value;
}

const specialFloats = new Map<string, number>([
  ...[".nan", ".NaN", ".NAN"].map((word) => [word, Number.NaN] as const),
  ...[".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"].map((word) => [word, Infinity] as const),
  ...["-.inf", "-.Inf", "-.INF"].map((word) => [word, -Infinity] as const),
]);

function parseGoFloat(source: string): number | undefined {
  const special = specialFloats.get(source);
  if (special !== undefined) return special;
  const plain = source.includes("_") ? source.replaceAll("_", "") : source;
  if (!/^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/.test(plain)) return undefined;
  return Number(plain);
}

/** Text that a tag spells out; Go's decoder hands binary data on as text, and so does this. */
const binaryTag = defineScalarTag<string>("tag:yaml.org,2002:binary", {
  resolve: (source) => Buffer.from(source.replaceAll(/\s/g, ""), "base64").toString("utf8"),
  identify: () => false,
});

/** A tag of the author's own says nothing here: Go's decoder takes the text below it. */
const customTag = defineScalarTag<string>("!", {
  matchByTagPrefix: true,
  resolve: (source) => source,
  identify: () => false,
});

const timestampTag = defineScalarTag<string>("tag:yaml.org,2002:timestamp", {
  resolve: (source) => source,
  identify: () => false,
});

/** Mappings as plain objects whose `__proto__` is a key like any other, and whose keys are text as in JSON. */
const mapTag = defineMappingTag<Record<string, unknown>>("tag:yaml.org,2002:map", {
  create: () => ({}),
  addPair: (carrier, key, value) => {
    const name = keyText(key);
    if (name === undefined) return "a key must be a scalar";
    if (name === "__proto__") {
      Object.defineProperty(carrier, name, {
        value,
        enumerable: true,
        configurable: true,
        writable: true,
      });
      return "";
    }
    carrier[name] = value;
    return "";
  },
  has: (carrier, key) => {
    const name = keyText(key);
    return name !== undefined && Object.hasOwn(carrier, name);
  },
  keys: (result) => Object.keys(result),
  get: (result, key) => result[String(key)],
  identify: (data) => isObject(data),
  represent: (data: JsonObject) => new Map(Object.entries(data)),
});

function keyText(key: unknown): string | undefined {
  if (typeof key === "string") return key;
  if (typeof key === "number" || typeof key === "boolean") return String(key);
  return key === null ? "null" : undefined;
}

const readSchema = FAILSAFE_SCHEMA.withTags(
  nullTag,
  boolTag,
  intTag,
  floatTag,
  mergeTag,
  binaryTag,
  timestampTag,
  customTag,
  mapTag,
);

/** Quotes whatever either reading of YAML would take for something else than text. */
const writeSchema = CORE_SCHEMA.withTags(nullTag, boolTag, intTag, floatTag);

/** One document as YAML, keys in the order of the object; no aliases, no line folding. */
export function formatYaml(value: Json): string {
  return dump(value, { schema: writeSchema, noRefs: true, lineWidth: -1 });
}
