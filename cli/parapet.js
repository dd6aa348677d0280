#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The installed command. Node strips types from a checkout by itself, but not from files below node_modules, where npm
// puts an installed package: there the same stripping is asked for here, for this package's own files only.
import { readFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";

const { registerHooks, stripTypeScriptTypes } = nodeModule;
if (stripTypeScriptTypes === undefined || registerHooks === undefined) {
  process.stderr.write(
    `parapet: needs Node 24.12 or newer, this is ${process.version}; in a checkout npm run -s parapet -- has its own\n`,
  );
  process.exit(2);
}

const own = new URL("..", import.meta.url).href;

if (own.includes("/node_modules/")) {
  // The function is marked experimental; whoever runs a command has no use for hearing so.
  process.removeAllListeners("warning");
  registerHooks({
    load: (url, context, next) => {
      const isOwn = url.startsWith(own) && !url.slice(own.length).startsWith("node_modules/");
      if (!isOwn || !url.endsWith(".ts")) return next(url, context);
      const source = stripTypeScriptTypes(readFileSync(fileURLToPath(url), "utf8"));
      return { format: "module", source, shortCircuit: true };
    },
  });
}

await import("./main.ts");
