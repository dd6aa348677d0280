// SPDX-License-Identifier: Apache-2.0
import { quoteText } from "#policy/kubernetes/go-text";
import { parseAddress } from "#policy/kubernetes/ip";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";
import { escapeUrl, isRawPath, unescapeUrl } from "#policy/kubernetes/url-escape";

/** A URL as Go's net/url holds it. `host` includes the port; texts are unescaped but for `rawPath` and `rawQuery`. */
export type Url = {
  readonly scheme: string;
  /** What follows the scheme when no slash does, e.g. of `mailto:x@y`. */
  readonly opaque: string;
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
  readonly host: string;
  /** `scheme:/path`: there is no authority, rather than an empty one. */
  readonly omitHost: boolean;
  readonly path: string;
  /** The path as it was written, '' where the default escaping gives the same. */
  readonly rawPath: string;
  readonly forceQuery: boolean;
  readonly rawQuery: string;
  readonly fragment: string;
  readonly rawFragment: string;
};

/** Longest text read as a URL, in characters. */
export const urlLengthMax = 65_536;

/** Most parameters of a query, as in Go 1.26. */
export const queryParametersMax = 10_000;

/** Whether Go's url.ParseRequestURI accepts the text: an absolute URL or an absolute path. Message as Go's. */
export function checkRequestUri(text: string): Parsed<undefined> {
  const url = parse(text, true);
  return url.ok ? parsed(undefined) : url;
}

/**
 * Reads an absolute URL or path as Kubernetes' `url()` does: it must pass ParseRequestURI, and is then parsed with its
 * fragment. Never throws; the message is Go's.
 */
export function parseUrl(text: string): Parsed<Url> {
  const request = parse(text, true);
  if (!request.ok) return request;
  const hash = text.indexOf("#");
  if (hash === -1) return parse(text, false);
  const url = parse(text.slice(0, hash), false);
  if (!url.ok) return url;
  const written = text.slice(hash + 1);
  const fragment = unescapeUrl(written, "fragment");
  if (!fragment.ok) return unparsed(`parse ${quoteText(text)}: ${fragment.message}`);
  const rawFragment = escapeUrl(fragment.value, "fragment") === written ? "" : written;
  return parsed({ ...url.value, fragment: fragment.value, rawFragment });
}

/** The host without port and brackets. */
export const hostnameOf = (url: Url): string => splitHost(url.host).name;

/** The port's digits, '' for none. */
export const portOf = (url: Url): string => splitHost(url.host).port;

/** The path, escaped as it was written where that is valid. */
export function escapedPathOf(url: Url): string {
  if (url.rawPath !== "" && isRawPath(url.rawPath)) return url.rawPath;
  return url.path === "*" ? "*" : escapeUrl(url.path, "path");
}

/** The query's parameters in their order; ones that cannot be unescaped are left out, as Go's Query does. */
export function queryOf(url: Url): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, string[]>();
  const parameters = url.rawQuery.split("&");
  if (parameters.length > queryParametersMax) return values;
  for (const parameter of parameters) {
    if (parameter === "" || parameter.includes(";")) continue;
    const place = parameter.indexOf("=");
    const key = unescapeUrl(place === -1 ? parameter : parameter.slice(0, place), "query");
    const value = unescapeUrl(place === -1 ? "" : parameter.slice(place + 1), "query");
    if (!key.ok || !value.ok) continue;
    const known = values.get(key.value);
    if (known === undefined) values.set(key.value, [value.value]);
    else known.push(value.value);
  }
  return values;
}

/** The whole URL; two URLs are equal to CEL when these texts are. */
export function formatUrl(url: Url): string {
  const scheme = url.scheme === "" ? "" : `${url.scheme}:`;
  const query = url.forceQuery || url.rawQuery !== "" ? `?${url.rawQuery}` : "";
  const fragment = url.fragment === "" ? "" : `#${escapedFragment(url)}`;
  if (url.opaque !== "") return `${scheme}${url.opaque}${query}${fragment}`;
  const path = escapedPathOf(url);
  const slash = path !== "" && !path.startsWith("/") && url.host !== "" ? "/" : "";
  return `${scheme}${authorityOf(url)}${slash}${path}${query}${fragment}`;
}

function parse(text: string, viaRequest: boolean): Parsed<Url> {
  const wrong = (message: string) => unparsed(`parse ${quoteText(text)}: ${message}`);
  if (text.length > urlLengthMax) return unparsed("parse: URL too long");
  // oxlint-disable-next-line no-control-regex -- control characters are what Go refuses.
  if (/[\u0000-\u001f\u007f]/.test(text)) return wrong("net/url: invalid control character in URL");
  if (text === "" && viaRequest) return wrong("empty url");
  if (text === "*") return parsed({ ...emptyUrl, path: "*" });
  if (text.startsWith(":")) return wrong("missing protocol scheme");
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1] ?? "";
  const afterScheme = scheme === "" ? text : text.slice(scheme.length + 1);
  const mark = afterScheme.indexOf("?");
  const rest = mark === -1 ? afterScheme : afterScheme.slice(0, mark);
  const rawQuery = mark === -1 ? "" : afterScheme.slice(mark + 1);
  const start = {
    ...emptyUrl,
    scheme: scheme.toLowerCase(),
    rawQuery,
    forceQuery: mark !== -1 && rawQuery === "",
  };
  if (!rest.startsWith("/")) {
    if (scheme !== "") return parsed({ ...start, opaque: rest });
    if (viaRequest) return wrong("invalid URI for request");
    if (rest.split("/", 1)[0]?.includes(":") === true) {
      return wrong("first path segment in URL cannot contain colon");
    }
  }
  const url = parseHierarchy(start, rest, viaRequest);
  return url.ok ? url : wrong(url.message);
}

const emptyUrl: Url = {
  scheme: "",
  opaque: "",
  user: undefined,
  host: "",
  omitHost: false,
  path: "",
  rawPath: "",
  forceQuery: false,
  rawQuery: "",
  fragment: "",
  rawFragment: "",
};

function parseHierarchy(start: Url, rest: string, viaRequest: boolean): Parsed<Url> {
  const hasAuthority =
    rest.startsWith("//") && (start.scheme !== "" || (!viaRequest && !rest.startsWith("///")));
  if (!hasAuthority) {
    return withPath({ ...start, omitHost: start.scheme !== "" && rest.startsWith("/") }, rest);
  }
  const end = rest.indexOf("/", 2);
  const authority = end === -1 ? rest.slice(2) : rest.slice(2, end);
  const at = authority.lastIndexOf("@");
  const host = parseHost(start.scheme, authority.slice(at + 1));
  if (!host.ok) return host;
  const user = at === -1 ? parsed(undefined) : parseUser(authority.slice(0, at));
  if (!user.ok) return user;
  const url = { ...start, host: host.value, user: user.value };
  return withPath(url, end === -1 ? "" : rest.slice(end));
}

function withPath(url: Url, written: string): Parsed<Url> {
  const path = unescapeUrl(written, "path");
  if (!path.ok) return path;
  const rawPath = escapeUrl(path.value, "path") === written ? "" : written;
  return parsed({ ...url, path: path.value, rawPath });
}

function parseUser(text: string): Parsed<Url["user"]> {
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(text)) {
    return unparsed("net/url: invalid userinfo");
  }
  const colon = text.indexOf(":");
  const name = unescapeUrl(colon === -1 ? text : text.slice(0, colon), "user");
  if (!name.ok) return name;
  if (colon === -1) return parsed({ name: name.value, password: undefined });
  const password = unescapeUrl(text.slice(colon + 1), "user");
  return password.ok ? parsed({ name: name.value, password: password.value }) : password;
}

function parseHost(scheme: string, host: string): Parsed<string> {
  const bracket = host.lastIndexOf("[");
  if (bracket > 0) return unparsed("invalid IP-literal");
  if (bracket === 0) return parseLiteral(host);
  const first = host.indexOf(":");
  if (first !== -1) {
    // Only http and https are strict about further colons.
    const strict = scheme === "http" || scheme === "https";
    const port = host.slice(strict ? first : host.lastIndexOf(":"));
    if (!isPort(port)) return unparsed(`invalid port ${quoteText(port)} after host`);
  }
  return unescapeUrl(host, "host");
}

function parseLiteral(host: string): Parsed<string> {
  const end = host.lastIndexOf("]");
  if (end === -1) return unparsed("missing ']' in host");
  const port = host.slice(end + 1);
  if (!isPort(port)) return unparsed(`invalid port ${quoteText(port)} after host`);
  const literal = host.slice(1, end);
  const zoneStart = literal.indexOf("%25");
  const plain = unescapeUrl(zoneStart === -1 ? literal : literal.slice(0, zoneStart), "host");
  if (!plain.ok) return plain;
  const zone = unescapeUrl(zoneStart === -1 ? "" : literal.slice(zoneStart), "zone");
  if (!zone.ok) return zone;
  const name = plain.value + zone.value;
  const address = parseAddress(name);
  if (!address.ok) return unparsed(`invalid host: ${address.message}`);
  if (address.value.family === 4) return unparsed("invalid IP-literal");
  return parsed(`[${name}]${port}`);
}

const isPort = (text: string): boolean => text === "" || /^:[0-9]*$/.test(text);

function splitHost(host: string): { readonly name: string; readonly port: string } {
  const colon = host.lastIndexOf(":");
  const hasPort = colon !== -1 && isPort(host.slice(colon));
  const name = hasPort ? host.slice(0, colon) : host;
  const bare = name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name;
  return { name: bare, port: hasPort ? host.slice(colon + 1) : "" };
}

function authorityOf(url: Url): string {
  if (url.scheme === "" && url.host === "" && url.user === undefined) return "";
  if (url.omitHost && url.host === "" && url.user === undefined) return "";
  const slashes = url.host !== "" || url.path !== "" || url.user !== undefined ? "//" : "";
  const password =
    url.user?.password === undefined ? "" : `:${escapeUrl(url.user.password, "user")}`;
  const user = url.user === undefined ? "" : `${escapeUrl(url.user.name, "user")}${password}@`;
  return `${slashes}${user}${escapeUrl(url.host, "host")}`;
}

const escapedFragment = (url: Url): string =>
  url.rawFragment !== "" && isRawPath(url.rawFragment, "fragment")
    ? url.rawFragment
    : escapeUrl(url.fragment, "fragment");
