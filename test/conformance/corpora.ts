// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { parseText } from "#policy/yaml";
import type { Json } from "#policy/json";
import { shared } from "#test/support/shared";

/** The folder of Kyverno's policies, tests and recorded answers; '' where it is absent, which is said once. */
export const corporaFolder = shared("corpora") ?? "";

/** The rows of a tab-separated file of the corpora, unpacked where its name ends in .gz. */
export function readRows(file: string): readonly (readonly string[])[] {
  return readCorpus(file)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
}

export function readCorpus(file: string): string {
  const bytes = readFileSync(path.join(corporaFolder, file));
  return (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
}

/** The YAML documents of a file of the corpora. */
export function readYaml(file: string): readonly Json[] {
  const parsed = parseText(readCorpus(file));
  if (!parsed.ok) throw new Error(`${file}: ${parsed.message}`);
  return parsed.documents;
}
