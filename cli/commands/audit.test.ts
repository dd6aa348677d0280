// SPDX-License-Identifier: Apache-2.0
import { afterAll, describe, expect, test } from "vitest";
import { auditLine, genesis } from "#responder/audit";
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
});
afterAll(folder.remove);

describe("audit verify", () => {
  test.each([
    { reason: "a whole log", file: "whole.jsonl", code: 0, says: "4 lines, whole" },
    { reason: "a log that has not begun", file: "empty.jsonl", code: 0, says: "0 lines, whole" },
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
    { reason: "two files", words: ["verify", "whole.jsonl", "cut.jsonl"] },
  ])("bad usage: $reason", async ({ words }) => {
    const ran = await folder.run(auditCommand, ...words);
    expect(ran).toMatchObject({ code: 2, out: "" });
    expect(ran.err).toMatch(/audit verify FILE|one log at a time/);
  });

  test("says the same to machines", async () => {
    const good = await folder.run(auditCommand, "verify", "whole.jsonl", "-o", "json");
    const want = { file: "whole.jsonl", ok: true, lines: 4, last: lines[3]?.hash };
    expect(JSON.parse(good.out)).toEqual(want);
    const bad = await folder.run(auditCommand, "verify", "changed.jsonl", "-o", "json");
    expect(JSON.parse(bad.out)).toMatchObject({ ok: false, line: 2, reason: "was changed" });
  });
});
