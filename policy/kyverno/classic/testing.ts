// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import type { ReviewOptions } from "#policy/kubernetes/kinds";
import { compileClassicPolicy } from "#policy/kyverno/classic/compile";
import type { CompiledPolicy, Generation, Mutation } from "#policy/policy-set";
import type { RuleResult } from "#policy/report/result";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";

/** What tests of whole policies need: a policy around rules, and its answers. Used by tests only. */

export const world = emptyWorld(Date.UTC(2026, 0, 1));

export type PolicyOptions = {
  readonly kind?: "ClusterPolicy" | "Policy";
  readonly namespace?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly spec?: JsonObject;
  readonly exceptions?: readonly JsonObject[];
};

export const policyOf = (rules: readonly Json[], options: PolicyOptions = {}): JsonObject => ({
  apiVersion: "kyverno.io/v1",
  kind: options.kind ?? "ClusterPolicy",
  metadata: {
    name: "p",
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    annotations: {
      "pod-policies.kyverno.io/autogen-controllers": "none",
      ...options.annotations,
    },
  },
  spec: { ...options.spec, rules },
});

/** Compiles rules that have to compile. */
export function compileRules(rules: readonly Json[], options: PolicyOptions = {}): CompiledPolicy {
  const { policies, problems } = compileClassicPolicy(
    policyOf(rules, options),
    options.exceptions ?? [],
  );
  const [policy] = policies;
  if (policy === undefined) throw new Error(`does not compile: ${JSON.stringify(problems)}`);
  return policy;
}

/** A rule on Pods with a `validate` block. */
export const validateRule = (block: JsonObject, more: JsonObject = {}): JsonObject => ({
  name: "r",
  match: { any: [{ resources: { kinds: ["Pod"] } }] },
  ...more,
  validate: block,
});

export type RunOptions = PolicyOptions & ReviewOptions & { readonly knows?: Partial<World> };

const worldOf = (options: RunOptions): World => ({ ...world, ...options.knows });

export function validate(
  rules: readonly Json[],
  object: JsonObject,
  options: RunOptions = {},
): readonly RuleResult[] {
  const policy = compileRules(rules, options);
  return policy.validate?.(reviewOf(object, options), worldOf(options)) ?? [];
}

/** `pass: message` of the only result; 'nothing' when the rule did not speak. */
export function verdict(rule: JsonObject, object: JsonObject, options: RunOptions = {}): string {
  const [result] = validate([rule], object, options);
  return result === undefined ? "nothing" : `${result.result}: ${result.message}`;
}

export function mutate(
  rules: readonly Json[],
  object: JsonObject,
  options: RunOptions = {},
): Mutation {
  const policy = compileRules(rules, options);
  return policy.mutate?.(reviewOf(object, options), worldOf(options)) ?? { object, results: [] };
}

export function generate(
  rules: readonly Json[],
  object: JsonObject,
  options: RunOptions = {},
): Generation {
  const policy = compileRules(rules, options);
  const none = { resources: [], results: [] };
  return policy.generate?.(reviewOf(object, options), worldOf(options)) ?? none;
}

/** A Pod with a spec and, if need be, other metadata than a name. */
export const pod = (spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "pod", namespace: "default", ...metadata },
  spec,
});

/** Scalars that mean something to some part of the engine. */
const scalars: readonly Json[] = [
  null,
  true,
  false,
  0,
  1,
  -1.5,
  1e300,
  "",
  "x",
  "*",
  "?*",
  ">1",
  "1-2",
  "!x",
  "a|b&c",
  "1Gi",
  "{{request.object.spec.a}}",
  "$(../a)",
  "delete",
];

/** Any JSON of at most this depth, its keys from a list. */
export function makeJson(random: () => number, depth: number, names: readonly string[]): Json {
  const kind = depth === 0 ? 0 : Math.floor(random() * 4);
  const size = Math.floor(random() * 3);
  if (kind === 1) return Array.from({ length: size }, () => makeJson(random, depth - 1, names));
  if (kind >= 2) {
    const made: Record<string, Json> = {};
    for (let index = 0; index <= size; index += 1) {
      const name = names[Math.floor(random() * names.length)] ?? "a";
      Object.defineProperty(made, name, {
        value: makeJson(random, depth - 1, names),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    return made;
  }
  return scalars[Math.floor(random() * scalars.length)] ?? null;
}

/** Numbers in [0, 1), the same for the same seed. */
export function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
