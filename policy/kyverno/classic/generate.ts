// SPDX-License-Identifier: Apache-2.0
import { at, field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { QueryFailure } from "#policy/jmespath/query";
import type { Query } from "#policy/jmespath/query";
import { parseApiVersion, pluralOf } from "#policy/kubernetes/kinds";
import { compileConditions } from "#policy/kyverno/classic/conditions";
import type { Conditions } from "#policy/kyverno/classic/conditions";
import { compileContextEntries } from "#policy/kyverno/classic/context";
import type { ContextEntries } from "#policy/kyverno/classic/context";
import {
  compileList,
  evaluateList,
  takeElement,
  tooManyElements,
} from "#policy/kyverno/classic/foreach";
import { compileSelector, texts } from "#policy/kyverno/classic/resource-filter";
import { below, errored, failedQuery, passed, skipped } from "#policy/kyverno/classic/rule-state";
import type { RuleProblem, RuleState, Verdict } from "#policy/kyverno/classic/rule-state";
import type { Scope } from "#policy/kyverno/classic/scope";
import { compileTemplate } from "#policy/kyverno/classic/variables";
import type { Template } from "#policy/kyverno/classic/variables";
import type { World } from "#policy/world";

export type GenerateOutcome = {
  readonly verdict: Verdict;
  readonly resources: readonly JsonObject[];
};

export type Generator = (state: RuleState) => GenerateOutcome;

/** What one block gives, or why not. */
type Made = readonly JsonObject[] | Verdict;

/** Most resources that one cloneList may bring. */
const clonesMax = 1_000;

/** Plans the `generate` block of a rule: resources from data, clone or cloneList, once or for each element. */
export function compileGeneration(block: JsonObject, problems: RuleProblem[]): Generator {
  const foreach = field(block, "foreach");
  if (isArray(foreach)) {
    const loops = foreach.map((entry, index) => compileLoop(entry, index, problems));
    return (state) => outcomeOf(generateLoops(loops, state));
  }
  const make = compileBlock(block);
  return (state) => outcomeOf(make(state.scope, state.world));
}

const isVerdict = (made: Made): made is Verdict => "result" in made;

function outcomeOf(made: Made): GenerateOutcome {
  if (isVerdict(made)) return { verdict: made, resources: [] };
  if (made.length === 0) return { verdict: skipped("nothing to generate"), resources: [] };
  return { verdict: passed(`generated ${made.map(describe).join(", ")}`), resources: made };
}

function describe(resource: JsonObject): string {
  const name = `${textAt(resource, ["kind"])}/${textAt(resource, ["metadata", "name"])}`;
  const namespace = textAt(resource, ["metadata", "namespace"]);
  return namespace === "" ? name : `${name} in namespace ${namespace}`;
}

type Loop = {
  readonly list: Query;
  readonly context: ContextEntries;
  readonly preconditions: Conditions;
  readonly make: (scope: Scope, world: World) => Made;
};

function compileLoop(value: Json, index: number, problems: RuleProblem[]): Loop {
  const entry = isObject(value) ? value : {};
  const { context, problems: contextProblems } = compileContextEntries(field(entry, "context"));
  const preconditions = compileConditions(field(entry, "preconditions"));
  problems.push(
    ...below(`foreach[${index}]`, contextProblems),
    ...below(`foreach[${index}].preconditions`, preconditions.problems),
  );
  const list = compileList(entry, `foreach[${index}]`, problems);
  return { list, context, preconditions, make: compileBlock(entry) };
}

function generateLoops(loops: readonly Loop[], state: RuleState): Made {
  const resources: JsonObject[] = [];
  for (const loop of loops) {
    const elements = evaluateList(loop.list, state.scope);
    if (elements instanceof QueryFailure) {
      return failedQuery(`failed to evaluate list ${loop.list.source}`, elements);
    }
    for (const [index, element] of elements.entries()) {
      if (element === null) continue;
      if (!takeElement(state)) return tooManyElements;
      const scope = state.scope
        .withElement(element, index, state.nesting)
        .withEntries(loop.context);
      const outcome = loop.preconditions.evaluate(scope);
      if (outcome.kind === "error") {
        return failedQuery("failed to evaluate preconditions", outcome.failure);
      }
      if (!outcome.holds) continue;
      const made = loop.make(scope, state.world);
      if (isVerdict(made)) return made;
      resources.push(...made);
    }
  }
  return resources;
}

const targetKeys = ["apiVersion", "kind", "name", "namespace", "data", "clone", "cloneList"];

function compileBlock(block: JsonObject): (scope: Scope, world: World) => Made {
  const stated = Object.fromEntries(
    targetKeys.flatMap((key): readonly [string, Json][] => {
      const value = field(block, key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const template: Template = compileTemplate(stated, { path: "/generate" });
  return (scope, world) => {
    const substituted = template.substitute(scope);
    if (!substituted.ok) {
      return failedQuery("variable substitution failed", substituted.failure);
    }
    const target = isObject(substituted.value) ? substituted.value : {};
    if (isObject(field(target, "cloneList"))) return cloneAll(target, world);
    if (isObject(field(target, "clone"))) return cloneOne(target, world);
    return [fromData(target)];
  };
}

function fromData(target: JsonObject): JsonObject {
  const data = field(target, "data");
  return placed(isObject(data) ? data : {}, target, textAt(target, ["name"]));
}

/** The resource with the kind, name and namespace that the rule states. */
function placed(source: JsonObject, target: JsonObject, name: string): JsonObject {
  const metadata = field(source, "metadata");
  const { namespace: _, ...rest } = isObject(metadata) ? metadata : {};
  const namespace = textAt(target, ["namespace"]);
  return {
    ...source,
    apiVersion: textAt(target, ["apiVersion"]) || textAt(source, ["apiVersion"]),
    kind: textAt(target, ["kind"]) || textAt(source, ["kind"]),
    metadata: { ...rest, name, ...(namespace === "" ? {} : { namespace }) },
  };
}

/** What the API server gave the source and a copy must not have. */
const ownedByServer = [
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "managedFields",
  "selfLink",
  "generation",
  "ownerReferences",
];

function copyOf(source: JsonObject, target: JsonObject, name: string): JsonObject {
  const metadata = at(source, ["metadata"]);
  const kept = Object.entries(isObject(metadata) ? metadata : {}).filter(
    ([key]) => !ownedByServer.includes(key),
  );
  const { status: _, ...rest } = source;
  return placed({ ...rest, metadata: Object.fromEntries(kept) }, target, name);
}

const unavailable = (what: string, reason: string): Verdict => ({
  ...errored(`failed to get ${what}: ${reason}`),
  unsupported: `the source ${what} is not known here: ${reason}`,
});

function cloneOne(target: JsonObject, world: World): Made {
  const apiVersion = textAt(target, ["apiVersion"]);
  const kind = textAt(target, ["kind"]);
  const namespace = textAt(target, ["clone", "namespace"]);
  const name = textAt(target, ["clone", "name"]);
  const { resource } = pluralOf({ ...parseApiVersion(apiVersion), kind }, world);
  const answer = world.get({ apiVersion, resource, namespace, name });
  const what = `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
  if (answer.kind === "unavailable") return unavailable(what, answer.reason);
  if (answer.kind === "absent" || !isObject(answer.value)) {
    return errored(`source resource ${what} not found`);
  }
  return [copyOf(answer.value, target, textAt(target, ["name"]))];
}

function cloneAll(target: JsonObject, world: World): Made {
  const list = field(target, "cloneList");
  const namespace = textAt(list, ["namespace"]);
  const selects = compileSelector(field(list, "selector"));
  const resources: JsonObject[] = [];
  for (const stated of texts(field(list, "kinds"))) {
    const slash = stated.lastIndexOf("/");
    const apiVersion = slash < 0 ? "v1" : stated.slice(0, slash);
    const kind = stated.slice(slash + 1);
    const { resource } = pluralOf({ ...parseApiVersion(apiVersion), kind }, world);
    const answer = world.list({ apiVersion, resource, namespace, labels: {} });
    if (answer.kind === "unavailable") return unavailable(`${kind} list`, answer.reason);
    const items = answer.kind === "found" ? field(answer.value, "items") : undefined;
    for (const item of isArray(items) ? items : []) {
      if (!isObject(item)) continue;
      if (selects !== undefined && !selects(at(item, ["metadata", "labels"]))) continue;
      const identity = { ...target, apiVersion, kind };
      resources.push(copyOf(item, identity, textAt(item, ["metadata", "name"])));
      if (resources.length > clonesMax) {
        return errored(`the cloneList would bring more than ${clonesMax} resources`);
      }
    }
  }
  return resources;
}
