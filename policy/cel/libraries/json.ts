// SPDX-License-Identifier: Apache-2.0
import { typeNameOf } from "#policy/cel/compare";
import type { Library } from "#policy/cel/library";
import { dynType, opaqueOf, stringType } from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { marshalJson, parseJson } from "#policy/text/go-json";
import {
  declare,
  globalOverload,
  memberOverload,
  textLengthMax,
  tooLarge,
  weightOf,
} from "./declare.ts";
import { asGoNumbers, jsonOf, Receiver } from "./world.ts";

const jsonType = opaqueOf("json.Json");

/** Numbers come out as doubles, as Go's encoding/json makes them. */
function unmarshal(_json: CelValue, text: CelValue): CelResult {
  if (typeof text !== "string") {
    return new CelError(`unsupported native conversion from ${typeNameOf(text)} to 'string'`);
  }
  const value = parseJson(text);
  return value.ok ? asGoNumbers(value.value) : new CelError(value.message);
}

function encode(value: CelValue): CelResult {
  const json = jsonOf(value);
  if (json instanceof CelError) return json;
  const text = marshalJson(json);
  return text.length > textLengthMax ? tooLarge("json") : text;
}

/** Kyverno's json library, and `json.encode` of cel-go's encoders. */
export const jsonLibrary: Library = {
  name: "kyverno.json",
  constants: [{ name: "json", type: jsonType, value: new Receiver(jsonType) }],
  functions: [
    declare(
      "unmarshal",
      memberOverload("unmarshal_string_dyn", [jsonType, dynType], dynType, unmarshal, {
        cost: (_json, text) => (typeof text === "string" ? text.length / 10 : 0),
      }),
    ),
    declare(
      "marshal",
      memberOverload(
        "marshal_dyn_string",
        [jsonType, dynType],
        stringType,
        (_json: CelValue, value: CelValue) => encode(value),
        { cost: (_json, value) => weightOf(value ?? null) },
      ),
    ),
    declare(
      "json.encode",
      globalOverload("json_encode_dyn", [dynType], stringType, encode, { cost: weightOf }),
    ),
  ],
};
