#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { enableCompileCache } from "node:module";
import { isMainThread } from "node:worker_threads";

// Must come before everything else is loaded: a second start then takes half as long. Without a writable folder for
// temporary files Node goes on without it.
enableCompileCache();
if (isMainThread) {
  const { start } = await import("./start.ts");
  await start(process.argv.slice(2), process.env, new URL(import.meta.url));
} else {
  // The workers run this very file, so that a bundle of it needs no other.
  const { serveCalls } = await import("./workers/thread.ts");
  serveCalls();
}
