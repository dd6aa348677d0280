// SPDX-License-Identifier: Apache-2.0
import { messageSchemas } from "#policy/cel/messages";
import {
  boolType,
  bytesType,
  dynType,
  intType,
  listOf,
  mapOf,
  objectOf,
  stringType,
  timestampType,
} from "#policy/cel/types";

const auth = "envoy.service.auth.v3";
const core = "envoy.config.core.v3";
const texts = mapOf(stringType, stringType);
/** google.protobuf.Struct is a map to CEL. */
export const structType = mapOf(stringType, dynType);

/** Names of the messages that policies build. */
export const envoyNames = {
  header: `${core}.HeaderValueOption`,
  headerValue: `${core}.HeaderValue`,
  queryParameter: `${core}.QueryParameter`,
  allowed: `${auth}.OkHttpResponse`,
  denied: `${auth}.DeniedHttpResponse`,
  response: `${auth}.CheckResponse`,
  httpStatus: "envoy.type.v3.HttpStatus",
  status: "google.rpc.Status",
} as const;

const headers = listOf(objectOf(envoyNames.header));

/** What Envoy asks: the message that a payload holds. */
export const checkRequestName = `${auth}.CheckRequest`;

/** Envoy's external authorization API (envoy/service/auth/v3), as far as a request over HTTP reaches. */
export const envoyMessages = messageSchemas(
  { name: checkRequestName, fields: { attributes: objectOf(`${auth}.AttributeContext`) } },
  {
    name: `${auth}.AttributeContext`,
    fields: {
      source: objectOf(`${auth}.AttributeContext.Peer`),
      destination: objectOf(`${auth}.AttributeContext.Peer`),
      request: objectOf(`${auth}.AttributeContext.Request`),
      context_extensions: texts,
      metadata_context: objectOf(`${core}.Metadata`),
      route_metadata_context: objectOf(`${core}.Metadata`),
      tls_session: objectOf(`${auth}.AttributeContext.TLSSession`),
    },
  },
  {
    name: `${auth}.AttributeContext.Peer`,
    fields: {
      address: objectOf(`${core}.Address`),
      service: stringType,
      labels: texts,
      principal: stringType,
      certificate: stringType,
    },
  },
  {
    name: `${auth}.AttributeContext.Request`,
    fields: { time: timestampType, http: objectOf(`${auth}.AttributeContext.HttpRequest`) },
  },
  {
    name: `${auth}.AttributeContext.HttpRequest`,
    fields: {
      id: stringType,
      method: stringType,
      headers: texts,
      header_map: objectOf(`${core}.HeaderMap`),
      path: stringType,
      host: stringType,
      scheme: stringType,
      query: stringType,
      fragment: stringType,
      size: intType,
      protocol: stringType,
      body: stringType,
      raw_body: bytesType,
    },
  },
  { name: `${auth}.AttributeContext.TLSSession`, fields: { sni: stringType } },
  {
    name: `${core}.Address`,
    fields: { socket_address: objectOf(`${core}.SocketAddress`), pipe: objectOf(`${core}.Pipe`) },
  },
  {
    name: `${core}.SocketAddress`,
    fields: {
      address: stringType,
      port_value: intType,
      named_port: stringType,
      resolver_name: stringType,
      ipv4_compat: boolType,
      network_namespace_filepath: stringType,
    },
  },
  { name: `${core}.Pipe`, fields: { path: stringType, mode: intType } },
  { name: `${core}.Metadata`, fields: { filter_metadata: mapOf(stringType, structType) } },
  { name: `${core}.HeaderMap`, fields: { headers: listOf(objectOf(envoyNames.headerValue)) } },
  {
    name: envoyNames.headerValue,
    fields: { key: stringType, value: stringType, raw_value: bytesType },
  },
  {
    name: envoyNames.header,
    fields: { header: objectOf(envoyNames.headerValue), keep_empty_value: boolType },
  },
  { name: envoyNames.queryParameter, fields: { key: stringType, value: stringType } },
  {
    name: envoyNames.allowed,
    fields: {
      headers,
      headers_to_remove: listOf(stringType),
      dynamic_metadata: structType,
      response_headers_to_add: headers,
      query_parameters_to_set: listOf(objectOf(envoyNames.queryParameter)),
      query_parameters_to_remove: listOf(stringType),
    },
  },
  {
    name: envoyNames.denied,
    fields: { status: objectOf(envoyNames.httpStatus), headers, body: stringType },
  },
  { name: envoyNames.httpStatus, fields: { code: intType } },
  { name: envoyNames.status, fields: { code: intType, message: stringType } },
  {
    name: envoyNames.response,
    fields: {
      status: objectOf(envoyNames.status),
      denied_response: objectOf(envoyNames.denied),
      ok_response: objectOf(envoyNames.allowed),
      dynamic_metadata: structType,
    },
  },
);
