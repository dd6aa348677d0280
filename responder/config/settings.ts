// SPDX-License-Identifier: Apache-2.0

/** One setting of the configuration file. */
export type Setting = { readonly path: string; readonly kind: string };

/** Every setting that a JSON Schema has, in its order, with what it takes and its default. Lists are marked by `[]`. */
export const settingsOf = (schema: unknown): readonly Setting[] => walk(schema, "");

function walk(schema: unknown, path: string): readonly Setting[] {
  if (!isRecord(schema)) return [];
  const choices = schema["anyOf"];
  if (Array.isArray(choices)) return distinct(choices.flatMap((one) => walk(one, path)));
  if (schema["type"] === "array") return walk(schema["items"], `${path}[]`);
  if (schema["type"] !== "object") return [{ path, kind: kindOf(schema) }];
  const properties = isRecord(schema["properties"]) ? Object.entries(schema["properties"]) : [];
  return properties.flatMap(([name, below]) => walk(below, path === "" ? name : `${path}.${name}`));
}

const distinct = (settings: readonly Setting[]): readonly Setting[] =>
  settings.filter((one, i) => settings.findIndex((other) => other.path === one.path) === i);

function kindOf(schema: Readonly<Record<string, unknown>>): string {
  const { enum: names, type, default: preset } = schema;
  const what = Array.isArray(names) ? names.join("|") : typeof type === "string" ? type : "value";
  return preset === undefined || preset === ""
    ? what
    : `${what}, ${typeof preset === "string" ? preset : JSON.stringify(preset)} unless given`;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
