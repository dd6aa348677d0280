// SPDX-License-Identifier: Apache-2.0
import { RE2JS } from "re2js";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Longest pattern, in characters, and most states it may unfold to; RE2 itself stops at about as many. */
export const patternLengthMax = 4_096;
const statesMax = 50_000;

const rememberedMax = 1_000;
const remembered = new Map<string, Parsed<RE2JS>>();

/**
 * Compiles a pattern of a policy with RE2's syntax, which is Go's: matching takes time linear in the text. Never
 * throws; the message is Go's. Plans are remembered.
 */
export function compileRegex(pattern: string): Parsed<RE2JS> {
  const known = remembered.get(pattern);
  if (known !== undefined) return known;
  const compiled = compile(pattern);
  if (remembered.size >= rememberedMax) remembered.clear();
  remembered.set(pattern, compiled);
  return compiled;
}

function compile(pattern: string): Parsed<RE2JS> {
  if (pattern.length > patternLengthMax || unfoldedSize(pattern) > statesMax) {
    return unparsed("error parsing regexp: expression too large");
  }
  try {
    return parsed(RE2JS.compile(pattern));
  } catch (fault) {
    const message = fault instanceof Error ? fault.message : String(fault);
    return unparsed(
      message.startsWith("error parsing regexp") ? message : `error parsing regexp: ${message}`,
    );
  }
}

/** Bound of the states that counted repetitions unfold to: `(a{100}){100}` is small to write and large to run. */
export function unfoldedSize(pattern: string): number {
  const open: number[] = [];
  let size = 0;
  let last = 0;
  const atoms = /\\.|\[(?:\\.|[^\]\\])*\]|\{(\d+)(,(\d*))?\}|[\s\S]/gu;
  for (const [text, least, range, most] of pattern.matchAll(atoms)) {
    if (least !== undefined) {
      const times = Math.max(Number(least), Number(range === undefined ? least : most || least), 1);
      size += last * (times - 1);
      last *= times;
    } else if (text === "(") {
      open.push(size);
      size = 0;
      last = 0;
    } else if (text === ")") {
      last = size + 1;
      size = (open.pop() ?? 0) + last;
    } else if (text !== "|" && text !== "*" && text !== "+" && text !== "?") {
      last = 1;
      size += 1;
    }
    if (size > statesMax) return size;
  }
  return size;
}

/** Longest text that a replacement builds, in characters. */
const resultLengthMax = 4_194_304;

/**
 * Replaces every match, `replacement` giving the text for one; undefined when the result gets too long. As in Go an
 * empty match right after another match does not count.
 */
export function replaceMatches(
  regex: RE2JS,
  text: string,
  replacement: (group: (name: string) => string) => string,
): string | undefined {
  const matcher = regex.matcher(text);
  let result = "";
  let copied = 0;
  let previousEnd = -1;
  while (matcher.find()) {
    const start = matcher.start();
    const end = matcher.end();
    if (start === end && start === previousEnd) continue;
    const named = (name: string): string => groupOf(regex, name, (group) => matcher.group(group));
    result += text.slice(copied, start) + replacement(named);
    copied = end;
    previousEnd = end;
    if (result.length > resultLengthMax) return undefined;
  }
  return result + text.slice(copied);
}

/** Go's Expand: `$1`, `$name`, `${name}`; the longest run of word characters is the name, `$$` a dollar. */
export function expandTemplate(template: string, group: (name: string) => string): string {
  return template.replaceAll(
    /\$(?:(\$)|(\w+)|\{(\w+)\})/g,
    (_whole, dollar: string | undefined, bare: string | undefined, braced: string | undefined) =>
      dollar ?? group(bare ?? braced ?? ""),
  );
}

function groupOf(
  regex: RE2JS,
  name: string,
  read: (group: number | string) => string | null,
): string {
  if (/^[0-9]+$/.test(name)) {
    return Number(name) <= regex.groupCount() ? (read(Number(name)) ?? "") : "";
  }
  return Object.hasOwn(regex.namedGroups(), name) ? (read(name) ?? "") : "";
}
