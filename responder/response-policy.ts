// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Json, JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { makeBudget } from "#policy/cel/budget";
import { compileExpression, type Program } from "#policy/cel/compile";
import { makeEnvironment } from "#policy/cel/environment";
import { kubernetesLibraries } from "#policy/cel/libraries/kubernetes";
import { boolType, dynType } from "#policy/cel/types";
import { CelError, type CelValue, Double } from "#policy/cel/values";
import { matchesWildcard } from "#policy/kubernetes/wildcard";
import type { Problem } from "#policy/problem";
import { actionProblem, actionSchema } from "#responder/action-spec";
import { duration, ttlMsMax } from "#responder/actions/parameters";
import type { Alert, Priority } from "#responder/intake/alert";
import { alertView, priorities } from "#responder/intake/alert";
import type { ExactJson } from "#responder/exact-json";
import { isExactArray, isExactObject } from "#responder/exact-json";
import type { Mode } from "#responder/remediation";
import { noticeKinds } from "#responder/notify/notices";
import { modes } from "#responder/remediation";

const priorityMatch = z.string().transform((text, context) => {
  const match = /^(>=|<=|=|>|<)?\s*([A-Za-z]+)$/.exec(text.trim());
  const priority = priorities.find((one) => one === match?.[2] && one !== "Unknown");
  if (match !== null && priority !== undefined) return { operator: match[1] ?? "=", priority };
  const message = `must be one of ${priorities.slice(0, -1).join(", ")} with an optional >=, >, <=, < or = before it`;
  context.addIssue({ code: "custom", message });
  return z.NEVER;
});

const names = z.array(z.string().min(1).max(256)).min(1).max(200);

/** What a ResponsePolicy's spec may hold; the CRD says the same. */
export const responsePolicySpec = z.strictObject({
  match: z.union([
    z.strictObject({
      falco: z.strictObject({
        rules: names.optional(),
        priority: priorityMatch.optional(),
        sources: names.optional(),
        tags: names.optional(),
      }),
    }),
    z.strictObject({ drift: z.strictObject({ kinds: names.optional() }) }),
  ]),
  when: z.string().min(1).max(10_000).optional(),
  do: z.array(actionSchema).min(1).max(10),
  mode: z.enum(modes).default("Propose"),
  /** The first entry that names the target's namespace and the alert's rule replaces `mode`; `*` and `?` are wildcards in namespaces. */
  modes: z
    .array(
      z
        .strictObject({
          namespaces: names.optional(),
          rules: names.optional(),
          mode: z.enum(modes),
        })
        .refine((one) => one.namespaces !== undefined || one.rules !== undefined, {
          message: "name namespaces, rules or both; mode alone is the policy's own",
        }),
    )
    .max(50)
    .default([]),
  limits: z
    .strictObject({
      perWorkload: z.int().min(1).max(1_000).default(1),
      perNamespace: z.int().min(1).max(1_000).default(5),
      perCluster: z.int().min(1).max(100_000).optional(),
      /** Ready pods of the target's controller that must be left beside it. */
      minReady: z.int().min(0).max(10_000).optional(),
      cooldown: duration(ttlMsMax).default(600_000),
    })
    .prefault({}),
  proposalTtl: duration(ttlMsMax).default(24 * 3_600_000),
  /** Who is told of proposals, expiries and failures (`about`; not `on`, which YAML 1.1, so kubectl, reads as true), instead of those whom the configuration names. */
  notify: z
    .strictObject({
      to: z.array(z.string().min(1).max(63)).max(10),
      about: z
        .array(z.enum(noticeKinds))
        .min(1)
        .default([...noticeKinds]),
    })
    .optional(),
});

export type PolicySpec = z.infer<typeof responsePolicySpec>;
export type Limits = PolicySpec["limits"];

/** A ResponsePolicy, compiled. */
export type ResponsePolicy = {
  readonly name: string;
  readonly generation: number;
  readonly spec: PolicySpec;
  readonly mode: Mode;
  /** Undefined: always. */
  readonly when: Program | undefined;
};

export type ParsedPolicy =
  | { readonly ok: true; readonly policy: ResponsePolicy }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * What an expression may name; JSON objects whose absent members are '' in `alert` and errors elsewhere. Its functions are those that
 * Kubernetes offers admission policies: addresses (`cidr`, `ip`), quantities, optionals, regular expressions and the like.
 */
const environment = makeEnvironment({
  libraries: kubernetesLibraries,
  variables: {
    alert: dynType,
    pod: dynType,
    owner: dynType,
    namespaceObject: dynType,
    drift: dynType,
  },
});

/** Reads one ResponsePolicy document. Every problem is named by its path; unknown fields are problems. */
export function parseResponsePolicy(object: JsonObject): ParsedPolicy {
  const name = textAt(object, ["metadata", "name"]);
  const document = `ResponsePolicy/${name}`;
  const parsed = responsePolicySpec.safeParse(object["spec"]);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => ({
      document,
      path: ["spec", ...issue.path].map(String).join("."),
      message: issue.message,
    }));
    return { ok: false, problems };
  }
  const spec = parsed.data;
  const mismatch = actionProblem(spec.do, "falco" in spec.match);
  if (mismatch !== undefined) {
    return { ok: false, problems: [{ document, path: "spec.do", message: mismatch }] };
  }
  if (spec.when === undefined) return { ok: true, policy: make(object, name, spec, undefined) };
  const compiled = compileExpression(spec.when, environment, { expect: [boolType] });
  if (compiled.ok) return { ok: true, policy: make(object, name, spec, compiled.program) };
  const problems = compiled.issues.map((issue) => ({
    document,
    path: "spec.when",
    message: `line ${issue.line}, column ${issue.column}: ${issue.message}`,
  }));
  return { ok: false, problems };
}

function make(
  object: JsonObject,
  name: string,
  spec: PolicySpec,
  when: Program | undefined,
): ResponsePolicy {
  const metadata = object["metadata"];
  const generation =
    typeof metadata === "object" && metadata !== null && "generation" in metadata
      ? Number(metadata["generation"])
      : 0;
  return { name, generation, spec, mode: spec.mode, when };
}

/** How far the policy goes in a namespace for a rule; rules are whole names, as in `match`. */
export const modeIn = (policy: ResponsePolicy, namespace: string, rule: string): Mode =>
  policy.spec.modes.find(
    (one) =>
      (one.namespaces?.some((name) => matchesWildcard(name, namespace)) ?? true) &&
      (one.rules?.includes(rule) ?? true),
  )?.mode ?? policy.mode;

/** Whether its condition looks at what must be read first; a field of that name costs no more than one read too many. */
export const looksAt = ({ spec }: ResponsePolicy, variable: "owner" | "namespaceObject"): boolean =>
  new RegExp(`\\b${variable}\\b`).test(spec.when ?? "");

export type Match = { readonly matches: boolean; readonly why: string };

/** The live objects around an alert; null when unknown. */
export type Surroundings = {
  readonly pod: JsonObject | null;
  /** The workload that the pod belongs to: its Deployment rather than its ReplicaSet. */
  readonly owner: JsonObject | null;
  readonly namespace: JsonObject | null;
};

const no = (why: string): Match => ({ matches: false, why });

/** Whether the alert itself is one the policy speaks about: everything but `when`, so cheap and without looking anything up. */
export function preselects(policy: ResponsePolicy, alert: Alert): Match {
  if (!("falco" in policy.spec.match)) return no("it is about drift");
  const { rules, priority, sources, tags } = policy.spec.match.falco;
  if (rules !== undefined && !rules.includes(alert.rule)) return no(`rule is "${alert.rule}"`);
  if (priority !== undefined && !priorityHolds(alert.priority, priority)) {
    return no(`priority is ${alert.priority}`);
  }
  if (sources !== undefined && !sources.includes(alert.source)) {
    return no(`source is "${alert.source}"`);
  }
  if (tags !== undefined && !tags.every((tag) => alert.tags.includes(tag))) {
    return no("not all of its tags are there");
  }
  return { matches: true, why: "rule, priority, source and tags match" };
}

/** Whether the policy's `when` holds. An expression that fails does not match: nothing is done on a guess. */
export function whenHolds(policy: ResponsePolicy, alert: Alert, surroundings: Surroundings): Match {
  if (policy.when === undefined) return { matches: true, why: "no condition" };
  const activation = {
    alert: toCel(alertView(alert)),
    pod: surroundings.pod,
    owner: surroundings.owner,
    namespaceObject: surroundings.namespace,
  };
  return outcome(policy.when.evaluate(activation, makeBudget()));
}

/**
 * The same for drift: `drift` has kind, namespace, name, paths, managers, actor (the authenticated user, '' where none is known) and client
 * (what kind of client that is: a name of the configuration, `other`, or `unknown`).
 */
export function matchesDrift(policy: ResponsePolicy, kind: string, drift: JsonObject): Match {
  if (!("drift" in policy.spec.match)) return no("it is about alerts");
  const { kinds } = policy.spec.match.drift;
  if (kinds !== undefined && !kinds.includes(kind)) return no(`kind is ${kind}`);
  if (policy.when === undefined) return { matches: true, why: "no condition" };
  return outcome(policy.when.evaluate({ drift }, makeBudget()));
}

function outcome(value: ReturnType<Program["evaluate"]>): Match {
  if (value === true) return { matches: true, why: "when is true" };
  if (value === false) return no("when is false");
  return no(value instanceof CelError ? `when failed: ${value.message}` : "when is no boolean");
}

function priorityHolds(
  priority: Priority,
  wanted: { readonly operator: string; readonly priority: Priority },
): boolean {
  // Of unknown urgency: no comparison is true of it.
  if (priority === "Unknown") return false;
  const urgency = (one: Priority): number => -priorities.indexOf(one);
  const difference = urgency(priority) - urgency(wanted.priority);
  switch (wanted.operator) {
    case ">=":
      return difference >= 0;
    case ">":
      return difference > 0;
    case "<=":
      return difference <= 0;
    case "<":
      return difference < 0;
    default:
      return difference === 0;
  }
}

/** Integers beyond CEL's int become doubles, as the Kubernetes API server reads them; all others keep every digit. */
function toCel(value: ExactJson): CelValue {
  if (typeof value === "bigint") {
    return value >= -(2n ** 63n) && value < 2n ** 63n ? value : new Double(Number(value));
  }
  if (isExactArray(value)) return value.map(toCel);
  if (!isExactObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toCel(item)]));
}

/** The status to write back: whether the policy is in use, and if not, every problem. */
export function policyStatus(
  parsed: ParsedPolicy,
  generation: number,
  now: string,
  remarks: readonly string[] = [],
): { readonly [key: string]: Json } {
  const message = parsed.ok
    ? ["in use", ...remarks].join("; ")
    : parsed.problems.map((problem) => `${problem.path}: ${problem.message}`).join("; ");
  return {
    observedGeneration: generation,
    conditions: [
      {
        type: "Ready",
        status: parsed.ok ? "True" : "False",
        reason: parsed.ok ? "Compiled" : "Invalid",
        message: message.slice(0, 4_000),
        lastTransitionTime: now,
        observedGeneration: generation,
      },
    ],
  };
}
