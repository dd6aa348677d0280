#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { enableCompileCache } from "node:module";

// Must come before everything else is loaded: a second start then takes half as long. Without a writable folder for
// temporary files Node goes on without it.
enableCompileCache();
const { start } = await import("./start.ts");
await start(process.argv.slice(2), process.env);
