// SPDX-License-Identifier: Apache-2.0
import type { ExactJson, ExactObject, JsonLimits } from "#responder/exact-json";
import {
  canonical,
  isExactArray,
  isExactObject,
  jsonLimits,
  readDocuments,
} from "#responder/exact-json";

/** Falco's priorities, most urgent first (falco: userspace/engine/falco_common.h); `Unknown` ranks below all of them. */
export const priorities = [
  "Emergency",
  "Alert",
  "Critical",
  "Error",
  "Warning",
  "Notice",
  "Informational",
  "Debug",
  "Unknown",
] as const;
export type Priority = (typeof priorities)[number];

/** One Falco alert. Everything but `rule` may be missing in what Falco sends; missing text is ''. */
export type Alert = {
  readonly rule: string;
  readonly priority: Priority;
  /** `syscall`, `k8s_audit`, `internal`, ...; falcosidekick's `syscalls` is read as `syscall`. */
  readonly source: string;
  /** Node name or the name of Falco's pod. */
  readonly hostname: string;
  readonly output: string;
  /** Sorted, as Falco and falcosidekick send them. */
  readonly tags: readonly string[];
  /** The time as it came. */
  readonly time: string;
  /** The same in nanoseconds since 1970; undefined when it came without or unreadable. Such an alert is for review only. */
  readonly timeNs: bigint | undefined;
  readonly fields: ExactObject;
};

/** An alert with what it came as, its evidence. */
export type ReadAlert = {
  readonly alert: Alert;
  readonly text: string;
  /** The whole body, where it was no valid UTF-8 and `text` does not hold all of it. */
  readonly bytes: Uint8Array | undefined;
};

export type ParsedAlerts = {
  readonly alerts: readonly ReadAlert[];
  /** What of the body could not be read. With alerts beside it, the body was accepted in part. */
  readonly problems: readonly string[];
};

/**
 * Reads a posted body: one alert, an array of alerts or NDJSON. Invalid UTF-8 becomes U+FFFD as in Falco's own serializer.
 * Fields of a wrong type count as missing: a namespace that is a number names no namespace.
 */
export function readAlerts(body: Uint8Array, limits: JsonLimits = jsonLimits): ParsedAlerts {
  const decoded = new TextDecoder().decode(body);
  const isWhole = !decoded.includes("\ufffd");
  const documents = readDocuments(decoded, limits);
  const problems = [...documents.problems];
  const alerts: ReadAlert[] = [];
  const candidates = documents.values.flatMap(({ value, text: source }) =>
    isExactArray(value)
      ? value.map((item) => ({ value: item, source: canonical(item) }))
      : [{ value, source }],
  );
  if (candidates.length > limits.documentsMax) {
    return { alerts: [], problems: [`more than ${limits.documentsMax} alerts in one body`] };
  }
  for (const candidate of candidates) {
    const alert = toAlert(candidate.value);
    if (typeof alert === "string") problems.push(alert);
    else alerts.push({ alert, text: candidate.source, bytes: isWhole ? undefined : body });
  }
  if (alerts.length === 0 && problems.length === 0) problems.push("the body holds no alert");
  return { alerts, problems };
}

/** One alert from a JSON value, or what is wrong with it. */
export function toAlert(value: ExactJson): Alert | string {
  if (!isExactObject(value)) return "an alert must be an object";
  const rule = text(member(value, "rule"));
  if (rule === "") return "rule: must be a text that is not empty";
  const fields = member(value, "output_fields");
  const time = text(member(value, "time"));
  return {
    rule,
    priority: toPriority(text(member(value, "priority"))),
    source: toSource(text(member(value, "source"))),
    hostname: text(member(value, "hostname")),
    output: text(member(value, "output")),
    tags: toTags(member(value, "tags")),
    time,
    timeNs: parseTimeNs(time),
    fields: isExactObject(fields) ? fields : {},
  };
}

/** Exact name first, then in any case: Go's decoders, so falcosidekick and Talon, read `Rule` as `rule`. */
function member(value: ExactObject, name: string): ExactJson | undefined {
  if (Object.hasOwn(value, name)) return value[name];
  const other = Object.keys(value).find((key) => key.toLowerCase() === name);
  return other === undefined ? undefined : value[other];
}

const text = (value: ExactJson | undefined): string => (typeof value === "string" ? value : "");

function toPriority(name: string): Priority {
  const wanted = name.toLowerCase();
  if (wanted === "info") return "Informational";
  return priorities.find((priority) => priority.toLowerCase() === wanted) ?? "Unknown";
}

const toSource = (source: string): string => (source === "syscalls" ? "syscall" : source);

const toTags = (value: ExactJson | undefined): readonly string[] =>
  isExactArray(value)
    ? [...new Set(value.filter((tag): tag is string => typeof tag === "string"))].sort()
    : [];

const timePattern =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):?(\d{2}))$/;

/** RFC 3339 to nanoseconds, with Falco's `+0000` too; undefined for anything else. */
export function parseTimeNs(time: string): bigint | undefined {
  const match = timePattern.exec(time);
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? "0");
  const utc = Date.UTC(part(1), part(2) - 1, part(3), part(4), part(5), part(6));
  const back = new Date(utc);
  // Date.UTC rolls 31 February over; such a time is no time.
  if (back.getUTCMonth() !== part(2) - 1 || back.getUTCDate() !== part(3)) return undefined;
  if (part(4) > 23 || part(5) > 59 || part(6) > 60) return undefined;
  const offset = (part(9) * 60 + part(10)) * 60_000 * (match[8] === "-" ? -1 : 1);
  const fraction = BigInt((match[7] ?? "").padEnd(9, "0"));
  return BigInt(utc - offset) * 1_000_000n + fraction;
}

/** A field as text, '' when absent, null, not a string or Falco's `<NA>`. */
export function fieldText(alert: Alert, key: string): string {
  const value = Object.hasOwn(alert.fields, key) ? alert.fields[key] : undefined;
  return typeof value === "string" && value !== "<NA>" ? value : "";
}

/** True when the alert tells of the host itself: no container was involved. */
export const isHostAlert = (alert: Alert): boolean => fieldText(alert, "container.id") === "host";

/** What CEL sees as `alert`. Absent and null fields are ''; the raw ones are under `output_fields`. */
export type AlertView = {
  readonly rule: string;
  readonly priority: string;
  readonly source: string;
  readonly hostname: string;
  readonly output: string;
  readonly time: string;
  readonly tags: readonly string[];
  readonly pod: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly container: {
    readonly id: string;
    readonly name: string;
    readonly image: { readonly repository: string; readonly tag: string };
  };
  readonly process: {
    readonly name: string;
    readonly command: string;
    readonly executable: string;
    readonly parent: string;
  };
  readonly user: { readonly name: string };
  /** Of Kubernetes audit alerts: `user` is the actor, `target` the object. Neither is the pod of an alert from a node. */
  readonly audit: {
    readonly user: string;
    readonly verb: string;
    readonly target: {
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
    };
  };
  readonly output_fields: ExactObject;
};

export function alertView(alert: Alert): AlertView {
  const of = (key: string): string => fieldText(alert, key);
  return {
    rule: alert.rule,
    priority: alert.priority,
    source: alert.source,
    hostname: alert.hostname,
    output: alert.output,
    time: alert.time,
    tags: alert.tags,
    pod: {
      namespace: of("k8s.ns.name"),
      name: of("k8s.pod.name"),
      uid: of("k8s.pod.uid"),
    },
    container: {
      id: of("container.id"),
      name: of("container.name"),
      image: { repository: of("container.image.repository"), tag: of("container.image.tag") },
    },
    process: {
      name: of("proc.name"),
      command: of("proc.cmdline"),
      executable: of("proc.exepath"),
      parent: of("proc.pname"),
    },
    user: { name: of("user.name") },
    audit: {
      user: of("ka.user.name"),
      verb: of("ka.verb"),
      target: {
        resource: of("ka.target.resource"),
        subresource: of("ka.target.subresource"),
        namespace: of("ka.target.namespace"),
        name: of("ka.target.name"),
      },
    },
    output_fields: alert.fields,
  };
}
