// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { parseSemverRange } from "./semver-range.ts";
import {
  compareSemver,
  formatSemver,
  parseLenientSemver,
  parseSemver,
  type Semver,
} from "./semver.ts";

function read(text: string): Semver {
  const version = parseSemver(text);
  if (!version.ok) throw new Error(version.message);
  return version.value;
}

// The order of semver.org's section 11, and numbers beyond an int64.
const ascending = [
  "0.0.0",
  "0.9.10",
  "1.0.0-1",
  "1.0.0-alpha",
  "1.0.0-alpha.1",
  "1.0.0-alpha.beta",
  "1.0.0-beta",
  "1.0.0-beta.2",
  "1.0.0-beta.11",
  "1.0.0-rc.1",
  "1.0.0",
  "2.0.0",
  "10.0.0",
  "18446744073709551615.0.0",
];

test("versions are ordered as semver.org orders them", () => {
  for (const [i, a] of ascending.entries()) {
    for (const [j, b] of ascending.entries()) {
      expect([a, b, compareSemver(read(a), read(b))]).toEqual([a, b, Math.sign(i - j)]);
    }
    expect(formatSemver(read(a))).toBe(a);
  }
});

test("build data do not count", () => {
  expect(compareSemver(read("1.0.0+a"), read("1.0.0+b.c"))).toBe(0);
  expect(formatSemver(read("1.0.0-x+a.01"))).toBe("1.0.0-x+a.01");
});

test.each([
  ["", "Version string empty"],
  ["1.2", "No Major.Minor.Patch elements found"],
  ["v1.2.3", 'Invalid character(s) found in major number "v1"'],
  ["01.2.3", 'Major number must not contain leading zeroes "01"'],
  ["1.2.3.4", 'Invalid character(s) found in patch number "3.4"'],
  ["1.2.3-", "Prerelease is empty"],
  ["1.2.3-01", 'Numeric PreRelease version must not contain leading zeroes "01"'],
  ["1.2.3+", "Build meta data is empty"],
  ["1.2.3+a_b", 'Invalid character(s) found in build meta data "a_b"'],
  ["18446744073709551616.0.0", 'parsing "18446744073709551616": value out of range'],
  ["1..3", 'parsing "": invalid syntax'],
])("%s is refused: %s", (text, message) => {
  const version = parseSemver(text);
  expect(version.ok ? "" : version.message).toContain(message);
});

test.each([
  ["v1.2", "1.2.0"],
  ["v01", "1.0.0"],
  ["1.02.003-a", "1.2.3-a"],
  ["00.0.0", "0.0.0"],
])("the lenient reading of %s is %s", (text, want) => {
  const version = parseLenientSemver(text);
  expect(version.ok ? formatSemver(version.value) : version.message).toBe(want);
});

test("a short version has no pre-release", () => {
  expect(parseLenientSemver("1.2-a").ok).toBe(false);
  expect(parseLenientSemver(" 1.2.3").ok).toBe(false);
});

test.each([
  [">=1.0.0 <2.0.0", ["1.0.0", "1.9.9"], ["0.9.0", "2.0.0"]],
  ["<1.0.0 || >=3.0.0", ["0.1.0", "3.0.0"], ["1.0.0", "2.9.9"]],
  [">1.0.0 <3.0.0 !2.0.3-beta.2", ["2.0.3"], ["2.0.3-beta.2", "1.0.0"]],
  ["1.2.x", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]],
  [">1.x", ["2.0.0"], ["1.9.9"]],
  ["<=1.2.x", ["1.2.9"], ["1.3.0"]],
  [">= 1.0.0", ["1.0.0"], ["0.9.9"]],
  ["==1.0.0", ["1.0.0", "1.0.0+b"], ["1.0.1"]],
])("the range %s", (text, inside, outside) => {
  const range = parseSemverRange(text);
  if (!range.ok) throw new Error(range.message);
  expect(inside.map((version) => range.value(read(version)))).not.toContain(false);
  expect(outside.map((version) => range.value(read(version)))).not.toContain(true);
});

test.each([
  ["", "Last element in range is '||'"],
  ["|| 1.0.0", "First element in range is '||'"],
  ["1.0.0 || || 2.0.0", "Range has an empty part"],
  ["~1.0.0", 'Could not parse comparator "~" in "~1.0.0"'],
  [">=1.0", "No Major.Minor.Patch elements found"],
  [">=abc", "Could not get version from string"],
])("the range %s is refused: %s", (text, message) => {
  const range = parseSemverRange(text);
  expect(range.ok ? "" : range.message).toContain(message);
});
