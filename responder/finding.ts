// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { Alert } from "#responder/alert";
import { alertView, fieldText, isHostAlert } from "#responder/alert";
import type { ExactJson } from "#responder/exact-json";
import { canonical } from "#responder/exact-json";

/**
 * Hash of what makes an alert that alert, and survives the way: Falco's own copy and falcosidekick's (which adds `uuid` and
 * custom fields, sorts tags, renames `a[2]` keys, rewrites `output`, trims zeros of the time and cuts strings over 512 bytes)
 * have one fingerprint. An alert without a readable time is told apart by when it was received, so that none is ever merged away.
 */
export function fingerprint(alert: Alert, receivedAtMs: number): string {
  const identity = {
    hostname: alert.hostname,
    rule: alert.rule,
    priority: alert.priority,
    time: alert.timeNs?.toString() ?? `received ${receivedAtMs} ${alert.output}`,
    fields: identityFields(alert),
  };
  return sha256(canonical(identity));
}

export const sha256 = (value: string | Uint8Array): string =>
  createHash("sha256").update(value).digest("hex");

/**
 * Falco's own field classes whose values tell two alerts of one nanosecond (audit sources: microsecond) apart.
 * `n_*` are the counters of Falco's own messages. Keys with brackets are left out since falcosidekick's bracketreplacer renames them; custom fields bear other names.
 */
const identityField =
  /^(?:evt|proc|fd|user|group|thread|container|k8s|k8smeta|ka|ct|gcp|okta|github|jevt|falco|scap)\.[a-z0-9_.]+$|^n_[a-z_]+$/;

/** 160 UTF-16 units are at most 480 bytes, which falcosidekick's cut at 507 bytes leaves whole. */
const comparedUnits = 160;

function identityFields(alert: Alert): Record<string, ExactJson> {
  const fields: [string, ExactJson][] = [];
  for (const [key, value] of Object.entries(alert.fields)) {
    if (value === null || !identityField.test(key)) continue;
    fields.push([key, typeof value === "string" ? value.slice(0, comparedUnits) : value]);
  }
  return Object.fromEntries(fields);
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
  const { namespace, name, uid } = view.pod;
  if (namespace === "" || name === "") {
    return { kind: "unresolved", reason: "the alert names no pod and namespace" };
  }
  if (!isObjectName(namespace) || !isObjectName(name)) {
    return { kind: "unresolved", reason: "the alert's pod or namespace is no Kubernetes name" };
  }
  const containerId = fieldText(alert, "container.id");
  return { kind: "pod", namespace, name, uid, containerId };
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
