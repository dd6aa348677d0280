// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, type RequestOptions, request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Stands for falcosidekick 2.34.1's webhook output in tests: what it sends and what it does on failure, as recorded from the
 * real one (types/types.go, outputs/client.go). One attempt, no retry, no time-out, one request at a time by default.
 */
export type Falcosidekick = {
  /** Takes one Falco body, as Falco's http_output would hand it over; answers as falcosidekick answers Falco. */
  readonly accept: (falcoBody: string) => 200 | 400;
  /** Resolves when every accepted alert was tried once. */
  readonly drained: () => Promise<void>;
  readonly delivered: () => number;
  readonly dropped: () => number;
};

export type FalcosidekickOptions = {
  readonly url: string;
  readonly customHeaders?: Readonly<Record<string, string>>;
  /** `webhook.maxconcurrentrequests`, 1 by default. */
  readonly concurrency?: number;
  readonly customTags?: readonly string[];
  readonly rewriting?: Rewriting;
  readonly tls?: Pick<RequestOptions, "ca" | "cert" | "key">;
};

/** What falcosidekick can be told to change in alerts. */
export type Rewriting = {
  /** Written into output_fields, over what is there: `customfields` and `templatedfields`. */
  readonly fields?: Readonly<Record<string, string>>;
  /** Makes `proc.aname_2` of `proc.aname[2]`. */
  readonly bracketReplacer?: string;
  /** `outputfieldformat`, already filled in. */
  readonly output?: string;
};

export function makeFalcosidekick(options: FalcosidekickOptions): Falcosidekick {
  const url = new URL(options.url);
  const limits = { keepAlive: true, maxSockets: options.concurrency ?? 1 };
  const agent =
    url.protocol === "https:"
      ? new HttpsAgent({ ...limits, ...options.tls })
      : new HttpAgent(limits);
  const waiting: string[] = [];
  let running = 0;
  let delivered = 0;
  let dropped = 0;
  const pump = (): void => {
    while (running < (options.concurrency ?? 1)) {
      const body = waiting.shift();
      if (body === undefined) return;
      running += 1;
      void post(url, agent, body, options.customHeaders ?? {}).then((ok) => {
        running -= 1;
        if (ok) delivered += 1;
        else dropped += 1;
        pump();
      });
    }
  };
  return {
    accept: (falcoBody) => {
      const body = toSidekickBody(falcoBody, options.customTags ?? [], options.rewriting);
      if (body === undefined) return 400;
      waiting.push(body);
      pump();
      return 200;
    },
    drained: async () => {
      while (waiting.length > 0 || running > 0) await sleep(5);
    },
    delivered: () => delivered,
    dropped: () => dropped,
  };
}

/** Delivered means 200, 201, 202 or 204; everything else is logged and dropped by the real one. */
function post(
  url: URL,
  agent: HttpAgent | HttpsAgent,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<boolean> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const outgoing = send(
      url,
      {
        method: "POST",
        agent,
        headers: {
          "user-agent": "Falcosidekick",
          "content-type": "application/json; charset=utf-8",
          "accept-encoding": "gzip",
          ...headers,
        },
      },
      (reply) => {
        reply.resume();
        reply.once("end", () => resolve([200, 201, 202, 204].includes(reply.statusCode ?? 0)));
        reply.once("error", () => resolve(false));
      },
    );
    outgoing.once("error", () => resolve(false));
    outgoing.end(body);
  });
}

/**
 * The body that falcosidekick makes of Falco's: keys in its struct's order, a uuid of its own, tags sorted, `message` and unknown
 * keys dropped, `source` "syscalls" when absent, `<` `>` `&` escaped, numbers with all their digits, strings over 512 cut when
 * the whole is over 4,096 bytes, and a newline at the end. undefined where it answers 400: arrays, NDJSON past the first line is
 * lost, no output_fields, no time.
 */
export function toSidekickBody(
  falcoBody: string,
  customTags: readonly string[] = [],
  rewriting: Rewriting = {},
): string | undefined {
  const alert = parseExact(falcoBody.split("\n")[0] ?? "") ?? parseExact(falcoBody);
  if (alert === undefined) return undefined;
  const given = alert.get("output_fields");
  if (alert.get("time") === undefined || given === undefined || given === "null" || given === "{}")
    return undefined;
  const fields = rewritten(given, rewriting);
  const output =
    rewriting.output === undefined ? alert.get("output") : JSON.stringify(rewriting.output);
  const build = (cut: (json: string) => string) => {
    const tags: unknown = JSON.parse(alert.get("tags") ?? "[]");
    const sorted = [...(Array.isArray(tags) ? tags.map(String) : []), ...customTags].sort();
    const members = [
      ["uuid", JSON.stringify(randomUUID())],
      ["output", cut(output ?? '""')],
      ["priority", alert.get("priority") ?? '""'],
      ["rule", alert.get("rule") ?? '""'],
      ["time", alert.get("time") ?? ""],
      ["output_fields", cut(fields)],
      ["source", sourceOf(alert.get("source"))],
      ["tags", JSON.stringify(sorted)],
      ["hostname", alert.get("hostname") ?? '""'],
    ];
    const text = `{${members.map(([name, value]) => `"${name}":${value}`).join(",")}}\n`;
    return text.replaceAll(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
  };
  const whole = build((json) => json);
  return Buffer.byteLength(whole) > 4_096 ? build(cutStrings) : whole;
}

const sourceOf = (source: string | undefined) =>
  source === undefined || source === '""' || source === "null" ? '"syscalls"' : source;

/** The fields with those that are added written over, and brackets replaced; values stay the texts they are. */
function rewritten(fields: string, { fields: added = {}, bracketReplacer }: Rewriting): string {
  const members = parseExact(fields) ?? new Map<string, string>();
  for (const [name, value] of Object.entries(added)) members.set(name, JSON.stringify(value));
  const renamed = [...members].map(([name, value]) =>
    bracketReplacer === undefined || value === "null"
      ? ([name, value] as const)
      : ([name.replaceAll("]", "").replaceAll("[", bracketReplacer), value] as const),
  );
  return `{${renamed.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;
}

/** Strings of more than 512 bytes become their first 507 and `[...]`; Go's encoder makes U+FFFD of each byte of a cut character. */
function cutStrings(json: string): string {
  return json.replaceAll(/"(?:[^"\\]|\\.)*"/g, (literal) => {
    const text: unknown = JSON.parse(literal);
    if (typeof text !== "string" || Buffer.byteLength(text) <= 512) return literal;
    const bytes = Buffer.from(text).subarray(0, 507);
    let whole = bytes.length;
    while (whole > 0 && ((bytes[whole - 1] ?? 0) & 0xc0) === 0x80) whole -= 1;
    const lead = bytes[whole - 1] ?? 0;
    const needs = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    const isCut = bytes.length - whole + 1 < needs;
    const kept = isCut ? bytes.subarray(0, whole - 1) : bytes;
    const lost = "\ufffd".repeat(bytes.length - kept.length);
    return JSON.stringify(`${kept.toString("utf8")}${lost}[...]`);
  });
}

/** The top-level members of a JSON object as their source texts, so that digits beyond 2^53 survive. */
function parseExact(text: string): Map<string, string> | undefined {
  try {
    const whole: unknown = JSON.parse(text);
    if (typeof whole !== "object" || whole === null || Array.isArray(whole)) return undefined;
  } catch {
    return undefined;
  }
  const members = new Map<string, string>();
  const tokens = text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g);
  let depth = 0;
  let key: string | undefined;
  let value = "";
  const flush = () => {
    if (key !== undefined) members.set(key, value);
    key = undefined;
    value = "";
  };
  for (const [token] of tokens) {
    if (token === "}" || token === "]") depth -= 1;
    if (depth === 0) flush();
    else if (depth === 1 && token === ",") flush();
    else if (depth === 1 && key === undefined && token.startsWith('"'))
      key = String(JSON.parse(token));
    else if (!(depth === 1 && token === ":" && value === "") && !(depth === 0)) value += token;
    if (token === "{" || token === "[") depth += 1;
  }
  return members;
}
