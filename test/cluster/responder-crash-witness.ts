// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { at, isArray, isObject, type JsonObject, textAt } from "#policy/json";

/**
 * What etcd holds of each key: every write that was ever committed, whoever made it and whatever the API server still could say about it.
 * Nothing is missed by a crash, so what it does not show did not happen.
 */
export type KeyHistory = { readonly puts: number; readonly deletes: number };

/** The history of all keys below a prefix from the first revision on. Compaction has to be off (`--etcd-compaction-interval=0`). */
export async function etcdHistory(
  etcdUrl: string,
  prefix = "/registry/",
): Promise<ReadonlyMap<string, KeyHistory>> {
  const range = {
    key: base64(prefix),
    range_end: base64(prefix.replace(/.$/, (last) => nextCharacter(last))),
  };
  // A key of our own marks the end: the watch has brought everything before it when it brings that.
  const mark = { key: base64(`${prefix}end-of-history`), value: base64("") };
  const marked = await post(`${etcdUrl}/v3/kv/put`, mark);
  const last = Number(textAt(marked, ["header", "revision"]));
  const history = new Map<string, KeyHistory>();
  const stop = new AbortController();
  const response = await fetch(`${etcdUrl}/v3/watch`, {
    method: "POST",
    body: JSON.stringify({
      create_request: { ...range, start_revision: "1", progress_notify: true },
    }),
    signal: stop.signal,
  });
  if (response.body === null) throw new Error("etcd gave no history");
  let rest = "";
  const decoder = new TextDecoder();
  let revision = 0;
  for await (const piece of response.body) {
    const chunk: unknown = piece;
    if (!(chunk instanceof Uint8Array)) continue;
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) revision = Math.max(revision, take(parse(line), history));
    if (revision >= last) break;
  }
  stop.abort();
  return history;
}

/** Counts the events of one answer; its newest revision. */
function take(answer: JsonObject, history: Map<string, KeyHistory>): number {
  if (at(answer, ["result", "compact_revision"]) !== undefined)
    throw new Error("etcd was compacted");
  const events = at(answer, ["result", "events"]);
  let newest = 0;
  for (const event of isArray(events) ? events : []) {
    const key = Buffer.from(textAt(event, ["kv", "key"]), "base64").toString("utf8");
    const { puts, deletes } = history.get(key) ?? { puts: 0, deletes: 0 };
    const isDelete = textAt(event, ["type"]) === "DELETE";
    history.set(key, isDelete ? { puts, deletes: deletes + 1 } : { puts: puts + 1, deletes });
    newest = Math.max(newest, Number(textAt(event, ["kv", "mod_revision"])));
  }
  return newest;
}

/** One write of the responder's that the API server did: who did what, as its audit log says. A dry run and a refusal are no writes. */
export type AuditedWrite = {
  readonly verb: string;
  /** `pods`, `pods/eviction`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
};

/** The audit policy whose log {@link auditedWrites} reads. */
export const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived", "ResponseStarted"],
  rules: [
    { level: "None", verbs: ["get", "list", "watch"] },
    { level: "Metadata", users: ["responder"] },
    { level: "None" },
  ],
};

export function auditedWrites(file: string): readonly AuditedWrite[] {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return text.split("\n").flatMap((line) => {
    // The last line before a kill may be half a line.
    const event = parse(line);
    const code = at(event, ["responseStatus", "code"]);
    if (typeof code !== "number" || code >= 300) return [];
    if (textAt(event, ["requestURI"]).includes("dryRun=All")) return [];
    const subresource = textAt(event, ["objectRef", "subresource"]);
    return [
      {
        verb: textAt(event, ["verb"]),
        resource: `${textAt(event, ["objectRef", "resource"])}${subresource === "" ? "" : `/${subresource}`}`,
        namespace: textAt(event, ["objectRef", "namespace"]),
        name: textAt(event, ["objectRef", "name"]),
      },
    ];
  });
}

async function post(url: string, body: object): Promise<JsonObject> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  return parse(await response.text());
}

function parse(line: string): JsonObject {
  if (line.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const nextCharacter = (last: string): string => String.fromCharCode(last.charCodeAt(0) + 1);
