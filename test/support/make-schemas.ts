// SPDX-License-Identifier: Apache-2.0
// Writes policy/kubernetes/schemas.json from the OpenAPI v3 files of a Kubernetes release:
//   node test/support/make-schemas.ts KUBERNETES/api/openapi-spec/v3 policy/kubernetes/schemas.json
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { at, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { packSchemas } from "#policy/kubernetes/open-api-schema";

const [, , directory = "", target = ""] = process.argv;

/** All schemas of all groups; a type that several groups use is the same in each. */
function readSchemas(from: string): JsonObject {
  const schemas: Record<string, Json> = {};
  for (const name of readdirSync(from).sort()) {
    if (!/^apis?__.+_openapi\.json$/.test(name)) continue;
    // JSON.parse gives any: what is read from it goes through at() and isObject.
    const document: unknown = JSON.parse(readFileSync(join(from, name), "utf8"));
    if (!isObject(document)) throw new Error(`${name} is no object`);
    const found = at(document, ["components", "schemas"]);
    if (isObject(found)) Object.assign(schemas, found);
  }
  return schemas;
}

writeFileSync(target, `${JSON.stringify(packSchemas(readSchemas(directory)))}\n`);
