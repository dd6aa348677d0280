// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileBytesMax, readText } from "./files.ts";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "parapet-files-"));
  writeFileSync(path.join(folder, "ten.yaml"), "0123456789");
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

test.each([
  { reason: "a file up to the limit is read", file: "ten.yaml", bytesMax: 10, want: "0123456789" },
  { reason: "a larger one is not", file: "ten.yaml", bytesMax: 9, want: /more than 9 bytes/ },
  {
    reason: "a device without an end is left",
    file: "/dev/zero",
    bytesMax: 9,
    want: /more than 9 bytes/,
  },
  {
    reason: "one that is empty is an empty file",
    file: "/dev/null",
    bytesMax: fileBytesMax,
    want: "",
  },
  { reason: "a folder is none", file: ".", bytesMax: fileBytesMax, want: "a folder, not a file" },
  { reason: "what is not there", file: "none.yaml", bytesMax: fileBytesMax, want: "no such file" },
])("$reason", ({ file, bytesMax, want }) => {
  const read = readText(file, { folder, stdin: () => "" }, bytesMax);
  const text = read.ok ? read.text : read.message;
  if (typeof want === "string") expect(text).toBe(want);
  else expect(text).toMatch(want);
});
