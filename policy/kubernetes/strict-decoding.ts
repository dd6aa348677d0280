// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json } from "#policy/json";
import { fieldSchema } from "#policy/kubernetes/schemas";
import type { Schema } from "#policy/kubernetes/schemas";

type Findings = { readonly unknown: string[]; readonly wrong: string[] };

/**
 * Why the API server could not read a patched object back as its kind: a value of a wrong type, else fields that the
 * kind does not have. Undefined when it can, which is always so for kinds without a schema. Unknown fields are named in
 * the server's words; it names Go types for the others, which a schema does not tell.
 */
export function decodingProblem(object: Json, schema: Schema): string | undefined {
  const findings: Findings = { unknown: [], wrong: [] };
  inspect(object, schema, "", findings);
  const [wrong] = findings.wrong;
  if (wrong !== undefined) return `json: cannot unmarshal ${wrong}`;
  if (findings.unknown.length === 0) return undefined;
  const fields = findings.unknown.map((path) => `unknown field ${JSON.stringify(path)}`);
  return `strict decoding error: ${fields.join(", ")}`;
}

function inspect(value: Json, schema: Schema, path: string, findings: Findings): void {
  if (value === null || schema.is === "anything") return;
  const wrong = (type: string): void => {
    findings.wrong.push(`${kindOf(value)} into field ${path} of type ${type}`);
  };
  switch (schema.is) {
    case "scalar": {
      const fits =
        schema.type === "any"
          ? !isArray(value) && !isObject(value)
          : kindOf(value) === schema.type.replace("boolean", "bool");
      if (!fits) wrong(schema.type);
      return;
    }
    case "list":
      if (!isArray(value)) wrong("list");
      else {
        const element = schema.element();
        value.forEach((item, index) => inspect(item, element, `${path}[${index}]`, findings));
      }
      return;
    case "object":
      if (!isObject(value)) {
        wrong("object");
        return;
      }
      // The server reads what a JSON encoder wrote, and that sorts keys.
      for (const key of Object.keys(value).toSorted()) {
        const below = path === "" ? key : `${path}.${key}`;
        const type = fieldSchema(schema, key);
        if (type === undefined) findings.unknown.push(below);
        else inspect(value[key] ?? null, type, below, findings);
      }
      return;
    default:
      schema satisfies never;
  }
}

/** The kinds of JSON values as Go's decoder calls them. */
function kindOf(value: Json): string {
  if (isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}
