// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";
import { readYaml, type YamlLimits } from "#policy/yaml";

/** For a text that stands in a policy or a resource: it is read with every evaluation. */
const limits: YamlLimits = { nesting: 200, values: 100_000 };

/** Reads the first document of a YAML text that stands in a policy or resource, as sigs.k8s.io/yaml does. Never throws. */
export function parseYaml(text: string): Parsed<Json> {
  const read = readYaml(text, limits);
  return read.ok ? parsed(read.documents[0] ?? null) : unparsed(`yaml: ${read.message}`);
}
