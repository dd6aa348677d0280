// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { messageSchemas, MessageValue, messageTypes } from "#policy/cel/messages";
import { bytesType, intType, listOf, mapOf, objectOf, stringType } from "#policy/cel/types";
import { isPlainMap, type CelResult, type CelValue } from "#policy/cel/values";
import { declare, globalOverload, memberOverload } from "./declare.ts";

const values = mapOf(stringType, listOf(stringType));

/** What a proxy asks: the message that a payload holds. */
export const httpRequestName = "http.CheckRequest";
export const httpResponseName = "http.CheckResponse";
const attributes = objectOf("http.CheckRequestAttributes");
const okay = objectOf("http.CheckResponseOk");
const denied = objectOf("http.CheckResponseDenied");
const response = objectOf(httpResponseName);

/** The request of an HTTP authorization and its answer (kyverno-authz, pkg/cel/libs/authz/http). */
export const httpMessages = messageSchemas(
  { name: httpRequestName, fields: { attributes } },
  {
    name: "http.CheckRequestAttributes",
    isStruct: true,
    fields: {
      method: stringType,
      header: values,
      host: stringType,
      protocol: stringType,
      contentLength: intType,
      body: bytesType,
      scheme: stringType,
      path: stringType,
      query: values,
      fragment: stringType,
    },
  },
  { name: httpResponseName, fields: { ok: okay, denied } },
  { name: "http.CheckResponseOk", fields: {} },
  { name: "http.CheckResponseDenied", fields: { reason: stringType } },
);

const make = (name: string, fields: Readonly<Record<string, CelValue>>): MessageValue =>
  new MessageValue(httpMessages, name, new Map(Object.entries(fields)));

/** The values under a key; a header's name is asked for in its canonical form, as Go stores it. */
const valuesAt =
  (field: string, canonical: (key: string) => string) =>
  (request: MessageValue, key: string): CelResult => {
    const map = request.getField(field) ?? null;
    const name = canonical(key);
    return isPlainMap(map) && Object.hasOwn(map, name) ? (map[name] ?? []) : [];
  };

/** net/textproto, CanonicalMIMEHeaderKey: a name with other characters stays as it is. */
function canonicalHeader(name: string): string {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]*$/.test(name)) return name;
  return name.replaceAll(
    /([^-]?)([^-]*)/g,
    (_text, first: string, rest: string) => first.toUpperCase() + rest.toLowerCase(),
  );
}

/** What ValidatingPolicies in HTTP mode answer with. */
export const httpAuthorizationLibrary: Library = {
  name: "kyverno.authz.http",
  objectTypes: messageTypes(httpMessages),
  functions: [
    declare(
      "http.Allowed",
      globalOverload("http_allowed", [], okay, () => make("http.CheckResponseOk", {})),
    ),
    declare(
      "http.Denied",
      globalOverload("http_denied_string", [stringType], denied, (reason: string) =>
        make("http.CheckResponseDenied", { reason }),
      ),
    ),
    declare(
      "Header",
      memberOverload(
        "http_get_header_string",
        [attributes, stringType],
        listOf(stringType),
        valuesAt("header", canonicalHeader),
      ),
    ),
    declare(
      "QueryParam",
      memberOverload(
        "http_get_queryparam_string",
        [attributes, stringType],
        listOf(stringType),
        valuesAt("query", (key) => key),
      ),
    ),
    declare(
      "Response",
      memberOverload("http_response_ok", [okay], response, (ok: MessageValue) =>
        make(httpResponseName, { ok }),
      ),
      memberOverload("http_response_denied", [denied], response, (reason: MessageValue) =>
        make(httpResponseName, { denied: reason }),
      ),
    ),
  ],
};
