// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library, Overload } from "#policy/cel/library";
import { anyType, mapOf, objectOf, stringType, type CelType } from "#policy/cel/types";
import { CelError, isPlainMap, type CelResult, type CelValue } from "#policy/cel/values";
import type { Json } from "#policy/json";
import { alias, callCost, declare, memberOverload, type Implementation } from "./declare.ts";
import {
  answered,
  asGoNumbers,
  jsonOf,
  Receiver,
  textMap,
  worldKey,
  type WorldValue,
} from "./world.ts";

const contextType = objectOf("http.Context");
const headersType = mapOf(stringType, stringType);

type Call = (world: WorldValue, args: readonly CelValue[]) => CelResult;

function overload(id: string, types: readonly CelType[], call: Call): Overload {
  const implementation: Implementation = (
    world: WorldValue,
    _receiver: CelValue,
    ...args: CelValue[]
  ) => call(world, args);
  return memberOverload(`http_${id}`, [contextType, ...types], anyType, implementation, {
    implicit: worldKey,
    cost: callCost,
  });
}

const get: Call = (world, [url, headers]) => request(world, "GET", url, undefined, headers);

const send =
  (method: string): Call =>
  (world, [url, body, headers]) => {
    const json = jsonOf(body ?? null);
    return json instanceof CelError ? json : request(world, method, url, json, headers);
  };

function request(
  world: WorldValue,
  method: string,
  url: CelValue | undefined,
  body: Json | undefined,
  headers: CelValue | undefined,
): CelResult {
  const texts = headers === undefined ? {} : textMap(headers);
  if (texts instanceof CelError) return texts;
  const target = typeof url === "string" ? url : "";
  const answer = world.world.call({ method, url: target, headers: texts, body });
  const missing = (): CelResult =>
    new CelError(`request failed: nothing is known of ${method} ${target}`);
  return answered(answer, "request failed", missing, response);
}

/** Numbers of a body are doubles; the status code that Kyverno adds is an int. */
function response(value: Json): CelValue {
  const body = asGoNumbers(value);
  if (!isPlainMap(body) || !isPlainMap(value)) return body;
  const status = Object.hasOwn(value, "statusCode") ? value["statusCode"] : undefined;
  return status === undefined ? body : { ...body, statusCode: status };
}

const sending = (name: string, camel: string, method: string): readonly FunctionDeclaration[] =>
  alias(
    declare(
      name,
      overload(`${camel}_string_any`, [stringType, anyType], send(method)),
      overload(`${camel}_string_any_headers`, [stringType, anyType, headersType], send(method)),
    ),
    camel,
  );

/** Kyverno's http library. The World answers the requests; a World that cannot is an `unsupported` error. */
export const httpLibrary: Library = {
  name: "kyverno.http",
  constants: [{ name: "http", type: contextType, value: new Receiver(contextType) }],
  functions: [
    ...alias(
      declare(
        "Get",
        overload("get_string", [stringType], get),
        overload("get_string_headers", [stringType, headersType], get),
      ),
      "get",
    ),
    ...sending("Post", "post", "POST"),
    ...sending("Put", "put", "PUT"),
    ...alias(
      declare(
        "Client",
        memberOverload(
          "http_client_string",
          [contextType, stringType],
          contextType,
          // The certificates matter to who sends the request, which is not us.
          (receiver: CelValue) => receiver,
        ),
      ),
      "client",
    ),
  ],
};
