// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { at, isArray, isObject, textAt } from "#policy/json";
import type { ObjectName, ResourceType } from "#responder/cluster";
import { keyOf } from "#responder/cluster";

/** One write that the API server did, as its audit log tells it: the user is authenticated, all else is what the client said. */
export type AuditedWrite = {
  /** Object as {@link writeKey}. */
  readonly key: string;
  readonly user: string;
  /** '' unless the user acted as somebody else. */
  readonly as: string;
  /** Field manager, by the request or else by the user agent: as it stands in managedFields. */
  readonly manager: string;
  readonly atMs: number;
  /** Resource version that the write made; '' below level RequestResponse. */
  readonly version: string;
};

/** Who changed something, and how that is known. */
export type Attribution = { readonly user: string; readonly text: string };

export type Writers = {
  /** Takes writes in; old ones go. */
  readonly add: (writes: readonly AuditedWrite[]) => void;
  /** undefined: not known, or not one only. */
  readonly writerOf: (change: {
    readonly key: string;
    /** Version in which the difference was first seen; '' unknown. */
    readonly version: string;
    readonly managers: readonly string[];
    readonly sinceMs: number;
  }) => Attribution | undefined;
  readonly subscribe: (onWrite: (write: AuditedWrite) => void) => void;
  readonly size: () => number;
};

/** Writes kept for one object, and in all: about 20 MB at most. */
const writesOfKeyMax = 20;
const writesMax = 50_000;
/** API server and responder have clocks of their own, and a watch event may come before its audit event is written. */
const windowMs = 10_000;

export const writeKey = (
  type: Pick<ResourceType, "apiVersion" | "resource">,
  name: ObjectName,
): string => {
  const group = type.apiVersion.includes("/") ? (type.apiVersion.split("/")[0] ?? "") : "";
  return `${group} ${type.resource} ${keyOf(name)}`;
};

export function makeWriters(): Writers {
  const byKey = new Map<string, readonly AuditedWrite[]>();
  const listeners: ((write: AuditedWrite) => void)[] = [];
  let count = 0;
  const forgetOldest = (): void => {
    for (const [key, writes] of byKey) {
      if (count <= writesMax) return;
      byKey.delete(key);
      count -= writes.length;
    }
  };
  return {
    add: (writes) => {
      for (const write of writes) {
        const before = byKey.get(write.key) ?? [];
        // Whatever was written to last is forgotten last.
        byKey.delete(write.key);
        const kept = [...before, write].slice(-writesOfKeyMax);
        byKey.set(write.key, kept);
        count += kept.length - before.length;
        forgetOldest();
        for (const tell of listeners) tell(write);
      }
    },
    writerOf: ({ key, version, managers, sinceMs }) => {
      const all = byKey.get(key) ?? [];
      const exact = all.find((one) => one.version !== "" && one.version === version);
      if (exact !== undefined) return attributed([exact], "by the API server's audit log");
      const recent = all.filter((one) => Math.abs(one.atMs - sinceMs) <= windowMs);
      const fitting = recent.filter((one) => managers.includes(one.manager));
      const how = "by the API server's audit log, as the write of that field manager at that time";
      return attributed(fitting, how);
    },
    subscribe: (onWrite) => {
      listeners.push(onWrite);
    },
    size: () => count,
  };
}

/** None where several people wrote: naming one of them would be a guess. */
function attributed(writes: readonly AuditedWrite[], how: string): Attribution | undefined {
  const [first] = writes;
  if (first === undefined || writes.some((one) => one.user !== first.user)) return undefined;
  const as = first.as === "" ? "" : ` acting as ${first.as}`;
  return { user: first.user, text: `${first.user}${as} (${how})` };
}

export type ReadAudit =
  | { readonly ok: true; readonly writes: readonly AuditedWrite[] }
  | { readonly ok: false; readonly problem: string };

/** More than the API server's batches hold (400 unless told otherwise). */
const eventsMax = 5_000;
const textMax = 512;

/**
 * Reads a batch of an audit webhook (audit.k8s.io/v1 EventList): writes that succeeded, of objects and not of their status, no dry runs.
 * Whatever else it holds is passed over.
 */
export function readAuditBatch(body: Uint8Array): ReadAudit {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return { ok: false, problem: "the body is no JSON" };
  }
  const items = isObject(parsed) && textAt(parsed, ["kind"]) === "EventList" ? parsed["items"] : [];
  if (!isArray(items) || items.length === 0) {
    return { ok: false, problem: "the body is no audit.k8s.io EventList with events" };
  }
  if (items.length > eventsMax) return { ok: false, problem: `more than ${eventsMax} events` };
  return { ok: true, writes: items.flatMap(toWrite) };
}

const writing = new Set(["create", "update", "patch", "delete"]);

function toWrite(event: Json): readonly AuditedWrite[] {
  if (!isObject(event) || textAt(event, ["stage"]) !== "ResponseComplete") return [];
  const code = at(event, ["responseStatus", "code"]);
  if (!writing.has(textAt(event, ["verb"])) || typeof code !== "number" || code >= 300) return [];
  if (textAt(event, ["objectRef", "subresource"]) === "status") return [];
  const [, query = ""] = textAt(event, ["requestURI"]).split("?", 2);
  const asked = new URLSearchParams(query);
  if (asked.has("dryRun")) return [];
  const name = nameIn(event);
  const user = textAt(event, ["user", "username"]);
  const atMs = Date.parse(textAt(event, ["stageTimestamp"]));
  if (name === undefined || user === "" || Number.isNaN(atMs)) return [];
  const group = textAt(event, ["objectRef", "apiGroup"]);
  const resource = textAt(event, ["objectRef", "resource"]);
  // A client that names no manager is called by the first part of its user agent (apiserver: prefixFromUserAgent).
  const agent = textAt(event, ["userAgent"]).split("/")[0] ?? "";
  return [
    {
      key: `${group} ${resource} ${name}`,
      user: cut(user),
      as: cut(textAt(event, ["impersonatedUser", "username"])),
      manager: cut(asked.get("fieldManager") ?? agent),
      atMs,
      version: cut(textAt(event, ["responseObject", "metadata", "resourceVersion"])),
    },
  ];
}

function nameIn(event: JsonObject): string | undefined {
  const name = textAt(event, ["objectRef", "name"]);
  if (name === "" || name.length > 253) return undefined;
  return keyOf({ namespace: textAt(event, ["objectRef", "namespace"]), name });
}

const cut = (text: string): string => text.slice(0, textMax);
