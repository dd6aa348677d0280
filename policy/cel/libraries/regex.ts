// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { compilePattern, regexCost } from "#policy/cel/regex";
import { intType, listOf, stringType } from "#policy/cel/types";
import { CelError, isList, type CelResult, type CelValue } from "#policy/cel/values";
import { declare, memberOverload, type Int } from "./declare.ts";
import { matchesOf } from "./matches.ts";
import { checkPattern } from "./regex-extension.ts";

const s = stringType;

/** A literal pattern that is wrong is an error of the program already, before any object is seen. */
const extras = {
  cost: regexCost,
  checkLiterals: (_text: CelValue | undefined, pattern: CelValue | undefined) =>
    checkPattern(pattern),
};

function find(text: string, pattern: string): CelResult {
  const found = findAll(text, pattern, 1);
  return isList(found) ? (found[0] ?? "") : found;
}

/** At most `limit` matches, all when it is negative. */
function findAll(text: string, pattern: string, limit: Int = -1): CelResult {
  const compiled = compilePattern(pattern);
  if (!compiled.ok) return new CelError(`Illegal regex: ${compiled.message}`);
  const matches = matchesOf(compiled.value, text, limit < 0 ? -1 : Number(limit));
  return matches.map((match) => text.slice(match.start, match.end));
}

/** Kubernetes' regex library: find and findAll. */
export const regexLibrary: Library = {
  name: "kubernetes.regex",
  functions: [
    declare("find", memberOverload("string_find_string", [s, s], s, find, extras)),
    declare(
      "findAll",
      memberOverload("string_find_all_string", [s, s], listOf(s), findAll, extras),
      memberOverload("string_find_all_string_int", [s, s, intType], listOf(s), findAll, extras),
    ),
  ],
};
