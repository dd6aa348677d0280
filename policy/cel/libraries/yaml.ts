// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { dynType, opaqueOf, stringType } from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { parseYaml } from "#policy/text/go-yaml";
import { declare, memberOverload } from "./declare.ts";
import { asGoNumbers, Receiver } from "./world.ts";

const yamlType = opaqueOf("yaml.Yaml");

function parse(_yaml: CelValue, text: string): CelResult {
  const value = parseYaml(text);
  return value.ok ? asGoNumbers(value.value) : new CelError(value.message);
}

/** Kyverno's yaml library. Numbers come out as doubles, because the text goes through JSON. */
export const yamlLibrary: Library = {
  name: "kyverno.yaml",
  constants: [{ name: "yaml", type: yamlType, value: new Receiver(yamlType) }],
  functions: [
    declare(
      "parse",
      memberOverload("parse_string_dyn", [yamlType, stringType], dynType, parse, {
        cost: (_yaml, text) => (typeof text === "string" ? text.length : 0),
      }),
    ),
  ],
};
