// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { withAutogenRules } from "#policy/kyverno/classic/autogen";
import { stringMap } from "#policy/report/policy-meta";
import { rewriteMatch } from "./match.ts";
import type { RewrittenMatch } from "./match.ts";
import { rewriteMutation } from "./mutation.ts";
import { Refusal } from "./refusal.ts";
import type { Assumptions } from "./refusal.ts";
import {
  listAt,
  operationsOf,
  preconditions,
  rewriteValidation,
  withExistingAllowed,
} from "./validation.ts";
import type { Judged } from "./validation.ts";

/** What became of one rule of a classic policy. */
export type Rewrite = {
  readonly policy: string;
  readonly rule: string;
} & (
  | {
      readonly ok: true;
      /** The policies that say together what the rule said. */
      readonly documents: readonly JsonObject[];
      readonly assumptions: readonly string[];
    }
  | { readonly ok: false; readonly path: string; readonly reason: string }
);

/** Rewrites every rule of a ClusterPolicy or Policy as CEL kinds, or says why a rule has no exact equivalent. */
export function rewritePolicy(policy: JsonObject): readonly Rewrite[] {
  const name = textAt(policy, ["metadata", "name"]);
  const stated = at(policy, ["spec", "rules"]);
  const rules = isArray(stated) ? stated.filter(isObject) : [];
  const annotations = stringMap(at(policy, ["metadata", "annotations"]));
  const all = withAutogenRules(rules, annotations);
  return rules.map((rule): Rewrite => {
    const identity = { policy: name, rule: textAt(rule, ["name"]) };
    const assumptions: Assumptions = new Set();
    try {
      const generated = all.filter((one) => isGeneratedFrom(one, identity.rule));
      const documents = rewriteRule(
        { policy, rule, generated, alone: rules.length === 1 },
        assumptions,
      );
      return { ...identity, ok: true, documents, assumptions: [...assumptions] };
    } catch (error) {
      if (error instanceof Refusal) {
        return { ...identity, ok: false, path: error.path, reason: error.message };
      }
      throw error;
    }
  });
}

/** Names of generated rules are cut to 63 characters. */
const isGeneratedFrom = (rule: JsonObject, name: string): boolean =>
  ["autogen-", "autogen-cronjob-"].some(
    (prefix) => textAt(rule, ["name"]) === `${prefix}${name}`.slice(0, 63),
  );

type Source = {
  readonly policy: JsonObject;
  readonly rule: JsonObject;
  /** The rules that Kyverno makes of it for pod controllers. */
  readonly generated: readonly JsonObject[];
  readonly alone: boolean;
};

function rewriteRule(source: Source, assumptions: Assumptions): readonly JsonObject[] {
  refuseUnknown(source);
  const { rule, generated } = source;
  const { document, match } = rewriteOne(source, rule, "", assumptions);
  const autogen = autogenOf(source, match);
  const main = { ...document, spec: { ...autogen, ...document.spec } };
  const left = generated.find((one) => kindsOf(one).includes(replicationController));
  if (left === undefined) return [main];
  // CEL kinds generate nothing for ReplicationControllers, so they get a policy of their own.
  const narrowed = {
    ...left,
    match: { any: [{ resources: { kinds: [`v1/${replicationController}`] } }] },
  };
  const operations = field(firstResources(rule), "operations");
  const asked = operations === undefined ? narrowed : withOperations(narrowed, operations);
  return [main, rewriteOne(source, asked, "-replicationcontrollers", assumptions).document];
}

const replicationController = "ReplicationController";

const firstResources = (rule: JsonObject): Json | undefined =>
  [field(rule, "match"), ...listAt(rule, "any"), ...listAt(rule, "all")]
    .map((block) => at(block, ["resources"]))
    .find((resources) => resources !== undefined);

const withOperations = (rule: JsonObject, operations: Json): JsonObject => ({
  ...rule,
  match: { any: [{ resources: { kinds: [`v1/${replicationController}`], operations } }] },
});

type Document = JsonObject & { readonly spec: JsonObject };

function rewriteOne(
  source: Source,
  rule: JsonObject,
  suffix: string,
  assumptions: Assumptions,
): { readonly document: Document; readonly match: RewrittenMatch } {
  const { policy } = source;
  const mutate = field(rule, "mutate");
  const kind = mutate === undefined ? "ValidatingPolicy" : "MutatingPolicy";
  const judged = mutate === undefined ? rewriteValidation(rule, assumptions) : undefined;
  const match = rewriteMatch(rule, operationsOf(judged), assumptions);
  const conditions = [...match.conditions, ...preconditions(rule)];
  const action = actionOf(policy, source.rule);
  const body =
    judged === undefined
      ? { mutations: rewriteMutation(mutate ?? null, assumptions) }
      : { validationActions: [action], ...existingAllowed(judged, action, rule, conditions) };
  const document = {
    apiVersion: "policies.kyverno.io/v1",
    kind: textAt(policy, ["kind"]) === "Policy" ? `Namespaced${kind}` : kind,
    metadata: metadataOf(source, suffix),
    spec: {
      ...failurePolicyOf(policy),
      ...evaluationOf(policy),
      matchConstraints: match.constraints,
      ...(conditions.length === 0 ? {} : { matchConditions: conditions }),
      ...body,
    },
  };
  return { document, match };
}

const existingAllowed = (
  { spec }: Judged,
  action: string,
  rule: JsonObject,
  conditions: RewrittenMatch["conditions"],
): JsonObject => (action === "Deny" ? withExistingAllowed(spec, rule, conditions) : spec);

const judgingFields = ["validate", "mutate", "generate", "verifyImages"];
const knownFields = new Set([
  "name",
  "match",
  "exclude",
  "preconditions",
  "celPreconditions",
  "validate",
  "mutate",
  "skipBackgroundRequests",
]);

function refuseUnknown({ policy, rule }: Source): void {
  if (field(rule, "generate") !== undefined || field(rule, "verifyImages") !== undefined) {
    throw new Refusal("", "only validate and mutate rules are rewritten");
  }
  if (judgingFields.filter((key) => field(rule, key) !== undefined).length !== 1) {
    throw new Refusal("", "does not do exactly one thing");
  }
  for (const key of Object.keys(rule)) {
    if (key === "context") {
      throw new Refusal("context", "variables from ConfigMaps, API calls and JMESPath");
    }
    if (!knownFields.has(key)) throw new Refusal(key, "has no equivalent");
  }
  if (textAt(policy, ["spec", "applyRules"]) === "One") {
    throw new Refusal(
      "spec.applyRules",
      "One: whether a rule counts depends on the rules before it",
    );
  }
}

function actionOf(policy: JsonObject, rule: JsonObject): string {
  if (at(policy, ["spec", "validationFailureActionOverrides"]) !== undefined) {
    throw new Refusal("spec.validationFailureActionOverrides", "actions by namespace");
  }
  const own = textAt(rule, ["validate", "failureAction"]);
  const action = own || textAt(policy, ["spec", "validationFailureAction"]) || "Audit";
  return action.toLowerCase() === "enforce" ? "Deny" : "Audit";
}

const failurePolicyOf = (policy: JsonObject): JsonObject => {
  const stated = textAt(policy, ["spec", "failurePolicy"]);
  return stated === "" ? {} : { failurePolicy: stated };
};

function evaluationOf(policy: JsonObject): JsonObject {
  const off = (["admission", "background"] as const).filter(
    (key) => at(policy, ["spec", key]) === false,
  );
  if (off.length === 0) return {};
  return { evaluation: Object.fromEntries(off.map((key) => [key, { enabled: false }])) };
}

function metadataOf({ policy, rule, alone }: Source, suffix: string): JsonObject {
  const base = textAt(policy, ["metadata", "name"]);
  const stated = `${alone ? base : `${base}-${textAt(rule, ["name"])}`}${suffix}`;
  // Rule names are free text, object names are not.
  const name = stated
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .slice(0, 253);
  const namespace = textAt(policy, ["metadata", "namespace"]);
  const annotations = Object.entries(stringMap(at(policy, ["metadata", "annotations"]))).filter(
    ([key]) =>
      !/autogen-controllers|kyverno-version|kubernetes-version|minversion|last-applied/.test(key),
  );
  const labels = field(field(policy, "metadata"), "labels");
  return {
    name,
    ...(namespace === "" ? {} : { namespace }),
    ...(isObject(labels) ? { labels } : {}),
    ...(annotations.length === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
  };
}

/** Plurals of the controllers that the CEL kinds generate rules for (pkg/cel/autogen). */
const controllerPlurals: Readonly<Record<string, string>> = {
  DaemonSet: "daemonsets",
  Deployment: "deployments",
  Job: "jobs",
  ReplicaSet: "replicasets",
  StatefulSet: "statefulsets",
  CronJob: "cronjobs",
};

/** The controllers that the classic rule was generated for, as the CEL kind is told to generate them. */
function autogenOf({ rule, generated }: Source, match: RewrittenMatch): JsonObject {
  const kinds = [...new Set(generated.flatMap(kindsOf))];
  const plain = isPlainPods(match.constraints);
  if (kinds.length === 0) return plain ? { autogen: { podControllers: { controllers: [] } } } : {};
  if (!plain) {
    throw new Refusal(
      "match",
      "its rules for pod controllers: CEL kinds generate them for plain pods only",
    );
  }
  if (generated.some((one) => conditionsDiffer(one, rule))) {
    throw new Refusal("", "the rules for pod controllers differ in more than where the pod is");
  }
  const controllers = kinds.flatMap((kind) =>
    Object.hasOwn(controllerPlurals, kind) ? [controllerPlurals[kind] ?? ""] : [],
  );
  return { autogen: { podControllers: { controllers: controllers.sort() } } };
}

const conditionsDiffer = (generated: JsonObject, rule: JsonObject): boolean =>
  (field(generated, "preconditions") === undefined) !==
  (field(rule, "preconditions") === undefined);

function kindsOf(rule: JsonObject): readonly string[] {
  const blocks = [field(rule, "match"), ...listAt(rule, "any"), ...listAt(rule, "all")];
  return blocks.flatMap((block) => {
    const kinds = at(block, ["resources", "kinds"]);
    return isArray(kinds) ? kinds.filter((kind) => typeof kind === "string") : [];
  });
}

function isPlainPods(constraints: JsonObject): boolean {
  const rules = field(constraints, "resourceRules");
  const rule = isArray(rules) && rules.length === 1 ? rules[0] : undefined;
  return (
    JSON.stringify([
      field(rule, "apiGroups") ?? null,
      field(rule, "apiVersions") ?? null,
      field(rule, "resources") ?? null,
    ]) === '[[""],["v1"],["pods"]]' &&
    field(rule, "resourceNames") === undefined &&
    Object.keys(constraints).length === 1
  );
}
