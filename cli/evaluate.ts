// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { CompiledPolicy, Explanation, PolicySet, TargetMutation } from "#policy/policy-set";
import type { RuleResult } from "#policy/report/result";
import type { Operation, Review, UserInfo } from "#policy/review";
import type { World } from "#policy/world";
import { keyOf } from "./input/resources.ts";
import { parseOperation, withValues } from "./input/values.ts";
import type { Values } from "./input/values.ts";

/** What one policy said about one resource in one phase. */
export type Response = {
  readonly policy: CompiledPolicy;
  readonly results: readonly RuleResult[];
  /** The resource as the policy found it. */
  readonly before: JsonObject;
  /** The resource as the policy left it; the same object where it changed nothing. */
  readonly after: JsonObject;
  readonly generated: readonly JsonObject[];
  /** Other objects that the policy changes because of this one. */
  readonly targets: readonly TargetMutation[];
};

export type Evaluation = {
  readonly responses: readonly Response[];
  /** The resource after every mutation. */
  readonly object: JsonObject;
};

export type EvaluateOptions = {
  readonly world: World;
  /** What CEL kinds see instead: canned answers of calls come to them with their status. */
  readonly celWorld?: World;
  readonly values: Values;
  readonly userInfo: UserInfo | null;
  /** For all policies; undefined lets the values decide, CREATE where they say nothing. */
  readonly operation: Operation | undefined;
  /** Leaves out the other phases. */
  readonly only?: Work;
};

export type Work = "mutate" | "validate" | "generate" | "deletion";
type Phase = { readonly group: string; readonly kind: RegExp; readonly work: Work };

const classic = /^(Cluster)?Policy$/;

/**
 * The order in which Kyverno's command line runs the kinds (cmd/cli/kubectl-kyverno/processor/policy_processor.go),
 * each on what the one before it left; within a phase in the order of the documents.
 */
const phases: readonly Phase[] = [
  { group: "kyverno.io", kind: classic, work: "mutate" },
  { group: "kyverno.io", kind: classic, work: "validate" },
  {
    group: "admissionregistration.k8s.io",
    kind: /^MutatingAdmissionPolicy$/,
    work: "mutate",
  },
  { group: "policies.kyverno.io", kind: /^(Namespaced)?MutatingPolicy$/, work: "mutate" },
  {
    group: "admissionregistration.k8s.io",
    kind: /^ValidatingAdmissionPolicy$/,
    work: "validate",
  },
  { group: "policies.kyverno.io", kind: /./, work: "validate" },
  { group: "policies.kyverno.io", kind: /./, work: "generate" },
  { group: "kyverno.io", kind: classic, work: "generate" },
  { group: "policies.kyverno.io", kind: /./, work: "deletion" },
  { group: "kyverno.io", kind: /./, work: "deletion" },
];

/** Runs every policy of the set that may match on one resource, phase by phase. */
export function evaluateResource(
  set: PolicySet,
  resource: JsonObject,
  options: EvaluateOptions,
): Evaluation {
  const responses: Response[] = [];
  let object = resource;
  const candidates = set.candidates(reviewFor(undefined, resource, options));
  for (const { policy, work } of tasksOf(candidates)) {
    if (options.only !== undefined && options.only !== work) continue;
    // What is deleted is what is there, not what a change to it would become.
    const response = run(policy, work, work === "deletion" ? resource : object, options);
    if (work === "deletion") {
      responses.push(response);
      continue;
    }
    responses.push(response);
    object = response.after;
  }
  return { responses, object };
}

/** What each expression of the policy gave on the resource that it found; undefined for kinds that cannot say. */
export function explainResponse(
  { policy, before }: Response,
  options: EvaluateOptions,
): readonly Explanation[] | undefined {
  const world = isClassic(policy) ? options.world : (options.celWorld ?? options.world);
  return policy.explain?.(reviewFor(policy, before, options), world);
}

const isClassic = (policy: CompiledPolicy): boolean =>
  policy.ref.apiVersion.startsWith("kyverno.io/");

type Task = { readonly policy: CompiledPolicy; readonly work: Work };

/** A set gives the same list of candidates for every resource of a kind. */
const knownTasks = new WeakMap<readonly CompiledPolicy[], readonly Task[]>();

/** What the policies do, phase by phase. */
function tasksOf(policies: readonly CompiledPolicy[]): readonly Task[] {
  const known = knownTasks.get(policies);
  if (known !== undefined) return known;
  const tasks = phases.flatMap((phase) =>
    policies
      .filter((policy) => policy[phase.work] !== undefined && isIn(phase, policy))
      .map((policy): Task => ({ policy, work: phase.work })),
  );
  knownTasks.set(policies, tasks);
  return tasks;
}

function isIn(phase: Phase, policy: CompiledPolicy): boolean {
  const { apiVersion, kind } = policy.ref;
  return apiVersion.startsWith(`${phase.group}/`) && phase.kind.test(kind);
}

function run(
  policy: CompiledPolicy,
  work: Work,
  before: JsonObject,
  options: EvaluateOptions,
): Response {
  const review = reviewFor(policy, before, options);
  const world = isClassic(policy) ? options.world : (options.celWorld ?? options.world);
  const unchanged = { policy, before, after: before, generated: [], targets: [] };
  switch (work) {
    case "mutate": {
      const done = policy.mutate?.(review, world);
      // What is deleted has no object to change: those that come after see it as it was.
      const changed = done !== undefined && review.object !== null && done.object !== review.object;
      const after = changed ? done.object : before;
      return { ...unchanged, after, results: done?.results ?? [], targets: done?.targets ?? [] };
    }
    case "validate":
      return { ...unchanged, results: policy.validate?.(review, world) ?? [] };
    case "generate": {
      const done = policy.generate?.(review, world);
      return { ...unchanged, generated: done?.resources ?? [], results: done?.results ?? [] };
    }
    case "deletion":
      return { ...unchanged, results: policy.deletion?.(review, world) ?? [] };
    default:
      return work satisfies never;
  }
}

/**
 * The review of a resource. Classic policies see values of their own: another operation, and fields set in the object;
 * for the others only a global operation counts.
 */
function reviewFor(
  policy: CompiledPolicy | undefined,
  resource: JsonObject,
  options: EvaluateOptions,
): Review {
  const named = policy !== undefined && isClassic(policy) ? policy.ref.name : undefined;
  const values = named === undefined ? {} : options.values.forResource(named, keyOf(resource).name);
  const object = named !== undefined ? withValues(resource, values) : resource;
  const { kind, subResource } = servedKind(resource, options.values);
  const ofValues = parseOperation(values["request.operation"]) ?? options.values.operation;
  const review = reviewOf(object, {
    operation: options.operation ?? ofValues ?? "CREATE",
    userInfo: options.userInfo,
    subResource,
    world: options.world,
  });
  return kind === undefined ? review : { ...review, kind };
}

/** A kind that a subresource takes or gives is asked for under its parent's kind. */
function servedKind(
  resource: JsonObject,
  values: Values,
): { readonly kind: Review["kind"] | undefined; readonly subResource: string } {
  if (values.subresources.length === 0) return { kind: undefined, subResource: "" };
  const own = reviewOf(resource).kind;
  const found = values.subresources.find(
    ({ kind }) =>
      kind.group === own.group && kind.version === own.version && kind.kind === own.kind,
  );
  return { kind: found?.parent, subResource: found?.name ?? "" };
}
