// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, type Json, type JsonObject } from "#policy/json";
import { parseResponsePolicy } from "#responder/response-policy";
import type { TalonAction, TalonRule } from "./talon-rules.ts";

/** One remark on a rule: `lost` has no counterpart here; `differs` was carried over with another meaning. */
export type Remark = { readonly kind: "lost" | "differs"; readonly text: string };

type Carried = {
  readonly action: JsonObject;
  /** Parameters that were carried over; all others are lost. */
  readonly used: readonly string[];
  readonly remarks: readonly Remark[];
};

const differs = (text: string): Remark => ({ kind: "differs", text });
const lost = (text: string): Remark => ({ kind: "lost", text });

/** How each of Talon's actionners is done here, and what is other about it (docs.falco-talon.org, list of actionners). */
const counterparts: Readonly<
  Record<string, (parameters: JsonObject, ttl: string) => Carried | undefined>
> = {
  "kubernetes:log": () => ({
    action: { "capture-evidence": {} },
    used: [],
    remarks: [differs("evidence holds the pod, its events and policies beside the logs")],
  }),
  "kubernetes:label": toQuarantineLabel,
  "kubernetes:annotation": toAnnotate,
  "kubernetes:networkpolicy": toIsolate,
  "kubernetes:cordon": (_, ttl) => ({
    action: { cordon: { ttl } },
    used: [],
    remarks: [differs(`it ends after ${ttl}, and is never done without being approved`)],
  }),
  "kubernetes:terminate": toDelete,
};

/** Actions in the order in which they make sense: evidence first, what ends the pod last. */
const order = ["capture-evidence", "quarantine-label", "annotate", "isolate", "cordon", "delete"];

/** What Talon's other actionners would need; each is named so that nobody believes it was carried over. */
const missing: Readonly<Record<string, string>> = {
  "kubernetes:exec": "nothing is ever run inside a pod here",
  "kubernetes:script": "nothing is ever run inside a pod here",
  "kubernetes:delete": "no action here deletes an object other than the pod",
  "kubernetes:drain": "no action here drains a node",
  "kubernetes:download": "no action here fetches files from a pod",
  "kubernetes:tcpdump": "no action here captures packets",
  "kubernetes:sysdig": "no action here captures system calls",
  "aws:lambda": "no action here calls a cloud function",
  "gcp:function": "no action here calls a cloud function",
  "calico:networkpolicy":
    "it denies the one remote address of the alert; here a pod is cut off altogether or not at all",
  "cilium:networkpolicy":
    "it denies the one remote address of the alert; here a pod is cut off altogether or not at all",
};

export type ImportedActions = {
  readonly actions: readonly JsonObject[];
  readonly remarks: readonly Remark[];
};

/** The actions of a rule that a ResponsePolicy can have, each accepted by the responder's own parser. */
export function importActions(rule: TalonRule, ttl: string): ImportedActions {
  const remarks: Remark[] = [];
  const actions = new Map<string, JsonObject>();
  for (const action of rule.actions) {
    const label = action.name === "" ? action.actionner : `${action.name} (${action.actionner})`;
    const say = (list: readonly Remark[]) =>
      remarks.push(...list.map(({ kind, text }) => ({ kind, text: `action ${label}: ${text}` })));
    const carried = importAction(action, ttl);
    if ("remarks" in carried) say(carried.remarks);
    if (!("action" in carried)) continue;
    const [name = ""] = Object.keys(carried.action);
    if (actions.has(name)) say([lost(`${name} is there already, and is done once`)]);
    else actions.set(name, carried.action);
  }
  const sorted = order.flatMap((name) => {
    const action = actions.get(name);
    return action === undefined ? [] : [action];
  });
  return { actions: sorted, remarks };
}

function importAction(
  { actionner, parameters, others }: TalonAction,
  ttl: string,
): Carried | { readonly remarks: readonly Remark[] } {
  const carry = Object.hasOwn(counterparts, actionner) ? counterparts[actionner] : undefined;
  if (carry === undefined) {
    const known = Object.hasOwn(missing, actionner) ? missing[actionner] : undefined;
    return { remarks: [lost(known ?? "the actionner is unknown")] };
  }
  const carried = carry(parameters, ttl);
  if (carried === undefined) return { remarks: [lost("its parameters name nothing to do")] };
  const problem = problemOf(carried.action);
  if (problem !== undefined) return { remarks: [lost(problem)] };
  const unused = Object.keys(parameters)
    .filter((name) => !carried.used.includes(name))
    .map((name) => lost(`parameter ${name}: ${why[name] ?? "has no counterpart"}`));
  const unread = others.map((name) => lost(`${name} has no counterpart`));
  return { ...carried, remarks: [...carried.remarks, ...unused, ...unread] };
}

/** Why some parameters are not carried over, where more can be said than that. */
const why: Readonly<Record<string, string>> = {
  allow: "Talon ignores it, too; it means allow_cidr",
  min_healthy_replicas: "say it in the policy, as limits.minReady",
};

/** What the responder says against an action; undefined when it takes it. */
function problemOf(action: JsonObject): string | undefined {
  const policy = { metadata: { name: "x" }, spec: { match: { falco: {} }, do: [action] } };
  const parsed = parseResponsePolicy(policy);
  if (parsed.ok) return undefined;
  const problems = parsed.problems.map(({ path, message }) => `${path}: ${message}`);
  return `${Object.keys(action).join()} does not take it: ${problems.join("; ")}`;
}

function toIsolate(parameters: JsonObject, ttl: string): Carried {
  const listOf = (name: string): readonly Json[] => {
    const value = field(parameters, name);
    return value === undefined ? [] : isArray(value) ? value : [value];
  };
  const namespaces = listOf("allow_namespaces").map((namespace) => ({ namespace }));
  const allow = [...listOf("allow_cidr").map((cidr) => ({ cidr })), ...namespaces];
  const remark = `Talon stops the egress of all pods of the workload for good; isolate cuts the alert's pod alone, in both directions, for ${ttl}`;
  return {
    action: { isolate: { ttl, ...(allow.length === 0 ? {} : { allow }) } },
    used: ["allow_cidr", "allow_namespaces"],
    remarks: [
      differs(remark),
      // falco-talon selects k8s.io/metadata.name; the label that namespaces have is kubernetes.io/metadata.name.
      ...(namespaces.length === 0
        ? []
        : [
            differs(
              "Talon's allow_namespaces asks for a label that no namespace has; here it allows",
            ),
          ]),
    ],
  };
}

function toDelete(parameters: JsonObject): Carried {
  const seconds = field(parameters, "grace_period_seconds");
  const grace = typeof seconds === "number" ? { gracePeriod: `${seconds}s` } : {};
  return {
    action: { delete: grace },
    used: typeof seconds === "number" ? ["grace_period_seconds"] : [],
    remarks: [],
  };
}

function toAnnotate(parameters: JsonObject): Carried | undefined {
  const { set, removed } = entriesOf(field(parameters, "annotations"));
  if (Object.keys(set).length === 0) return undefined;
  return { action: { annotate: { annotations: set } }, used: ["annotations"], remarks: removed };
}

function toQuarantineLabel(parameters: JsonObject, ttl: string): Carried | undefined {
  const { set, removed } = entriesOf(field(parameters, "labels"));
  const [first, ...more] = Object.entries(set);
  if (first === undefined) return undefined;
  const [key, value] = first;
  return {
    action: { "quarantine-label": { label: { key, value }, ttl } },
    used: ["labels"],
    remarks: [
      differs(`the label is taken away after ${ttl}`),
      ...more.map(([name]) => lost(`label ${name}: quarantine-label sets one label`)),
      ...removed,
    ],
  };
}

/** Talon takes an empty value for a removal. */
function entriesOf(value: Json | undefined): {
  readonly set: Readonly<Record<string, string>>;
  readonly removed: readonly Remark[];
} {
  const entries = Object.entries(isObject(value) ? value : {});
  const isText = (one: Json): boolean =>
    one !== null && one !== "" && !isObject(one) && !isArray(one);
  const set = entries
    .filter(([, one]) => isText(one))
    .map(([key, one]) => [key, typeof one === "string" ? one : JSON.stringify(one)] as const);
  const removed = entries
    .filter(([, one]) => !isText(one))
    .map(([key]) => lost(`${key}: no action here removes a label or an annotation`));
  return { set: Object.fromEntries(set), removed };
}
