// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { repository } from "#test/support/shared";

// npm run bench [-- NAME...]: every benchmark in a process of its own, since a warm heap of one would colour the next. One
// that has options gets what comes behind its name: npm run bench -- function --help.
const folder = join(repository, "test/bench");
const all = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts" && !file.endsWith(".test.ts"))
  .map((file) => file.slice(0, -3))
  .sort();
const withOptions = ["function"];
const given = process.argv.slice(2);
const behind = given.findIndex((each) => each.startsWith("-"));
const wanted = behind < 0 ? given : given.slice(0, behind);
const options = behind < 0 ? [] : given.slice(behind);
const takesOptions = wanted.length === 1 && withOptions.includes(wanted[0] ?? "");
const isUnknown = wanted.some((name) => !all.includes(name));
if (isUnknown || (options.length > 0 && !takesOptions)) {
  console.log(
    `usage: npm run bench [-- NAME...]\n       npm run bench -- NAME OPTIONS, --help among them, for ${withOptions.join(", ")}\nbenchmarks: ${all.join(", ")}`,
  );
  process.exit(!isUnknown && options.includes("--help") ? 0 : 2);
}
for (const name of wanted.length > 0 ? wanted : all) {
  console.log(`\n## ${name}`);
  const script = join(folder, `${name}.ts`);
  const run = spawnSync(process.execPath, ["--expose-gc", script, ...options], {
    stdio: "inherit",
  });
  if (run.status !== 0) process.exitCode = 1;
}
