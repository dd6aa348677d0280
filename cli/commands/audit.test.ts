// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { auditLine, chainStart, genesis } from "#responder/record/audit";
import { keptText } from "#responder/evidence";
import { makeFolder } from "../testing.ts";
import { auditCommand } from "./audit.ts";

/** A log of four entries, each with its hash. */
function makeLog() {
  let previous = { hash: genesis, number: 0 };
  return ["opened", "intended", "applied", "undone"].map((what, index) => {
    const entry = { what, who: "parapet", remediation: "prod/web-1", detail: { n: index } };
    const line = auditLine(previous, entry, 1_750_000_000_000 + index);
    previous = line;
    return line;
  });
}

const lines = makeLog();
const text = (list: readonly string[]): string => list.map((line) => `${line}\n`).join("");
const all = lines.map((line) => line.text);
const at = (index: number): string => all[index] ?? "";

/** A line that somebody changed and gave the right hash, which the next one does not continue. */
function rehashed(): string {
  const entry = { what: "intended", who: "mallory", remediation: "prod/web-1", detail: { n: 1 } };
  return auditLine(lines[0] ?? chainStart, entry, 1_750_000_000_001).text;
}

const bundle = '{"pod":"web-1"}\n';

function evidenceLine(): string {
  const sha256 = createHash("sha256").update(bundle).digest("hex");
  const note = keptText({ sha256, location: "s3://evidence/prod/web-1.json" });
  const entry = { what: "did", who: "parapet", remediation: "prod/web-1", detail: { note } };
  return auditLine(chainStart, entry, 0).text;
}

const folder = makeFolder({
  "whole.jsonl": text(all),
  "empty.jsonl": "",
  "changed.jsonl": text([at(0), at(1).replace("prod/web-1", "prod/web-2"), at(2), at(3)]),
  "dropped.jsonl": text([at(0), at(2), at(3)]),
  "first-dropped.jsonl": text(all.slice(1)),
  "swapped.jsonl": text([at(0), at(2), at(1), at(3)]),
  "repeated.jsonl": text([at(0), at(0), at(1)]),
  "cut.jsonl": text(all.slice(0, 3)),
  "half.jsonl": `${text(all.slice(0, 2))}${at(2).slice(0, 40)}`,
  "rubbish.jsonl": text([at(0), "\u001b[31m rubbish"]),
  "list.jsonl": text(["[]"]),
  "spaced.jsonl": text([at(0), at(1).replace('"who":', '"who": '), at(2), at(3)]),
  "doubled.jsonl": text([at(0), at(1).replace('"who":', '"who":"mallory","who":'), at(2)]),
  "blank.jsonl": text([at(0), "", at(1)]),
  "windows.jsonl": `${at(0)}\r\n${at(1)}\r\n`,
  "rehashed.jsonl": text([at(0), rehashed(), at(2), at(3)]),
  "emptied.jsonl": text([at(0), at(1).replace(/,"hash":"[0-9a-f]+"/, "")]),
  "first.jsonl": text(all.slice(0, 1)),
  "older.jsonl": text(all.slice(0, 2)),
  "newer.jsonl": text(all.slice(2)),
  "web-1.json": bundle,
  "changed/web-1.json": `${bundle} `,
  "other.json": bundle,
  "evidence.jsonl": text([evidenceLine()]),
});
afterAll(folder.remove);

describe("audit verify", () => {
  test.each([
    { reason: "a whole log", file: "whole.jsonl", code: 0, says: "4 lines, whole" },
    {
      reason: "a log that has not begun",
      file: "empty.jsonl",
      code: 0,
      says: "no line yet, or all of them cut off",
    },
    { reason: "a changed word", file: "changed.jsonl", code: 1, says: "line 2 was changed" },
    {
      reason: "a line left out",
      file: "dropped.jsonl",
      code: 1,
      says: "line 2 does not continue the line before",
    },
    {
      reason: "the beginning left out",
      file: "first-dropped.jsonl",
      code: 1,
      says: "line 1 does not continue the line before",
    },
    {
      reason: "two lines in another order",
      file: "swapped.jsonl",
      code: 1,
      says: "line 2 does not continue the line before",
    },
    {
      reason: "a line put in twice",
      file: "repeated.jsonl",
      code: 1,
      says: "line 2 does not continue the line before",
    },
    {
      reason: "a changed line with the right hash",
      file: "rehashed.jsonl",
      code: 1,
      says: "line 3 does not continue the line before",
    },
    {
      reason: "a space that was put in",
      file: "spaced.jsonl",
      code: 1,
      says: "line 2 was written in another way",
    },
    {
      reason: "a member twice, so that people read another one than programs",
      file: "doubled.jsonl",
      code: 1,
      says: "line 2 was written in another way",
    },
    { reason: "an empty line", file: "blank.jsonl", code: 1, says: "line 2 is no JSON object" },
    {
      reason: "other line ends",
      file: "windows.jsonl",
      code: 1,
      says: "line 1 was written in another way",
    },
    { reason: "a hash taken away", file: "emptied.jsonl", code: 1, says: "line 2 was changed" },
    { reason: "half a line", file: "half.jsonl", code: 1, says: "line 3 is no JSON object" },
    { reason: "no JSON", file: "rubbish.jsonl", code: 1, says: "line 2 is no JSON object" },
    { reason: "JSON, but no entry", file: "list.jsonl", code: 1, says: "line 1 is no JSON object" },
    { reason: "a file that is not there", file: "nowhere.jsonl", code: 2, says: "no such file" },
  ])("$reason", async ({ file, code, says }) => {
    const ran = await folder.run(auditCommand, "verify", file);
    expect(ran.code).toBe(code);
    expect(ran.out + ran.err).toContain(says);
    // What a log holds must not steer the terminal of who checks it.
    expect(ran.out).not.toContain("\u001b");
  });

  test.each([
    { reason: "the same end", file: "whole.jsonl", last: lines[3]?.hash, code: 0 },
    { reason: "a log that went on since", file: "whole.jsonl", last: lines[1]?.hash, code: 0 },
    { reason: "a log whose end was cut off", file: "cut.jsonl", last: lines[3]?.hash, code: 1 },
    { reason: "another log", file: "whole.jsonl", last: "f".repeat(64), code: 1 },
    { reason: "what is no hash", file: "whole.jsonl", last: "abc", code: 2 },
  ])("against an earlier hash: $reason", async ({ file, last, code }) => {
    const ran = await folder.run(auditCommand, "verify", file, "--last", last ?? "");
    expect(ran.code).toBe(code);
    if (code === 1) expect(ran.out).toContain("is missing");
  });

  test.each([
    { reason: "no verb", words: [] },
    { reason: "another verb", words: ["check", "whole.jsonl"] },
    { reason: "no file", words: ["verify"] },
    { reason: "no hash before it", words: ["verify", "whole.jsonl", "--after", "xyz"] },
  ])("bad usage: $reason", async ({ words }) => {
    const ran = await folder.run(auditCommand, ...words);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(/audit verify FILE|hexadecimal/);
  });

  test.each([
    {
      reason: "one chain over two files, named in any order",
      words: ["newer.jsonl", "older.jsonl"],
      code: 0,
      says: "4 lines, whole",
    },
    {
      reason: "a new file that holds nothing yet",
      words: ["whole.jsonl", "empty.jsonl"],
      code: 0,
      says: "4 lines, whole",
    },
    {
      reason: "the newer file alone, after the archived one's last hash",
      words: ["newer.jsonl", "--after", lines[1]?.hash ?? ""],
      code: 0,
      says: "2 lines, whole",
    },
    {
      reason: "after another hash",
      words: ["newer.jsonl", "--after", lines[0]?.hash ?? ""],
      code: 1,
      says: "line 1 does not continue the line before",
    },
    {
      reason: "a file between them left out",
      words: ["first.jsonl", "newer.jsonl"],
      code: 1,
      says: "newer.jsonl: line 1 does not continue the line before",
    },
    {
      reason: "the same file twice",
      words: ["older.jsonl", "older.jsonl"],
      code: 1,
      says: "line 1 does not continue",
    },
  ])("several files: $reason", async ({ words, code, says }) => {
    const ran = await folder.run(auditCommand, "verify", ...words);
    expect(ran.code).toBe(code);
    expect(ran.out).toContain(says);
  });

  test.each([
    { reason: "as it was kept", file: "web-1.json", code: 0, says: "as it was kept" },
    { reason: "changed", file: "changed/web-1.json", code: 1, says: "was changed" },
    { reason: "put there by somebody", file: "other.json", code: 1, says: "is named nowhere" },
  ])("evidence: $reason", async ({ file, code, says }) => {
    const ran = await folder.run(auditCommand, "verify", "evidence.jsonl", "--evidence", file);
    expect(ran.code).toBe(code);
    expect(ran.out).toContain(says);
  });

  test("says the same to machines", async () => {
    const good = await folder.run(auditCommand, "verify", "whole.jsonl", "-o", "json");
    const want = { file: "whole.jsonl", ok: true, lines: 4, last: lines[3]?.hash };
    expect(JSON.parse(good.out)).toEqual(want);
    const bad = await folder.run(auditCommand, "verify", "changed.jsonl", "-o", "json");
    expect(JSON.parse(bad.out)).toMatchObject({ ok: false, line: 2, reason: "was changed" });
  });
});
