// SPDX-License-Identifier: Apache-2.0
import { quoteText } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** A semantic version as blang/semver holds it. A numeric pre-release part is a bigint. */
export type Semver = {
  readonly major: bigint;
  readonly minor: bigint;
  readonly patch: bigint;
  readonly prerelease: readonly (bigint | string)[];
  readonly build: readonly string[];
};

/** Longest text read as a version. */
export const semverLengthMax = 1_024;

const uint64Max = 2n ** 64n - 1n;

/** Reads a strict `major.minor.patch[-pre][+build]`. Never throws; the message is blang/semver's. */
export function parseSemver(text: string): Parsed<Semver> {
  if (text === "") return unparsed("Version string empty");
  if (text.length > semverLengthMax) return unparsed("Version string too long");
  const parts = splitVersion(text);
  if (parts.length !== 3) return unparsed("No Major.Minor.Patch elements found");
  const [majorText = "", minorText = "", tail = ""] = parts;
  const major = readNumber(majorText, "major number", "Major number");
  if (!major.ok) return major;
  const minor = readNumber(minorText, "minor number", "Minor number");
  if (!minor.ok) return minor;
  const [beforeBuild, buildText] = cut(tail, "+");
  const [patchText, prereleaseText] = cut(beforeBuild, "-");
  const patch = readNumber(patchText, "patch number", "Patch number");
  if (!patch.ok) return patch;
  const prerelease = readPrerelease(prereleaseText);
  if (!prerelease.ok) return prerelease;
  const build = buildText?.split(".") ?? [];
  for (const part of build) {
    if (part === "") return unparsed("Build meta data is empty");
    if (!/^[0-9A-Za-z-]+$/.test(part)) {
      return unparsed(`Invalid character(s) found in build meta data ${quoteText(part)}`);
    }
  }
  const numbers = { major: major.value, minor: minor.value, patch: patch.value };
  return parsed({ ...numbers, prerelease: prerelease.value, build });
}

/**
 * Reads a lenient version as the Kubernetes library's `semver(s, true)` does: a leading `v`, missing minor or patch and
 * leading zeros are accepted; white space is not.
 */
export function parseLenientSemver(text: string): Parsed<Semver> {
  if (text.length > semverLengthMax) return unparsed("Version string too long");
  const parts = splitVersion(text.startsWith("v") ? text.slice(1) : text).map(withoutLeadingZeros);
  if (parts.length < 3 && /[+-]/.test(parts.at(-1) ?? "")) {
    return unparsed("short version cannot contain PreRelease/Build meta data");
  }
  while (parts.length < 3) parts.push("0");
  return parseSemver(parts.join("."));
}

/** Order of precedence: -1, 0 or 1. Build data do not count. */
export function compareSemver(a: Semver, b: Semver): -1 | 0 | 1 {
  const numbers = order(a.major, b.major) || order(a.minor, b.minor) || order(a.patch, b.patch);
  if (numbers !== 0) return numbers;
  // A version without a pre-release comes after its pre-releases.
  if (a.prerelease.length === 0) return b.prerelease.length === 0 ? 0 : 1;
  if (b.prerelease.length === 0) return -1;
  for (const [index, part] of a.prerelease.entries()) {
    const other = b.prerelease[index];
    if (other === undefined) return 1;
    const step = comparePart(part, other);
    if (step !== 0) return step;
  }
  return a.prerelease.length < b.prerelease.length ? -1 : 0;
}

/** The version's text; equal to what was parsed. */
export function formatSemver(version: Semver): string {
  const prerelease = version.prerelease.length === 0 ? "" : `-${version.prerelease.join(".")}`;
  const build = version.build.length === 0 ? "" : `+${version.build.join(".")}`;
  return `${version.major}.${version.minor}.${version.patch}${prerelease}${build}`;
}

/** The first two dots part a version into three; later ones belong to pre-release and build. */
function splitVersion(text: string): string[] {
  const [major, rest] = cut(text, ".");
  if (rest === undefined) return [major];
  const [minor, tail] = cut(rest, ".");
  return tail === undefined ? [major, minor] : [major, minor, tail];
}

function cut(text: string, mark: string): readonly [string, string | undefined] {
  const place = text.indexOf(mark);
  return place === -1 ? [text, undefined] : [text.slice(0, place), text.slice(place + 1)];
}

function readNumber(text: string, lower: string, upper: string): Parsed<bigint> {
  if (/[^0-9]/.test(text)) {
    return unparsed(`Invalid character(s) found in ${lower} ${quoteText(text)}`);
  }
  if (text.length > 1 && text.startsWith("0")) {
    return unparsed(`${upper} must not contain leading zeroes ${quoteText(text)}`);
  }
  return readUint(text);
}

function readUint(text: string): Parsed<bigint> {
  if (text === "") return unparsed(`strconv.ParseUint: parsing "": invalid syntax`);
  const value = BigInt(text);
  if (value > uint64Max) {
    return unparsed(`strconv.ParseUint: parsing ${quoteText(text)}: value out of range`);
  }
  return parsed(value);
}

function readPrerelease(text: string | undefined): Parsed<readonly (bigint | string)[]> {
  const parts: (bigint | string)[] = [];
  for (const part of text?.split(".") ?? []) {
    if (part === "") return unparsed("Prerelease is empty");
    if (/^[0-9]+$/.test(part)) {
      if (part.length > 1 && part.startsWith("0")) {
        return unparsed(
          `Numeric PreRelease version must not contain leading zeroes ${quoteText(part)}`,
        );
      }
      const value = readUint(part);
      if (!value.ok) return value;
      parts.push(value.value);
    } else if (/^[0-9A-Za-z-]+$/.test(part)) {
      parts.push(part);
    } else {
      return unparsed(`Invalid character(s) found in prerelease ${quoteText(part)}`);
    }
  }
  return parsed(parts);
}

function withoutLeadingZeros(part: string): string {
  if (part.length < 2) return part;
  const rest = part.replace(/^0+/, "");
  return /^[0-9]/.test(rest) ? rest : `0${rest}`;
}

/** Numbers come before words; words are ordered by their bytes. */
function comparePart(a: bigint | string, b: bigint | string): -1 | 0 | 1 {
  if (typeof a === typeof b) return order(a, b);
  return typeof a === "bigint" ? -1 : 1;
}

function order<T extends bigint | number | string>(a: T, b: T): -1 | 0 | 1 {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
