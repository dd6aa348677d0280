// SPDX-License-Identifier: Apache-2.0
import { quoteText } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";
import {
  compareSemver,
  parseSemver,
  semverLengthMax,
  type Semver,
} from "#policy/kubernetes/semver";

/** Whether a version is in a range. */
export type SemverRange = (version: Semver) => boolean;

const comparators: Readonly<Record<string, (order: number) => boolean>> = {
  "": (order) => order === 0,
  "=": (order) => order === 0,
  "==": (order) => order === 0,
  "!": (order) => order !== 0,
  "!=": (order) => order !== 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
};

/**
 * Reads a range in blang/semver's notation: comparisons joined by spaces (and) and `||` (or), with `x` for the last
 * part, e.g. `>=1.0.0 <2.0.0 || 3.1.x`. Never throws; the message is blang/semver's.
 * Source: blang/semver v4 range.go, ParseRange.
 */
export function parseSemverRange(text: string): Parsed<SemverRange> {
  if (text.length > semverLengthMax) return unparsed("Range string too long");
  const alternatives = splitAlternatives(splitTerms(text));
  if (!alternatives.ok) return alternatives;
  const expanded: (readonly string[])[] = [];
  for (const terms of alternatives.value) {
    const plain = collect(terms, expandWildcard);
    if (!plain.ok) return plain;
    expanded.push(plain.value.flat());
  }
  const all: (readonly SemverRange[])[] = [];
  for (const terms of expanded) {
    const ranges = collect(terms, parseTerm);
    if (!ranges.ok) return ranges;
    all.push(ranges.value);
  }
  return parsed((version) => all.some((ranges) => ranges.every((range) => range(version))));
}

function collect<T>(
  terms: readonly string[],
  read: (term: string) => Parsed<T>,
): Parsed<readonly T[]> {
  const values: T[] = [];
  for (const term of terms) {
    const value = read(term);
    if (!value.ok) return value;
    values.push(value.value);
  }
  return parsed(values);
}

/** Splits at spaces, except those after an operator; a piece of one character is dropped, as the reference does. */
function splitTerms(text: string): readonly string[] {
  const terms: string[] = [];
  let start = 0;
  let previous = "";
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character !== " ") {
      previous = character;
    } else if (previous === "" || !"<>=".includes(previous)) {
      if (start < index - 1) terms.push(text.slice(start, index));
      start = index + 1;
    }
  }
  if (start < text.length - 1) terms.push(text.slice(start));
  return terms.map((term) => term.replaceAll(" ", ""));
}

function splitAlternatives(terms: readonly string[]): Parsed<readonly (readonly string[])[]> {
  const alternatives: string[][] = [[]];
  for (const [index, term] of terms.entries()) {
    if (term !== "||") {
      alternatives.at(-1)?.push(term);
      continue;
    }
    if (index === 0) return unparsed("First element in range is '||'");
    alternatives.push([]);
  }
  if (alternatives.at(-1)?.length === 0) return unparsed("Last element in range is '||'");
  // The reference accepts `a || || b` and panics when it evaluates it.
  if (alternatives.some((part) => part.length === 0)) return unparsed("Range has an empty part");
  return parsed(alternatives);
}

function splitComparator(term: string): Parsed<readonly [string, string]> {
  const digit = term.search(/\p{Nd}/u);
  if (digit === -1) return unparsed(`Could not get version from string: ${quoteText(term)}`);
  return parsed([term.slice(0, digit).trim(), term.slice(digit)]);
}

/** A term with `x` becomes one or two terms without: `1.2.x` is `>=1.2.0` and `<1.3.0`. */
function expandWildcard(term: string): Parsed<readonly string[]> {
  if (!term.includes("x")) return parsed([term]);
  const split = splitComparator(term);
  if (!split.ok) return split;
  const [operator, version] = split.value;
  const floor = withoutWildcard(version);
  const next = nextVersion(version, floor);
  switch (operator) {
    case ">":
      return parsed([`>=${next}`]);
    case ">=":
      return parsed([`>=${floor}`]);
    case "<":
      return parsed([`<${floor}`]);
    case "<=":
      return parsed([`<${next}`]);
    case "":
    case "=":
    case "==":
      return parsed([`>=${floor}`, `<${next}`]);
    case "!=":
    case "!":
      return parsed([`<${floor}`, `>=${next}`]);
    default:
      return parsed([floor]);
  }
}

function withoutWildcard(version: string): string {
  const plain = version.replace(".x.x", ".x").replace(".x", ".0");
  return plain.split(".").length === 2 ? `${plain}.0` : plain;
}

/** The first version after those that the wildcard covers; '' where the wildcard is not the last part. */
function nextVersion(version: string, floor: string): string {
  const parts = version.split(".");
  if (parts.at(-1) !== "x" || (parts.length !== 2 && parts.length !== 3)) return "";
  const numbers = floor.split(".");
  const raised = parts.length === 3 ? 1 : 0;
  const number = numbers[raised] ?? "";
  if (!/^[+-]?[0-9]{1,18}$/.test(number)) return "";
  numbers[raised] = (BigInt(number) + 1n).toString();
  return numbers.join(".");
}

function parseTerm(term: string): Parsed<SemverRange> {
  const split = splitComparator(term);
  if (!split.ok) return split;
  const [operator, text] = split.value;
  const joined = quoteText(operator + text);
  const fail = (why: string) => unparsed(`Could not parse Range ${quoteText(term)}: ${why}`);
  const accepts = Object.hasOwn(comparators, operator) ? comparators[operator] : undefined;
  if (accepts === undefined) {
    return fail(`Could not parse comparator ${quoteText(operator)} in ${joined}`);
  }
  const bound = parseSemver(text);
  if (!bound.ok) {
    return fail(`Could not parse version ${quoteText(text)} in ${joined}: ${bound.message}`);
  }
  return parsed((version) => accepts(compareSemver(version, bound.value)));
}
