// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { isArray, isObject, parseJson } from "#policy/json";
import type { Json } from "#policy/json";
import type { Command } from "./command.ts";
import { commands } from "./commands.ts";
import { auditCommand } from "./commands/audit.ts";
import { checkCommand } from "./commands/check.ts";
import { explainCommand } from "./commands/explain.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { mutateCommand } from "./commands/mutate.ts";
import { testCommand } from "./commands/test.ts";
import { makeFolder } from "./testing.ts";

const repository = path.join(import.meta.dirname, "..");
const readme = readFileSync(path.join(import.meta.dirname, "README.md"), "utf8");
const controls = path.join(repository, "package/policies/controls/aws");
const alert = path.join(repository, "examples/response-shell");

const folder = makeFolder({
  "audit.jsonl": "",
  "team.yaml": `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: require-team}
spec:
  rules:
    - name: team
      match: {any: [{resources: {kinds: [Pod]}}]}
      validate: {message: team is missing, pattern: {metadata: {labels: {team: "?*"}}}}
`,
});

afterAll(() => folder.remove());

/** Whether everything that the example has is there, with the same types; an empty list says nothing of its items. */
function holds(example: Json, found: Json): boolean {
  if (isArray(example) && isArray(found)) {
    const [first] = example;
    const [item] = found;
    return first === undefined || item === undefined || holds(first, item);
  }
  if (isObject(example) && isObject(found)) {
    return Object.entries(example).every(([key, value]) => {
      const there = found[key];
      return there !== undefined && holds(value, there);
    });
  }
  return example === null || found === null
    ? example === found
    : typeof example === typeof found && isObject(example) === isObject(found);
}

const acl = `${controls}/s3-no-public-acl`;
const queue = `${controls}/sqs-encrypted`;

test.each<[string, Command, string]>([
  ["check", checkCommand, `-p ${acl} -r ${acl}/resources.yaml`],
  ["test", testCommand, acl],
  ["mutate", mutateCommand, `-p ${queue} -r ${queue}/open.yaml --diff`],
  ["migrate", migrateCommand, "-p team.yaml"],
  [
    "explain",
    explainCommand,
    `${alert}/alert.json -p ${alert}/policy.yaml --pod ${alert}/cluster.yaml --fresh`,
  ],
  ["audit", auditCommand, "verify audit.jsonl"],
])("the JSON of %s is what the README shows", async (name, command, line) => {
  const [, text = ""] = new RegExp(`\`\`\`json ${name}\n(.*?)\`\`\``, "s").exec(readme) ?? [];
  const { out } = await folder.run(command, ...line.split(" "), "-o", "json");
  expect(parseJson(out)).toSatisfy((found: Json) => holds(parseJson(text), found));
});

test("every command has its line", () => {
  const listed = [...readme.matchAll(/^\| ([a-z]+) \| .* \| .*\|$/gm)].map(([, name = ""]) => name);
  expect(listed.filter((name) => name !== "command").sort()).toEqual([...commands.keys()].sort());
});

test.each([
  {
    reason: "a member that is gone",
    example: { a: [{ b: 1 }] },
    found: { a: [{ c: 1 }] },
    want: false,
  },
  { reason: "another type", example: { a: "1" }, found: { a: 1 }, want: false },
  { reason: "a list in place of an object", example: { a: {} }, found: { a: [] }, want: false },
  { reason: "null in place of a value", example: { a: "" }, found: { a: null }, want: false },
  { reason: "more than the example", example: { a: 1 }, found: { a: 2, b: 3 }, want: true },
])("the comparison sees $reason", ({ example, found, want }) => {
  expect(holds(example, found)).toBe(want);
});
