// SPDX-License-Identifier: Apache-2.0
import { enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";

// Compiled code of an earlier start halves the next one. In the data directory, not in a shared temporary one: it is code.
const data = process.env["PARAPET_DATA"];
if (data !== undefined && data !== "") enableCompileCache(join(data, "compile-cache"));

try {
  const { main } = await import("#responder/command");
  const code = await main(process.argv.slice(2));
  if (code !== undefined) process.exit(code);
  // Node writes it when it ends, which a process that is killed never does.
  flushCompileCache();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : "failed"}\n`);
  process.exit(1);
}
