// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import {
  checkRequestUri,
  escapedPathOf,
  formatUrl,
  hostnameOf,
  parseUrl,
  portOf,
  queryOf,
} from "./url.ts";

type Parts = readonly [
  scheme: string,
  host: string,
  hostname: string,
  port: string,
  path: string,
  query: Readonly<Record<string, readonly string[]>>,
];

const rows: readonly (readonly [text: string, want: Parts, reason: string])[] = [
  [
    "https://user:p%40ss@Example.com:8443/a%20b/c?x=1&x=2&y=a+b#frag",
    ["https", "Example.com:8443", "Example.com", "8443", "/a%20b/c", { x: ["1", "2"], y: ["a b"] }],
    "all parts",
  ],
  ["HTTP://h", ["http", "h", "h", "", "", {}], "the scheme is lower case, the path may be missing"],
  ["/only/a/path?q", ["", "", "", "", "/only/a/path", { q: [""] }], "an absolute path will do"],
  ["https://[::1]:80/", ["https", "[::1]:80", "::1", "80", "/", {}], "brackets are not the name's"],
  ["https://[fe80::1%25en0]/", ["https", "[fe80::1%en0]", "fe80::1%en0", "", "/", {}], "a zone"],
  ["mailto:a@b", ["mailto", "", "", "", "", {}], "an opaque URL has no host"],
  ["https://h/a b", ["https", "h", "h", "", "/a%20b", {}], "a space is escaped"],
  ["https://h/a%2fb!c", ["https", "h", "h", "", "/a%2fb!c", {}], "valid escapes stay as written"],
  [
    "https://h/?a;b&c=%zz&d",
    ["https", "h", "h", "", "/", { d: [""] }],
    "broken parameters are dropped",
  ],
  ["https://h:/", ["https", "h:", "h", "", "/", {}], "an empty port"],
  ["postgres://a:1,b:2/x", ["postgres", "a:1,b:2", "a:1,b", "2", "/x", {}], "colons, not for http"],
  ["https://h/?__proto__=1", ["https", "h", "h", "", "/", { ["__proto__"]: ["1"] }], "any key"],
];

test.each(rows)("%s: %#", (text, want) => {
  const url = parseUrl(text);
  if (!url.ok) throw new Error(url.message);
  const { scheme, host } = url.value;
  const query = Object.fromEntries(queryOf(url.value));
  const found = [
    scheme,
    host,
    hostnameOf(url.value),
    portOf(url.value),
    escapedPathOf(url.value),
    query,
  ];
  expect(found).toEqual(want);
});

test.each([
  ["", 'parse "": empty url'],
  ["../rel", 'parse "../rel": invalid URI for request'],
  ["a/b", 'parse "a/b": invalid URI for request'],
  [":x", 'parse ":x": missing protocol scheme'],
  ["https://h/\n", "net/url: invalid control character in URL"],
  ["https://a:b/", 'parse "https://a:b/": invalid port ":b" after host'],
  ["https://a:1:2/", 'invalid port ":1:2" after host'],
  ["https://a b/", 'invalid character " " in host name'],
  ["https://h/%zz", 'invalid URL escape "%zz"'],
  ["https://h%41/", 'invalid URL escape "%41"'],
  ["https://[::1", "missing ']' in host"],
  ["https://[1.2.3.4]/", "invalid IP-literal"],
  ["https://\u00e9@h/", "net/url: invalid userinfo"],
  [`https://h/${"a".repeat(70_000)}`, "URL too long"],
])("%s is refused: %s", (text, message) => {
  const url = checkRequestUri(text);
  expect(url.ok ? "" : url.message).toContain(message);
});

test.each([
  ["https://h/a b", "https://h/a%20b"],
  ["HTTPS://u:p@h/?#", "https://u:p@h/?"],
  ["x:/a", "x:/a"],
  ["x:opaque?q#f", "x:opaque?q#f"],
])("two URLs are equal by their texts: %s is %s", (text, want) => {
  const url = parseUrl(text);
  expect(url.ok ? formatUrl(url.value) : url.message).toBe(want);
});

test("a long query is dropped, as Go drops it", () => {
  const url = parseUrl(`/x?${"a&".repeat(10_001)}`);
  expect(url.ok && queryOf(url.value).size).toBe(0);
});
