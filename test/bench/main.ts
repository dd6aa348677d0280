// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { repository } from "#test/support/shared";

// npm run bench [-- NAME...]: every benchmark in a process of its own, since a warm heap of one would colour the next.
const folder = join(repository, "test/bench");
const all = readdirSync(folder)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts" && !file.endsWith(".test.ts"))
  .map((file) => file.slice(0, -3))
  .sort();
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !all.includes(name));
if (wanted.includes("--help") || unknown.length > 0) {
  console.log(`usage: npm run bench [-- NAME...]\nbenchmarks: ${all.join(", ")}`);
  process.exit(wanted.includes("--help") ? 0 : 2);
}
for (const name of wanted.length > 0 ? wanted : all) {
  console.log(`\n## ${name}`);
  const run = spawnSync(process.execPath, ["--expose-gc", join(folder, `${name}.ts`)], {
    stdio: "inherit",
  });
  if (run.status !== 0) process.exitCode = 1;
}
