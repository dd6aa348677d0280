// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it reads the package's own manifest.
import { readFileSync } from "node:fs";
import path from "node:path";

/** The version of this package. */
export function version(): string {
  const file = path.join(import.meta.dirname, "../package.json");
  const found = /"version":\s*"([^"]+)"/.exec(readFileSync(file, "utf8"));
  return found?.[1] ?? "unknown";
}
