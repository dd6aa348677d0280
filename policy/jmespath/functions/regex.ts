// SPDX-License-Identifier: Apache-2.0
import {
  faultIn,
  notOfType,
  takes,
  textOf,
  valueOf,
  type Arguments,
  type FunctionTable,
  type Outcome,
} from "#policy/jmespath/functions/signature";
import { printed } from "#policy/jmespath/functions/text";
import { compileRegex, expandTemplate, replaceMatches } from "#policy/text/regex";
import { failed } from "#policy/jmespath/values";

/** Kyverno's functions over regular expressions, always with RE2: patterns and texts come from outside. */
export const regexFunctions: FunctionTable = {
  regex_match: takes(["string", "string|number"], regexMatch),
  regex_replace_all: takes(["string", "string|number", "string|number"], (args) =>
    replaceAll("regex_replace_all", args, expandTemplate),
  ),
  regex_replace_all_literal: takes(["string", "string|number", "string|number"], (args) =>
    replaceAll("regex_replace_all_literal", args, (template) => template),
  ),
};

function regexMatch(args: Arguments): Outcome {
  const regex = compileRegex(textOf(args, 0));
  if (!regex.ok) return failed(regex.message);
  return regex.value.test(printed(valueOf(args, 1)) ?? "");
}

function replaceAll(
  name: string,
  args: Arguments,
  expand: (template: string, group: (name: string) => string) => string,
): Outcome {
  const source = printed(valueOf(args, 1));
  const template = printed(valueOf(args, 2));
  if (source === undefined) return notOfType(name, 2, "String or Real");
  if (template === undefined) return notOfType(name, 3, "String or Real");
  const regex = compileRegex(textOf(args, 0));
  if (!regex.ok) return faultIn(name, regex.message);
  const replaced = replaceMatches(regex.value, source, (group) => expand(template, group));
  return replaced ?? faultIn(name, "the result is too long");
}
