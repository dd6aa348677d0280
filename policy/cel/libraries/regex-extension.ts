// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { compilePattern, regexCost } from "#policy/cel/regex";
import { intType, listOf, optionalOf, stringType } from "#policy/cel/types";
import {
  CelError,
  Optional,
  optionalNone,
  type CelResult,
  type CelValue,
} from "#policy/cel/values";
import { quoteText } from "#policy/kubernetes/go-text";
import { declare, globalOverload, textLengthMax, tooLarge, type Int } from "./declare.ts";
import { matchesOf, type Match } from "./matches.ts";

/** The compile-time message for a literal pattern, if it is wrong. */
export function checkPattern(pattern: CelValue | undefined): string | undefined {
  if (typeof pattern !== "string") return undefined;
  const compiled = compilePattern(pattern);
  return compiled.ok ? undefined : compiled.message;
}

const s = stringType;
const options = {
  cost: regexCost,
};

/** Version 1 of cel-go's regex extension: replace, extract and extractAll. */
export const regexExtensionLibrary: Library = {
  name: "cel.lib.ext.regex",
  functions: [
    declare(
      "regex.replace",
      globalOverload("regex_replace_string_string_string", [s, s, s], s, replace, options),
      globalOverload(
        "regex_replace_string_string_string_int",
        [s, s, s, intType],
        s,
        replace,
        options,
      ),
    ),
    declare(
      "regex.extract",
      globalOverload("regex_extract_string_string", [s, s], optionalOf(s), extract, options),
    ),
    declare(
      "regex.extractAll",
      globalOverload("regex_extractAll_string_string", [s, s], listOf(s), extractAll, options),
    ),
  ],
};

function replace(text: string, pattern: string, by: string, count: Int = -1): CelResult {
  const limit = Number(count);
  if (limit === 0) return text;
  const compiled = compilePattern(pattern);
  if (!compiled.ok) return new CelError(compiled.message);
  const groupCount = compiled.value.groupCount();
  let built = "";
  let last = 0;
  for (const match of matchesOf(compiled.value, text, limit < 0 ? -1 : limit)) {
    const replacement = expand(by, match, groupCount);
    if (replacement instanceof CelError) return replacement;
    built += text.slice(last, match.start) + replacement;
    if (built.length > textLengthMax) return tooLarge("regex.replace");
    last = match.end;
  }
  return built + text.slice(last);
}

/** `\1` stands for a group and `\\` for a backslash. */
function expand(template: string, match: Match, groupCount: number): string | CelError {
  let built = "";
  const characters = Array.from(template);
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] ?? "";
    if (character !== "\\") {
      built += character;
      continue;
    }
    index += 1;
    const next = characters[index];
    const invalid = `invalid replacement string: '${template}' \\`;
    if (next === undefined) return new CelError(`${invalid} not allowed at end`);
    if (next === "\\") {
      built += next;
      continue;
    }
    if (!/^[0-9]$/.test(next)) return new CelError(`${invalid} must be followed by a digit or \\`);
    if (Number(next) > groupCount) {
      return new CelError(
        `replacement string references group ${next} but regex has only ${groupCount} group(s)`,
      );
    }
    built += match.groups[Number(next)] ?? "";
  }
  return built;
}

function extract(text: string, pattern: string): CelResult {
  const matches = captured(text, pattern, 1);
  if (matches instanceof CelError) return matches;
  const [match] = matches;
  if (match === undefined) return optionalNone;
  const grouped = match.groups.length > 1;
  const found = match.groups[grouped ? 1 : 0] ?? "";
  return grouped && found === "" ? optionalNone : new Optional(found);
}

function extractAll(text: string, pattern: string): CelResult {
  const matches = captured(text, pattern, -1);
  if (matches instanceof CelError) return matches;
  return matches.flatMap(({ groups }) => {
    if (groups.length === 1) return groups[0] ?? "";
    return groups[1] === undefined || groups[1] === "" ? [] : groups[1];
  });
}

function captured(text: string, pattern: string, limit: number): readonly Match[] | CelError {
  const compiled = compilePattern(pattern);
  if (!compiled.ok) return new CelError(compiled.message);
  if (compiled.value.groupCount() > 1) {
    return new CelError(
      `regular expression has more than one capturing group: ${quoteText(pattern)}`,
    );
  }
  return matchesOf(compiled.value, text, limit);
}
