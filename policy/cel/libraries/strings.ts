// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library } from "#policy/cel/library";
import { dynType, intType, listOf, stringType } from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { namedEscapes } from "#policy/kubernetes/go-text";
import { findBackward, findForward, lengthOf, sliceOf } from "./code-points.ts";
import {
  declare,
  globalOverload,
  memberOverload,
  textLengthMax,
  tooLarge,
  traversal,
  weightOf,
  type Int,
} from "./declare.ts";
import { localizedStyle, plainStyle } from "./format-styles.ts";
import { checkFormatCall } from "./format-check.ts";
import { formatText, type FormatStyle } from "./string-format.ts";

const outOfRange = (index: Int): CelError => new CelError(`index out of range: ${index}`);

const cost = (text: CelResult): number => (typeof text === "string" ? traversal(text.length) : 0);

/** A search may look at each character of the text once for each of the part. */
const searchCost = (text: CelResult, part: CelResult): number =>
  typeof text === "string" && typeof part === "string"
    ? traversal(text.length) + Math.floor((text.length * part.length) / 1_000)
    : 0;

/** Version 2 of cel-go's strings extension as kube-apiserver 1.36 has it. */
export const stringsLibrary: Library = {
  name: "cel.lib.ext.strings",
  functions: [...commonFunctions(false), formatFunction(localizedStyle)],
};

/** The same as Kyverno's newer cel-go has it. */
export const kyvernoStringsLibrary: Library = {
  name: "cel.lib.ext.strings",
  functions: [...commonFunctions(true), formatFunction(localizedStyle)],
};

/** The newest version, which cel-spec's tests expect: `reverse`, and `format` without a locale. */
export const newestStringsLibrary: Library = {
  name: "cel.lib.ext.strings",
  functions: [
    ...commonFunctions(true),
    formatFunction(plainStyle),
    declare(
      "reverse",
      memberOverload("string_reverse", [stringType], stringType, reverse, { cost }),
    ),
  ],
};

/** `clamps`: an empty text looked for beyond the end is found at the end. Before, it was found wherever one looked. */
function commonFunctions(clamps: boolean): readonly FunctionDeclaration[] {
  return [...searchFunctions(clamps), ...changeFunctions(), ...splitFunctions()];
}

function formatFunction(style: FormatStyle): FunctionDeclaration {
  return declare(
    "format",
    memberOverload(
      "string_format",
      [stringType, listOf(dynType)],
      stringType,
      (format: string, args: readonly CelValue[]) => formatText(format, args, style),
      {
        cost: (format, args) => cost(format) + weightOf(args ?? null),
        checkCall: (call, typeOf) => checkFormatCall(call, typeOf, style),
      },
    ),
  );
}

function searchFunctions(clamps: boolean): readonly FunctionDeclaration[] {
  const [s, i] = [stringType, intType];
  const indexOf = (text: string, part: string, offset?: Int): CelResult =>
    firstIndex(text, part, offset, clamps);
  const lastIndexOf = (text: string, part: string, offset?: Int): CelResult =>
    lastIndex(text, part, offset, clamps);
  return [
    declare("charAt", memberOverload("string_char_at_int", [s, i], s, charAt, { cost })),
    declare(
      "indexOf",
      memberOverload("string_index_of_string", [s, s], i, indexOf, { cost: searchCost }),
      memberOverload("string_index_of_string_int", [s, s, i], i, indexOf, { cost: searchCost }),
    ),
    declare(
      "lastIndexOf",
      memberOverload("string_last_index_of_string", [s, s], i, lastIndexOf, { cost: searchCost }),
      memberOverload("string_last_index_of_string_int", [s, s, i], i, lastIndexOf, {
        cost: searchCost,
      }),
    ),
    declare(
      "substring",
      memberOverload("string_substring_int", [s, i], s, substring, { cost }),
      memberOverload("string_substring_int_int", [s, i, i], s, substringRange, { cost }),
    ),
  ];
}

function changeFunctions(): readonly FunctionDeclaration[] {
  const s = stringType;
  const lower = (text: string): string => text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
  const upper = (text: string): string => text.replace(/[a-z]+/g, (run) => run.toUpperCase());
  return [
    declare("lowerAscii", memberOverload("string_lower_ascii", [s], s, lower, { cost })),
    declare("upperAscii", memberOverload("string_upper_ascii", [s], s, upper, { cost })),
    declare("trim", memberOverload("string_trim", [s], s, trim, { cost })),
    declare("strings.quote", globalOverload("strings_quote", [s], s, quote, { cost })),
    declare(
      "replace",
      memberOverload("string_replace_string_string", [s, s, s], s, replace, { cost: searchCost }),
      memberOverload("string_replace_string_string_int", [s, s, s, intType], s, replace, {
        cost: searchCost,
      }),
    ),
  ];
}

function splitFunctions(): readonly FunctionDeclaration[] {
  const s = stringType;
  const list = listOf(stringType);
  const listCost = (items: CelResult): number => weightOf(items);
  return [
    declare(
      "split",
      memberOverload("string_split_string", [s, s], list, split, { cost: searchCost }),
      memberOverload("string_split_string_int", [s, s, intType], list, split, { cost: searchCost }),
    ),
    declare(
      "join",
      memberOverload("list_join", [list], s, join, { cost: listCost }),
      memberOverload("list_join_string", [list, s], s, join, { cost: listCost }),
    ),
  ];
}

function charAt(text: string, index: Int): CelResult {
  if (index < 0 || index > lengthOf(text)) return outOfRange(index);
  return sliceOf(text, Number(index), Number(index) + 1);
}

function firstIndex(
  text: string,
  part: string,
  offset: Int | undefined,
  clamps: boolean,
): CelResult {
  const start = offset ?? 0;
  if (part === "" && !clamps) return start;
  if (start < 0) return outOfRange(start);
  const length = lengthOf(text);
  if (part === "") return start > length ? length : start;
  return start >= length ? -1 : findForward(text, part, Number(start));
}

function lastIndex(
  text: string,
  part: string,
  offset: Int | undefined,
  clamps: boolean,
): CelResult {
  const length = lengthOf(text);
  if (offset === undefined) return part === "" ? length : findBackward(text, part, length);
  if (part === "" && !clamps) return offset;
  if (offset < 0) return outOfRange(offset);
  if (part === "") return offset > length ? length : offset;
  return offset >= length ? -1 : findBackward(text, part, Number(offset));
}

function substring(text: string, start: Int): CelResult {
  if (start < 0 || start > lengthOf(text)) return outOfRange(start);
  return sliceOf(text, Number(start));
}

function substringRange(text: string, start: Int, end: Int): CelResult {
  if (start > end) {
    return new CelError(`invalid substring range. start: ${start}, end: ${end}`);
  }
  const length = lengthOf(text);
  if (start < 0 || start > length) return outOfRange(start);
  if (end > length) return outOfRange(end);
  return sliceOf(text, Number(start), Number(end));
}

/** Go's TrimSpace: Unicode White_Space, to which U+FEFF, that JS trims too, does not belong and U+0085 does. */
function trim(text: string): string {
  const start = /^[\p{White_Space}]*/u.exec(text)?.[0].length ?? 0;
  let end = text.length;
  while (end > start && /\p{White_Space}/u.test(text.charAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/** At most `count` replacements, all when it is negative. An empty `part` stands before every code point and at the end. */
function replace(text: string, part: string, by: string, count: Int = -1): CelResult {
  const limit = count < 0 ? Infinity : Number(count);
  const pieces = part === "" ? ["", ...Array.from(text), ""] : text.split(part);
  const places = pieces.length - 1;
  const replaced = Math.min(limit, places);
  if (text.length + replaced * by.length > textLengthMax) return tooLarge("replace");
  if (replaced === places) return pieces.join(by);
  const head = pieces.slice(0, replaced + 1).join(by);
  return [head, ...pieces.slice(replaced + 1)].join(part);
}

/** At most `count` parts, all when it is negative; an empty separator parts code points. */
function split(text: string, separator: string, count: Int = -1): CelResult {
  const limit = Number(count);
  if (limit === 0) return [];
  const parts = separator === "" ? Array.from(text) : text.split(separator);
  if (limit < 0 || parts.length <= limit) return parts;
  return [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(separator)];
}

function join(items: readonly CelValue[], separator = ""): CelResult {
  const texts: string[] = [];
  let length = 0;
  for (const item of items) {
    if (typeof item !== "string") return new CelError(`join: invalid input: ${shown(item)}`);
    length += item.length + separator.length;
    if (length > textLengthMax) return tooLarge("join");
    texts.push(item);
  }
  return texts.join(separator);
}

function shown(value: CelValue): string {
  const text = plainStyle.text(value);
  return typeof text === "string" ? text : "value";
}

// oxlint-disable-next-line no-control-regex -- control characters are what is escaped
const escapable = /[\u0007-\r"\\]/g;

/** Only the named escapes: other characters stand as they are, and broken ones become U+FFFD. */
function quote(text: string): string {
  const escaped = text.toWellFormed().replace(escapable, (mark) => namedEscapes[mark] ?? mark);
  return `"${escaped}"`;
}

function reverse(text: string): string {
  return Array.from(text).reverse().join("");
}
