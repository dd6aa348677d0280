// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { isArray, type Json } from "#policy/json";
import { parseImageReference } from "#policy/kubernetes/image-reference";
import { matchesWildcard } from "#policy/kubernetes/wildcard";
import { parseSemver, type Semver } from "#policy/kubernetes/semver";
import { parseSemverRange } from "#policy/kubernetes/semver-range";
import {
  faultIn,
  numberOf,
  objectOf,
  takes,
  textOf,
  valueOf,
  type Arguments,
  type FunctionTable,
  type Outcome,
} from "#policy/jmespath/functions/signature";
import { formatFloat32 } from "#policy/jmespath/go-format";
import { byCodePoint } from "#policy/text/order";
import { failed, GoInteger, type Value } from "#policy/jmespath/values";

/** Longest text that a function builds, in characters: `replace_all` could multiply its input otherwise. */
export const textLengthMax = 4_194_304;

/** Kyverno's functions over texts (pkg/engine/jmespath/functions.go). */
export const textFunctions: FunctionTable = {
  base64_decode: takes(["string"], base64Decode),
  base64_encode: takes(["string"], (args) =>
    Buffer.from(textOf(args, 0), "utf8").toString("base64"),
  ),
  compare: takes(
    ["string", "string"],
    (args) => new GoInteger(Math.sign(byCodePoint(textOf(args, 0), textOf(args, 1)))),
  ),
  equal_fold: takes(
    ["string", "string"],
    (args) => fold(textOf(args, 0)) === fold(textOf(args, 1)),
  ),
  image_normalize: takes(["string"], imageNormalize),
  label_match: takes(["object", "object"], labelMatch),
  md5: takes(["string"], (args) => digest("md5", args)),
  path_canonicalize: takes(["string"], (args) => cleanPath(textOf(args, 0))),
  pattern_match: takes(["string", "string|number"], (args) =>
    matchesWildcard(textOf(args, 0), printed(valueOf(args, 1)) ?? ""),
  ),
  replace: takes(["string", "string", "string", "number"], (args) =>
    replaceText(args, Math.trunc(numberOf(args, 3))),
  ),
  replace_all: takes(["string", "string", "string"], (args) => replaceText(args, -1)),
  semver_compare: takes(["string", "string"], semverCompare),
  sha1: takes(["string"], (args) => digest("sha1", args)),
  sha256: takes(["string"], (args) => digest("sha256", args)),
  split: takes(["string", "string"], (args) => splitText(textOf(args, 0), textOf(args, 1))),
  to_boolean: takes(["string"], toBoolean),
  to_lower: takes(["string"], (args) => mapRunes(textOf(args, 0), toLowerRune)),
  to_upper: takes(["string"], (args) => mapRunes(textOf(args, 0), (rune) => rune.toUpperCase())),
  trim: takes(["string", "string"], (args) => trim(textOf(args, 0), textOf(args, 1))),
  trim_prefix: takes(["string", "string"], (args) => {
    const [text, prefix] = [textOf(args, 0), textOf(args, 1)];
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  }),
  truncate: takes(["string", "number"], (args) =>
    Array.from(textOf(args, 0))
      .slice(0, Math.max(0, Math.trunc(numberOf(args, 1))))
      .join(""),
  ),
};

/** A text, number or boolean as the reference's ifaceToString prints it; numbers as float32. */
export function printed(value: Value): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number") return formatFloat32(value);
  if (value instanceof GoInteger) return String(value.value);
  return typeof value === "boolean" ? String(value) : undefined;
}

function digest(algorithm: "md5" | "sha1" | "sha256", args: Arguments): Outcome {
  return createHash(algorithm).update(textOf(args, 0), "utf8").digest("hex");
}

/** Strict as Go's StdEncoding: padding is required, only line ends are passed over. */
function base64Decode(args: Arguments): Outcome {
  const text = textOf(args, 0).replaceAll(/[\r\n]/g, "");
  const body = /^[A-Za-z0-9+/]*/.exec(text)?.[0] ?? "";
  const padding = text.slice(body.length);
  const remainder = body.length % 4;
  const padded =
    (remainder === 0 && padding === "") ||
    (remainder === 2 && padding === "==") ||
    (remainder === 3 && padding === "=");
  if (!padded) return failed(`illegal base64 data at input byte ${body.length - (remainder % 4)}`);
  return Buffer.from(body, "base64").toString("utf8");
}

/** One text for all that differ by Unicode's simple case folding only; the Turkish i's fold with nothing. */
const fold = (text: string): string => mapRunes(mapRunes(text, foldUp), toLowerRune);

const foldUp = (rune: string): string =>
  rune === "\u0130" || rune === "\u0131" ? `\ue000${rune}` : rune.toUpperCase();

/** The one character whose small letter is two in JavaScript and one in Go. */
const toLowerRune = (rune: string): string => (rune === "\u0130" ? "i" : rune.toLowerCase());

function imageNormalize(args: Arguments): Outcome {
  const image = parseImageReference(textOf(args, 0));
  return image.ok ? image.value.full : faultIn("image_normalize", image.message);
}

/** Whether all of the first object's labels are in the second with equal values. */
function labelMatch(args: Arguments): Outcome {
  const within = objectOf(args, 1);
  return Object.entries(objectOf(args, 0)).every(
    ([key, value]) => Object.hasOwn(within, key) && isSame(within[key] ?? null, value),
  );
}

/** Go's `==` on interface values; it panics on two lists or objects, we call them different. */
function isSame(a: Json, b: Json): boolean {
  return a === b && !isArray(a) && (typeof a !== "object" || a === null);
}

/** filepath.Clean, and '' for ''. */
function cleanPath(path: string): string {
  if (path === "") return "";
  const rooted = path.startsWith("/");
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (!rooted) kept.push("..");
  }
  const joined = kept.join("/");
  if (rooted) return `/${joined}`;
  return joined === "" ? "." : joined;
}

/** strings.Replace: a negative count replaces all, an empty search text stands before each character and at the end. */
function replaceText(args: Arguments, count: number): Outcome {
  const [text, search, replacement] = [textOf(args, 0), textOf(args, 1), textOf(args, 2)];
  if (count === 0 || search === replacement) return text;
  const parts = search === "" ? ["", ...Array.from(text), ""] : text.split(search);
  const times = Math.min(count < 0 ? parts.length : count, parts.length - 1);
  if (text.length + times * replacement.length > textLengthMax) return failed("text is too long");
  const glue = search === "" ? "" : search;
  if (search === "") {
    const runes = Array.from(text);
    const done = runes.map((rune, index) => (index < times ? replacement : "") + rune).join("");
    return times > runes.length ? done + replacement : done;
  }
  return [parts.slice(0, times + 1).join(replacement), ...parts.slice(times + 1)].join(glue);
}

const zeroVersion: Semver | undefined = ((parsed) => (parsed.ok ? parsed.value : undefined))(
  parseSemver("0.0.0"),
);

/** A version that cannot be read counts as 0.0.0, as in the reference. */
function semverCompare(args: Arguments): Outcome {
  const range = parseSemverRange(textOf(args, 1));
  if (!range.ok) return failed(range.message);
  const version = parseSemver(textOf(args, 0));
  const compared = version.ok ? version.value : zeroVersion;
  return compared !== undefined && range.value(compared);
}

function splitText(text: string, separator: string): Json {
  return separator === "" ? Array.from(text) : text.split(separator);
}

function toBoolean(args: Arguments): Outcome {
  const text = textOf(args, 0);
  const lower = text.toLowerCase();
  if (lower === "true" || lower === "false") return lower === "true";
  return faultIn(
    "to_boolean",
    `lowercase argument must be 'true' or 'false' (provided: '${text}')`,
  );
}

/** Case mapping one character to one, as Go does: `ß` stays. */
function mapRunes(text: string, map: (rune: string) => string): string {
  let mapped = "";
  for (const rune of text) {
    const other = map(rune);
    mapped += Array.from(other).length === 1 ? other : rune;
  }
  return mapped;
}

function trim(text: string, cutset: string): string {
  const cut = new Set(cutset);
  const runes = Array.from(text);
  let start = 0;
  let end = runes.length;
  while (start < end && cut.has(runes[start] ?? "")) start += 1;
  while (end > start && cut.has(runes[end - 1] ?? "")) end -= 1;
  return runes.slice(start, end).join("");
}
