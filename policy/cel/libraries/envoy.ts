// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library, Overload } from "#policy/cel/library";
import { MessageValue, messageTypes } from "#policy/cel/messages";
import { boolType, intType, objectOf, stringType, type CelType } from "#policy/cel/types";
import { CelError, isList, type CelResult, type CelValue } from "#policy/cel/values";
import { declare, globalOverload, memberOverload, type Int } from "./declare.ts";
import { envoyMessages, envoyNames, structType } from "./envoy-messages.ts";

const typeOf = (name: keyof typeof envoyNames): CelType => objectOf(envoyNames[name]);
const allowed = typeOf("allowed");
const denied = typeOf("denied");
const header = typeOf("header");
const parameter = typeOf("queryParameter");
const response = typeOf("response");

const make = (
  name: keyof typeof envoyNames,
  fields: Readonly<Record<string, CelValue>>,
): MessageValue =>
  new MessageValue(envoyMessages, envoyNames[name], new Map(Object.entries(fields)));

/** Numbers of google.rpc.Code. */
const permissionDenied = 7;
const enumMax = 2 ** 31 - 1;

function deny(code: Int): CelResult {
  if (code > enumMax || code < -enumMax - 1) return new CelError("integer overflow");
  return make("denied", { status: make("httpStatus", { code }) });
}

const makeHeader = (key: string, value: string): MessageValue =>
  make("header", { header: make("headerValue", { key, value }) });
const makeParameter = (key: string, value: string): MessageValue =>
  make("queryParameter", { key, value });

/** The message with one more item in a list. */
function append(message: MessageValue, field: string, item: CelValue): CelValue {
  const present = message.getField(field);
  return message.with({ [field]: [...(isList(present) ? present : []), item] });
}

/** A method that adds what it is given, or what it makes of a key and a value. */
const adding = (
  id: string,
  owner: CelType,
  field: string,
  item: CelType,
  build: (key: string, value: string) => MessageValue,
): readonly Overload[] => [
  memberOverload(`${id}_message`, [owner, item], owner, (message: MessageValue, value: CelValue) =>
    append(message, field, value),
  ),
  memberOverload(
    `${id}_string_string`,
    [owner, stringType, stringType],
    owner,
    (message: MessageValue, key: string, value: string) =>
      append(message, field, build(key, value)),
  ),
];

const removing = (id: string, field: string): Overload =>
  memberOverload(id, [allowed, stringType], allowed, (message: MessageValue, name: string) =>
    append(message, field, name),
  );

const builders: readonly FunctionDeclaration[] = [
  declare(
    "envoy.Allowed",
    globalOverload("allowed", [], allowed, () => make("allowed", {})),
  ),
  declare("envoy.Denied", globalOverload("denied", [intType], denied, deny)),
  declare(
    "envoy.Header",
    globalOverload("header_key_value", [stringType, stringType], header, makeHeader),
  ),
  declare(
    "envoy.QueryParam",
    globalOverload("queryparam_key_value", [stringType, stringType], parameter, makeParameter),
  ),
  declare(
    "WithBody",
    memberOverload(
      "denied_with_body",
      [denied, stringType],
      denied,
      (message: MessageValue, body: string) => message.with({ body }),
    ),
  ),
  declare(
    "WithHeader",
    ...adding("ok_with_header", allowed, "headers", header, makeHeader),
    ...adding("denied_with_header", denied, "headers", header, makeHeader),
  ),
  declare("WithoutHeader", removing("ok_without_header", "headers_to_remove")),
  declare(
    "WithResponseHeader",
    ...adding("ok_with_response_header", allowed, "response_headers_to_add", header, makeHeader),
  ),
  declare(
    "WithQueryParam",
    ...adding("ok_with_queryparam", allowed, "query_parameters_to_set", parameter, makeParameter),
  ),
  declare("WithoutQueryParam", removing("ok_without_queryparam", "query_parameters_to_remove")),
  declare(
    "KeepEmptyValue",
    memberOverload("header_keep_empty_value", [header], header, (message: MessageValue) =>
      message.with({ keep_empty_value: true }),
    ),
    memberOverload(
      "header_keep_empty_value_bool",
      [header, boolType],
      header,
      (message: MessageValue, keep: boolean) => message.with({ keep_empty_value: keep }),
    ),
  ),
];

const answers: readonly FunctionDeclaration[] = [
  declare(
    "Response",
    memberOverload("ok_response", [allowed], response, (message: MessageValue) =>
      make("response", { status: make("status", {}), ok_response: message }),
    ),
    memberOverload("denied_response", [denied], response, (message: MessageValue) =>
      make("response", {
        status: make("status", { code: permissionDenied }),
        denied_response: message,
      }),
    ),
  ),
  declare(
    "WithMessage",
    memberOverload(
      "response_with_message",
      [response, stringType],
      response,
      (message: MessageValue, text: string) => {
        const status = message.getField("status");
        return status instanceof MessageValue
          ? message.with({ status: status.with({ message: text }) })
          : message;
      },
    ),
  ),
  declare(
    "WithMetadata",
    memberOverload(
      "response_with_metadata",
      [response, structType],
      response,
      (message: MessageValue, metadata: CelValue) => message.with({ dynamic_metadata: metadata }),
    ),
  ),
];

/** What ValidatingPolicies in Envoy mode answer with (kyverno-authz, pkg/cel/libs/authz/envoy). */
export const envoyLibrary: Library = {
  name: "kyverno.authz.envoy",
  objectTypes: messageTypes(envoyMessages),
  functions: [...builders, ...answers],
};
