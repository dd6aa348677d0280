// SPDX-License-Identifier: Apache-2.0
import { isArray, type Json } from "#policy/json";
import {
  faultIn,
  listOf,
  notOfType,
  objectOf,
  takes,
  textOf,
  valueOf,
  type Arguments,
  type FunctionTable,
  type Outcome,
} from "#policy/jmespath/functions/signature";
import { printed } from "#policy/jmespath/functions/text";
import { decodeCertificate } from "#policy/text/certificate";
import { formatFloat } from "#policy/jmespath/go-format";
import { parseJson } from "#policy/text/go-json";
import { parseYaml } from "#policy/text/go-yaml";
import { sortedKeys } from "#policy/text/order";
import { QueryFailure, type QueryRuntime } from "#policy/jmespath/query";
import { generateText } from "#policy/text/random-text";
import { failed, isPlainObject } from "#policy/jmespath/values";
import { isLoopback, parseIp, type Address } from "#policy/kubernetes/ip";
import type { Parsed } from "#policy/kubernetes/parsed";
import { hostnameOf, parseUrl } from "#policy/kubernetes/url";

/** Kyverno's functions that read, take apart and make data. */
export const dataFunctions: FunctionTable = {
  is_external_url: takes(["string"], isExternalUrl),
  items: takes(["object|array", "string", "string"], items),
  lookup: takes(["object|array", "string|number"], lookup),
  object_from_lists: takes(["array", "array"], objectFromLists),
  parse_json: takes(["string"], (args) => given(parseJson(textOf(args, 0)))),
  parse_yaml: takes(["string"], (args) => given(parseYaml(textOf(args, 0)))),
  random: takes(["string"], random),
  x509_decode: takes(["string"], (args) => given(decodeCertificate(textOf(args, 0)))),
};

const given = (read: Parsed<Json>): Outcome => (read.ok ? read.value : failed(read.message));

/** A host that is a name would need a resolver: that is answered as unavailable, never guessed. */
function isExternalUrl(args: Arguments): Outcome {
  const url = parseUrl(textOf(args, 0));
  if (!url.ok) return failed(url.message);
  const host = hostnameOf(url.value);
  const address = parseIp(host);
  if (address.ok) return !isLoopback(address.value) && !isPrivate(address.value);
  return new QueryFailure(
    "unavailable",
    `JMESPath function 'is_external_url': the name ${host} would have to be resolved`,
  );
}

/** Go's IP.IsPrivate: RFC 1918 and RFC 4193. */
function isPrivate({ family, bits }: Address): boolean {
  if (family === 6 && bits >> 32n !== 0xffffn) return bits >> 121n === 0xfcn >> 1n;
  const v4 = bits & 0xffff_ffffn;
  return v4 >> 24n === 10n || v4 >> 20n === 0xac1n || v4 >> 16n === 0xc0a8n;
}

function items(args: Arguments): Outcome {
  const [keyName, valueName] = [textOf(args, 1), textOf(args, 2)];
  const pair = (key: Json, value: Json): Json =>
    Object.fromEntries([
      [keyName, key],
      [valueName, value],
    ]);
  const source = valueOf(args, 0);
  if (isArray(source)) return source.map((value, index) => pair(index, value));
  const object = objectOf(args, 0);
  return sortedKeys(object).map((key) => pair(key, object[key] ?? null));
}

function lookup(args: Arguments): Outcome {
  const key = valueOf(args, 1);
  const source = valueOf(args, 0);
  if (isPlainObject(source)) {
    if (typeof key !== "string") return notOfType("lookup", 2, "String");
    return Object.hasOwn(source, key) ? (source[key] ?? null) : null;
  }
  if (typeof key !== "number") return notOfType("lookup", 2, "Number");
  if (!Number.isInteger(key)) {
    return faultIn(
      "lookup",
      `argument #2: expected an integer number but got: ${formatFloat(key)}`,
    );
  }
  if (key < -(2 ** 63) || key >= 2 ** 63) {
    const text = `argument #2: number is outside the range of integer numbers: ${formatFloat(key)}`;
    return faultIn("lookup", text);
  }
  return listOf(args, 0)[key] ?? null;
}

/** Keys without a value get null; of two equal keys the last counts. */
function objectFromLists(args: Arguments): Outcome {
  const values = listOf(args, 1);
  const entries: [string, Json][] = [];
  for (const [index, item] of listOf(args, 0).entries()) {
    const key = printed(item);
    if (key === undefined) return notOfType("object_from_lists", 1, "StringArray");
    entries.push([key, values[index] ?? null]);
  }
  return Object.fromEntries(entries);
}

function random(args: Arguments, runtime: QueryRuntime): Outcome {
  const pattern = textOf(args, 0);
  return pattern === ""
    ? failed("no pattern provided")
    : given(generateText(pattern, runtime.random));
}
