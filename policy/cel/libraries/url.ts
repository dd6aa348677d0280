// SPDX-License-Identifier: Apache-2.0
import { setOwn } from "#policy/cel/convert";
import type { FunctionDeclaration, Library } from "#policy/cel/library";
import { boolType, listOf, mapOf, objectOf, stringType, type CelType } from "#policy/cel/types";
import type { CelResult, CelValue } from "#policy/cel/values";
import {
  checkRequestUri,
  escapedPathOf,
  formatUrl,
  hostnameOf,
  parseUrl,
  portOf,
  queryOf,
  type Url,
} from "#policy/kubernetes/url";
import { declare, globalOverload, memberOverload, Opaque, orError, traversal } from "./declare.ts";

const urlType = objectOf("kubernetes.URL");

const same = (a: Url, b: Url): boolean => formatUrl(a) === formatUrl(b);

const cost = (text: CelResult): number => (typeof text === "string" ? traversal(text.length) : 0);

const getter = (
  name: string,
  id: string,
  type: CelType,
  read: (url: Url) => CelValue,
): FunctionDeclaration =>
  declare(
    name,
    memberOverload(id, [urlType], type, (url: Opaque<Url>) => read(url.held)),
  );

function queryMap(url: Url): CelValue {
  const map: Record<string, CelValue> = {};
  for (const [key, values] of queryOf(url)) setOwn<CelValue>(map, key, values);
  return map;
}

/** Kubernetes' URL library. */
export const urlLibrary: Library = {
  name: "kubernetes.urls",
  functions: [
    declare(
      "url",
      globalOverload(
        "string_to_url",
        [stringType],
        urlType,
        (text: string) =>
          orError(
            parseUrl(text),
            (url) => new Opaque(urlType, url, same),
            "URL parse error during conversion from string: ",
          ),
        { cost },
      ),
    ),
    declare(
      "isURL",
      globalOverload(
        "is_url_string",
        [stringType],
        boolType,
        (text: string) => checkRequestUri(text).ok,
        { cost },
      ),
    ),
    getter("getScheme", "url_get_scheme", stringType, (url) => url.scheme),
    getter("getHost", "url_get_host", stringType, (url) => url.host),
    getter("getHostname", "url_get_hostname", stringType, hostnameOf),
    getter("getPort", "url_get_port", stringType, portOf),
    getter("getEscapedPath", "url_get_escaped_path", stringType, escapedPathOf),
    getter("getQuery", "url_get_query", mapOf(stringType, listOf(stringType)), queryMap),
  ],
};
