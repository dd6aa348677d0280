// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { showControls } from "#policy/text/controls";

it.each([
  { reason: "plain text stays", given: "Pod/prod/web: ä, 字, 🦉", want: "Pod/prod/web: ä, 字, 🦉" },
  { reason: "terminals are not steered", given: "\u001B[31mred\u009B", want: "\\x1b[31mred\\x9b" },
  { reason: "a row stays a row", given: "a\nb", want: "a\\nb" },
  {
    reason: "what is read is what is there: the direction of writing is not turned around",
    given: "approved\u202E denied\u202C \u2066x\u2069",
    want: "approved\\u202e denied\\u202c \\u2066x\\u2069",
  },
  {
    reason: "nor by the marks that change only what is near",
    given: "a\u200Fb",
    want: "a\\u200fb",
  },
])("$reason", ({ given, want }) => {
  expect(showControls(given)).toBe(want);
});

it("keeps the characters that are asked for, and no other", () => {
  expect(showControls("a\n\tb\u202E", "\n\t")).toBe("a\n\tb\\u202e");
});
