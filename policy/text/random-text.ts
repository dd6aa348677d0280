// SPDX-License-Identifier: Apache-2.0
import { compileRegex } from "#policy/text/regex";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Longest text that is made, in characters. */
export const randomLengthMax = 4_096;
/** Most repetitions of `*`, `+` and `{n,}`. The reference's generator allows 4,096, of no use in any name. */
const openRepeatMax = 16;
const depthMax = 50;

/** Makes a text: appends to `out` until the limit is reached. */
type Maker = (random: () => number, out: string[]) => void;

/**
 * A random text that a regular expression matches (Kyverno's `random`, goregen). Never throws. The same random
 * numbers give the same text.
 */
export function generateText(pattern: string, random: () => number): Parsed<string> {
  const checked = compileRegex(pattern);
  if (!checked.ok) return checked;
  const reader = { pattern: Array.from(pattern), at: 0, depth: 0 };
  const maker = readAlternatives(reader);
  if (maker === undefined || reader.at < reader.pattern.length) {
    return unparsed(`no text can be made of the pattern ${pattern}`);
  }
  const out: string[] = [];
  maker(random, out);
  if (out.length > randomLengthMax) return unparsed("the random text is too long");
  return parsed(out.join(""));
}

type Reader = { readonly pattern: readonly string[]; at: number; depth: number };

const peek = (reader: Reader): string => reader.pattern[reader.at] ?? "";

function take(reader: Reader): string {
  const character = peek(reader);
  reader.at += 1;
  return character;
}

const pick = (random: () => number, count: number): number =>
  Math.min(Math.floor(random() * count), count - 1);

function readAlternatives(reader: Reader): Maker | undefined {
  reader.depth += 1;
  if (reader.depth > depthMax) return undefined;
  const alternatives: Maker[] = [];
  for (;;) {
    const sequence = readSequence(reader);
    if (sequence === undefined) return undefined;
    alternatives.push(sequence);
    if (peek(reader) !== "|") break;
    reader.at += 1;
  }
  reader.depth -= 1;
  return (random, out) => alternatives[pick(random, alternatives.length)]?.(random, out);
}

function readSequence(reader: Reader): Maker | undefined {
  const parts: Maker[] = [];
  while (reader.at < reader.pattern.length && peek(reader) !== "|" && peek(reader) !== ")") {
    const atom = readAtom(reader);
    if (atom === undefined) return undefined;
    parts.push(repeated(atom, readRepeat(reader)));
  }
  return (random, out) => {
    for (const part of parts) if (out.length <= randomLengthMax) part(random, out);
  };
}

function repeated(atom: Maker, [least, most]: readonly [number, number]): Maker {
  if (least === 1 && most === 1) return atom;
  return (random, out) => {
    const times = least + pick(random, most - least + 1);
    for (let done = 0; done < times && out.length <= randomLengthMax; done += 1) atom(random, out);
  };
}

function readRepeat(reader: Reader): readonly [number, number] {
  const mark = peek(reader);
  if (mark === "*" || mark === "+" || mark === "?") {
    reader.at += 1;
    if (peek(reader) === "?") reader.at += 1;
    return [mark === "+" ? 1 : 0, mark === "?" ? 1 : openRepeatMax];
  }
  const counted = /^\{([0-9]+)(,([0-9]*))?\}/.exec(
    reader.pattern.slice(reader.at, reader.at + 12).join(""),
  );
  if (counted === null) return [1, 1];
  reader.at += counted[0].length;
  const least = Number(counted[1]);
  if (counted[2] === undefined) return [least, least];
  return [least, counted[3] ? Number(counted[3]) : least + openRepeatMax];
}

const oneOf =
  (characters: readonly string[]): Maker =>
  (random, out) => {
    const chosen = characters[pick(random, characters.length)];
    if (chosen !== undefined) out.push(chosen);
  };

function readAtom(reader: Reader): Maker | undefined {
  const first = take(reader);
  if (first === "(") return readGroup(reader);
  if (first === "[") return readClass(reader);
  if (first === ".") return oneOf(printable);
  if (first === "^" || first === "$") return () => undefined;
  if (first !== "\\") return oneOf([first]);
  const escaped = take(reader);
  if ("bBAz".includes(escaped)) return () => undefined;
  const named = escapes[escaped];
  return oneOf(named ?? [escaped]);
}

function readGroup(reader: Reader): Maker | undefined {
  const head = /^\?(?:P?<[A-Za-z0-9_]+>|:)/.exec(
    reader.pattern.slice(reader.at, reader.at + 64).join(""),
  );
  if (head === null && peek(reader) === "?") return undefined;
  reader.at += head?.[0].length ?? 0;
  const inner = readAlternatives(reader);
  return take(reader) === ")" ? inner : undefined;
}

const range = (from: string, to: string): readonly string[] => {
  const start = from.codePointAt(0) ?? 0;
  const count = (to.codePointAt(0) ?? 0) - start + 1;
  return Array.from({ length: Math.min(Math.max(count, 0), 1_000) }, (_, offset) =>
    String.fromCodePoint(start + offset),
  );
};

const printable = range(" ", "~");
const digits = range("0", "9");
const word = [...digits, ...range("A", "Z"), "_", ...range("a", "z")];
const space = ["\t", "\n", "\f", "\r", " "];
const without = (excluded: readonly string[]): readonly string[] =>
  printable.filter((character) => !excluded.includes(character));

const escapes: Readonly<Record<string, readonly string[]>> = {
  d: digits,
  D: without(digits),
  w: word,
  W: without(word),
  s: space,
  S: without(space),
  t: ["\t"],
  n: ["\n"],
  r: ["\r"],
  f: ["\f"],
};

function readClass(reader: Reader): Maker | undefined {
  const negated = peek(reader) === "^";
  if (negated) reader.at += 1;
  const members: string[] = [];
  for (let first = true; peek(reader) !== "]" || first; first = false) {
    if (reader.at >= reader.pattern.length) return undefined;
    const posix = /^\[:([a-z]+):\]/.exec(reader.pattern.slice(reader.at, reader.at + 12).join(""));
    if (posix !== null) {
      reader.at += posix[0].length;
      members.push(...(posixClasses[posix[1] ?? ""] ?? []));
      continue;
    }
    members.push(...readMember(reader));
  }
  reader.at += 1;
  const characters = negated ? without(members) : members;
  return characters.length === 0 ? undefined : oneOf(characters);
}

function readMember(reader: Reader): readonly string[] {
  const first = take(reader);
  const known = first === "\\" ? escapes[peek(reader)] : undefined;
  if (known !== undefined) {
    reader.at += 1;
    return known;
  }
  const from = first === "\\" ? take(reader) : first;
  if (peek(reader) !== "-" || reader.pattern[reader.at + 1] === "]") return [from];
  reader.at += 1;
  const last = take(reader);
  return range(from, last === "\\" ? take(reader) : last);
}

const posixClasses: Readonly<Record<string, readonly string[]>> = {
  alnum: word.filter((character) => character !== "_"),
  alpha: [...range("A", "Z"), ...range("a", "z")],
  digit: digits,
  lower: range("a", "z"),
  upper: range("A", "Z"),
  word,
  space,
  xdigit: [...digits, ...range("A", "F"), ...range("a", "f")],
};
