// SPDX-License-Identifier: Apache-2.0

/** JSON whose whole numbers keep every digit: those outside the safe range of a double are bigints. */
export type ExactJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly ExactJson[]
  | ExactObject;

export interface ExactObject {
  readonly [key: string]: ExactJson;
}

export const isExactObject = (value: unknown): value is ExactObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isExactArray = (value: unknown): value is readonly ExactJson[] => Array.isArray(value);

/** Bounds on one body; a body over them is refused before anything is built from it. */
export type JsonLimits = {
  /** Nesting of objects and arrays. Falco's own alerts have 2; k8s_audit objects inside a field about 12. */
  readonly depthMax: number;
  /** Object members in the whole body. */
  readonly membersMax: number;
  /** Top-level values in the body: log shippers batch, Falco and falcosidekick send one. */
  readonly documentsMax: number;
};

export const jsonLimits: JsonLimits = { depthMax: 32, membersMax: 20_000, documentsMax: 1_000 };

/** The values of a body in order, and why reading stopped when it did not reach the end. */
export type Documents = {
  readonly values: readonly { readonly value: ExactJson; readonly text: string }[];
  readonly problems: readonly string[];
};

/**
 * Reads one JSON value, or several separated by white space (NDJSON). A line with a fault costs that line: reading goes on with
 * the next one that begins a value. Never throws; no value deeper or larger than `limits` is built.
 */
export function readDocuments(text: string, limits: JsonLimits = jsonLimits): Documents {
  const slices = sliceDocuments(text, limits);
  const values: { readonly value: ExactJson; readonly text: string }[] = [];
  const problems: string[] = [...slices.problems];
  for (const slice of slices.texts) {
    const read = readExact(slice);
    if (read.ok) values.push({ value: read.value, text: slice });
    else problems.push(read.problem);
  }
  return { values, problems };
}

type Slices = { readonly texts: readonly string[]; readonly problems: readonly string[] };

/** Faults after which reading still goes on; each may cost a look at all that is left. */
const faultsMax = 20;

/** Finds where each top-level object or array ends, by brackets outside strings, counting depth and members on the way. */
function sliceDocuments(text: string, limits: JsonLimits): Slices {
  const texts: string[] = [];
  const problems: string[] = [];
  let members = 0;
  let here = skipSpace(text, 0);
  while (here < text.length) {
    if (texts.length >= limits.documentsMax) {
      problems.push(`more than ${limits.documentsMax} values in one body`);
      break;
    }
    const end = documentEnd(text, here, limits.depthMax, limits.membersMax - members);
    if (!end.ok) {
      problems.push(end.problem);
      const next = end.isFinal || problems.length >= faultsMax ? -1 : nextLine(text, here);
      if (next < 0) break;
      here = next;
      continue;
    }
    members += end.members;
    texts.push(text.slice(here, end.end));
    here = skipSpace(text, end.end);
  }
  return { texts, problems };
}

type DocumentEnd =
  | { readonly ok: true; readonly end: number; readonly members: number }
  /** `isFinal`: a limit is reached, which the rest of the body does not change. */
  | { readonly ok: false; readonly problem: string; readonly isFinal: boolean };

function documentEnd(
  text: string,
  start: number,
  depthMax: number,
  membersMax: number,
): DocumentEnd {
  const first = text[start];
  if (first !== "{" && first !== "[") {
    const problem = `expected an object or an array at offset ${start}`;
    return { ok: false, problem, isFinal: false };
  }
  let depth = 0;
  let members = 0;
  for (let i = start; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x22) {
      i = stringEnd(text, i);
      if (i < 0) break;
    } else if (char === 0x7b || char === 0x5b) {
      depth += 1;
      if (depth > depthMax) {
        return { ok: false, problem: `nested deeper than ${depthMax} levels`, isFinal: true };
      }
    } else if (char === 0x7d || char === 0x5d) {
      depth -= 1;
      if (depth === 0) return { ok: true, end: i + 1, members };
    } else if (char === 0x3a) {
      members += 1;
      if (members > membersMax) {
        return { ok: false, problem: "too many object members", isFinal: true };
      }
    }
  }
  return { ok: false, problem: "the body ends in the middle of a value", isFinal: false };
}

/** Where the next line begins that begins with a value; -1 when there is none. */
function nextLine(text: string, from: number): number {
  const begin = /\n[ \t\r]{0,100}[{[]/g;
  begin.lastIndex = from;
  return begin.test(text) ? begin.lastIndex - 1 : -1;
}

/** Index of the quote that closes the string opened at `open`; -1 when there is none on its line, where JSON wants it. */
function stringEnd(text: string, open: number): number {
  for (let i = open + 1; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x5c) i += 1;
    else if (char === 0x22) return i;
    else if (char === 0x0a) return -1;
  }
  return -1;
}

function skipSpace(text: string, from: number): number {
  let here = from;
  while (here < text.length && " \t\r\n".includes(text.charAt(here))) here += 1;
  return here;
}

type Read =
  | { readonly ok: true; readonly value: ExactJson }
  | { readonly ok: false; readonly problem: string };

function readExact(text: string): Read {
  try {
    // Only a run of 16 digits can leave the safe range; most bodies hold one (evt.time), plain ones skip the reviver.
    const value: unknown = /\d{16}/.test(text) ? JSON.parse(text, exactNumber) : JSON.parse(text);
    return isExact(value) ? { ok: true, value } : { ok: false, problem: "no JSON value" };
  } catch (error) {
    const message = error instanceof Error ? error.message : "unreadable";
    return { ok: false, problem: `not JSON: ${message.slice(0, 120)}` };
  }
}

/** `context.source` is the number's text (ECMAScript's JSON.parse source text access). */
function exactNumber(
  _key: string,
  value: unknown,
  context?: { readonly source?: string },
): unknown {
  const source = context?.source;
  if (typeof value !== "number" || Number.isSafeInteger(value) || source === undefined)
    return value;
  return /^-?\d{1,64}$/.test(source) ? BigInt(source) : value;
}

/** What JSON.parse and {@link exactNumber} give is exact JSON; only the top needs a look. */
const isExact = (value: unknown): value is ExactJson => value !== undefined;

/** One text for equal values: keys sorted, all digits. For hashing. */
export function canonical(value: ExactJson): string {
  if (typeof value === "bigint") return value.toString();
  if (isExactArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isExactObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key] ?? null)}`);
  return `{${members.join(",")}}`;
}
