// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const repository = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/**
 * The folder of test data from elsewhere: `PARAPET_SHARED`, by default `../shared` beside the checkout.
 * undefined, with one loud line, where `part` of it is absent; with CI=true that is a failure.
 */
export function shared(part: string): string | undefined {
  const folder = join(process.env["PARAPET_SHARED"] ?? join(repository, "../shared"), part);
  if (existsSync(folder)) return folder;
  const message = `SKIPPED: test data ${part} is absent; set PARAPET_SHARED to the folder that has it`;
  if (process.env["CI"] === "true") throw new Error(message);
  console.warn(message);
  return undefined;
}
