// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { Alert } from "#responder/intake/alert";
import { type AlertView, alertView, fieldText, isHostAlert } from "#responder/intake/alert";
import type { ExactJson } from "#responder/exact-json";
import { canonical } from "#responder/exact-json";

/**
 * Hash of what makes an alert that alert, and survives the way: Falco's own copy and falcosidekick's (which adds `uuid` and
 * custom fields, sorts tags, renames `a[2]` keys, rewrites `output`, trims zeros of the time and cuts strings over 512 bytes)
 * have one fingerprint. `relayed`: fields that a relay is known to write, which are left out. An alert without a readable time is
 * told apart by when it was received, so that none is ever merged away.
 */
export function fingerprint(
  alert: Alert,
  receivedAtMs: number,
  relayed: ReadonlySet<string> = nothing,
): string {
  const identity = {
    hostname: alert.hostname,
    rule: alert.rule,
    priority: alert.priority,
    time: alert.timeNs?.toString() ?? `received ${receivedAtMs} ${alert.output}`,
    fields: identityFields(alert, relayed),
  };
  return sha256(canonical(identity));
}

const nothing: ReadonlySet<string> = new Set();

export const sha256 = (value: string | Uint8Array): string =>
  createHash("sha256").update(value).digest("hex");

/**
 * Falco's own field classes whose values tell two alerts of one nanosecond (audit sources: microsecond, cloud logs: second) apart.
 * `n_*` are the counters of Falco's own messages. Custom fields bear other names; `k8s.cluster` is one that people choose.
 */
const identityField =
  /^(?!k8s\.cluster)(?:evt|proc|fd|user|group|thread|container|k8s|k8smeta|ka|ct|gcp|okta|github|jevt|falco|scap)\.[a-z0-9_.]+$|^n_[a-z_]+$/;

/**
 * Falco's fields that take an argument in brackets. falcosidekick's `bracketreplacer` makes `proc.aname_2` or `proc.aname.2` of
 * `proc.aname[2]`, so neither writing counts. (falco.org/docs/reference/rules/supported-fields, "requires an argument")
 */
const indexedField =
  /^(?:proc\.(?:aname|apid|aexepath|aexe|acmdline|aenv|env|args)|evt\.(?:arg|rawarg)(?!\.[a-z])|evt\.abspath|fd\.types|thread\.cgroup|container\.(?:label|mount)|k8s\.(?:pod|ns|rc|svc|rs|deployment)\.label|k8smeta\.(?:pod|ns|deployment|svc|rs|rc)\.label|ka\.(?:uri\.param|auth\.openshift)|jevt\.(?:value|rawvalue))(?!s$)./;

function identityFields(alert: Alert, relayed: ReadonlySet<string>): Record<string, ExactJson> {
  const fields: [string, ExactJson][] = [];
  for (const [key, value] of Object.entries(alert.fields)) {
    if (value === null || !identityField.test(key) || indexedField.test(key)) continue;
    if (relayed.has(key)) continue;
    fields.push([key, typeof value === "string" ? survivingText(value) : value]);
  }
  return Object.fromEntries(fields);
}

/** falcosidekick cuts strings of more bytes to this many and adds a mark, in alerts of more than 4,096 bytes. */
const uncutBytesMax = 512;
const cutBytes = 507;
const cutMark = "[...]";

/**
 * What of a string is the same whether it was cut or not: all of it, where it is never cut. A cut through a character leaves
 * bytes that are no UTF-8, which arrive as U+FFFD, as half a surrogate pair does.
 */
function survivingText(text: string): string {
  const whole = text.toWellFormed();
  // A UTF-16 unit has three bytes at most.
  if (whole.length * 3 < uncutBytesMax) return whole;
  const bytes = Buffer.from(whole, "utf8");
  const isWhole = bytes.length === uncutBytesMax && !whole.endsWith(cutMark);
  if (bytes.length < uncutBytesMax || isWhole) return whole;
  return bytes
    .subarray(0, cutBytes)
    .toString("utf8")
    .replace(/\ufffd{1,512}$/, "");
}

/** What an alert says about where it happened, before anything was looked up. */
export type Clue =
  | {
      readonly kind: "pod";
      readonly namespace: string;
      readonly name: string;
      /** '' when Falco was not asked for `k8s.pod.uid`. */
      readonly uid: string;
      /** Short container id as Falco gives it, '' when unknown. */
      readonly containerId: string;
    }
  | { readonly kind: "host"; readonly hostname: string }
  | { readonly kind: "unresolved"; readonly reason: string };

/** DNS-1123 subdomain: the names that a pod or namespace can have. Nothing else is ever sent to the API server. */
export const isObjectName = (name: string): boolean =>
  name.length <= 253 &&
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name);

/**
 * Where to look for the target. A Kubernetes audit alert names its actor and its object, which are not the pod that
 * misbehaves (an exec's `ka.target` is: somebody runs a command inside that pod).
 */
export function clueOf(alert: Alert): Clue {
  const view = alertView(alert);
  if (alert.source === "k8s_audit") return auditClue(view.audit.target);
  if (isHostAlert(alert)) return { kind: "host", hostname: alert.hostname };
  const containerId = fieldText(alert, "container.id");
  const isNamed = view.pod.namespace !== "" && view.pod.name !== "";
  const pod = isNamed ? view.pod : podInContainerName(fieldText(alert, "container.name"));
  if (pod === undefined) {
    const container = /^[0-9a-f]{12,64}$/.test(containerId)
      ? `, only container ${containerId}`
      : "";
    return { kind: "unresolved", reason: `the alert names no pod and namespace${container}` };
  }
  const { namespace, name, uid } = pod;
  if (!isObjectName(namespace) || !isObjectName(name)) {
    return { kind: "unresolved", reason: "the alert's pod or namespace is no Kubernetes name" };
  }
  return { kind: "pod", namespace, name, uid, containerId };
}

/**
 * The kubelet's names for Docker's containers, `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT` (cri-dockerd, core/naming.go): all that Falco knows where it
 * asks Docker and not the kubelet's runtime. Of a static pod that UID is another than the API server's, so such a one is not taken.
 */
function podInContainerName(name: string): AlertView["pod"] | undefined {
  const match = /^k8s_[^_]{1,63}_([^_]{1,253})_([^_]{1,63})_([0-9a-f-]{36})_\d{1,9}$/.exec(name);
  if (match === null) return undefined;
  const [, pod = "", namespace = "", uid = ""] = match;
  return { namespace, name: pod, uid };
}

function auditClue(target: {
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
}): Clue {
  const into = ["exec", "attach", "portforward", "ephemeralcontainers"].includes(
    target.subresource,
  );
  if (target.resource !== "pods" || !into) {
    return { kind: "unresolved", reason: "an audit alert's object is not the pod that acts" };
  }
  if (!isObjectName(target.namespace) || !isObjectName(target.name)) {
    return { kind: "unresolved", reason: "the alert's pod or namespace is no Kubernetes name" };
  }
  return {
    kind: "pod",
    namespace: target.namespace,
    name: target.name,
    uid: "",
    containerId: "",
  };
}
