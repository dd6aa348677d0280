// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { workedMs } from "#test/support/cpu-time";
import { namedFormats } from "./format-names.ts";

const problems = (name: string, text: string): readonly string[] | undefined =>
  namedFormats.get(name)?.check(text);

test.each([
  ["dns1123Label", "my-label-1"],
  ["dns1123Label", "a".repeat(63)],
  ["dns1123Subdomain", "a.b-c.d"],
  ["dns1035Label", "my-svc"],
  ["qualifiedName", "example.com/My_name.1"],
  ["dns1123LabelPrefix", "web-"],
  ["dns1123SubdomainPrefix", "a.web-"],
  ["dns1035LabelPrefix", "web-"],
  ["labelValue", ""],
  ["labelValue", "A_b-1.c"],
  ["uri", "https://example.com/x"],
  ["uri", "/x"],
  ["uuid", "123e4567-E89B-12d3-a456-426614174000"],
  ["uuid", "123e4567e89b12d3a456426614174000"],
  ["byte", "aGVsbG8="],
  ["date", "2024-02-29"],
  ["datetime", "2024-01-01T23:59:59.5Z"],
  ["datetime", "2024-01-01t00:00:00+01:00"],
])("%s takes %s", (name, text) => {
  expect(problems(name, text)).toEqual([]);
});

test.each([
  [
    "dns1123Label",
    "My-Label",
    [
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ],
  ],
  ["dns1123Label", "a.b", ["must not contain dots"]],
  ["dns1123Label", "a".repeat(64), ["must be no more than 63 characters"]],
  ["labelValue", "a".repeat(64), ["must be no more than 63 bytes"]],
  ["qualifiedName", "/a", ["prefix part must be non-empty"]],
  ["uuid", "123e4567", ["does not match the UUID format"]],
  ["byte", "", ["invalid base64"]],
  ["byte", "aGVsbG8", ["invalid base64"]],
  ["date", "2023-02-29", ["invalid date"]],
  ["date", "2024-1-1", ["invalid date"]],
  ["datetime", "2024-01-01T24:00:00Z", ["invalid datetime"]],
  ["datetime", "2024-01-01", ["invalid datetime"]],
  ["uri", "x", ['parse "x": invalid URI for request']],
])("%s refuses %s", (name, text, want) => {
  expect(problems(name, text)).toEqual(want);
});

test("a long text that almost fits is refused in no time", () => {
  const started = workedMs();
  for (const name of namedFormats.keys()) problems(name, `${"a-".repeat(100_000)}!`);
  expect(workedMs() - started).toBeLessThan(2_000);
});
