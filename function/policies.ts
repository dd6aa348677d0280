// SPDX-License-Identifier: Apache-2.0
import { compile } from "#policy/compile";
import { field, textAt, type Json, type JsonObject } from "#policy/json";
import type { Compilation, CompiledPolicy } from "#policy/policy-set";
import type { Problem } from "#policy/problem";
import type { PolicyRef } from "#policy/report/result";
import { rememberCandidates } from "./candidates.ts";
import {
  onViolations,
  parseInput,
  type Guardrails,
  type OnViolation,
  type ParsedInput,
} from "./input.ts";
import type { Meter } from "./meter.ts";
import { onOccasion, type Occasion } from "./occasions.ts";
import { policySources, readPolicies, type PolicySource } from "./requirements.ts";
import type { Slice } from "./wire/reader.ts";
import { sameKey, sameStruct } from "./wire/same.ts";
import { decodeKey, decodeStruct, structAt } from "./wire/struct.ts";

/** A policy's own answer to a violation: what the Guardrails say, or what its annotation says instead. */
export type Answer = OnViolation | "RequireApproval";
export const onViolationAnnotation = "parapet.dev/on-violation";
const answers: readonly Answer[] = [...onViolations, "RequireApproval"];

/** Policies ready to judge. */
export type CompiledGuard = {
  readonly compilation: Compilation;
  /** Problems of the policies in the input itself: a mistake of the Composition. */
  readonly inlineProblems: readonly Problem[];
  /** Policies that were found and cannot be used: whatever they would have said must be assumed. */
  readonly problems: readonly Problem[];
  /** Whether a verdict may depend on the labels of namespaces; only then are they worth fetching. */
  readonly needsNamespaces: boolean;
  /** Whether verdicts may depend on the time, on chance or on the composite: then none is remembered. */
  readonly isVolatile: boolean;
  /** Whether some policy may look at the time or at chance. */
  readonly isTimed: boolean;
  readonly looksAtTime: (policy: PolicyRef) => boolean;
  /** When exceptions end, in milliseconds since 1970: verdicts may change then. */
  readonly expiriesMs: readonly number[];
  /** Policies that may speak about a kind; empty for most kinds. */
  readonly candidates: (apiVersion: string, kind: string) => readonly CompiledPolicy[];
  /** Whether what a policy fails to do is let be. */
  readonly ignoresFailure: (policy: PolicyRef) => boolean;
  /** Whether a policy compares an object with the old one, as those do that forbid changes. */
  readonly looksBack: (policy: PolicyRef) => boolean;
  readonly answerOf: (policy: PolicyRef) => Answer;
  readonly annotationOf: (policy: PolicyRef, name: string) => string;
};

/** Parsed inputs and compiled policies of the last requests, found again by content. */
export type PolicyCache = {
  readonly input: (slice: Slice) => CachedInput;
  /** How many inputs are kept. */
  readonly size: () => number;
};

export type CachedInput = {
  readonly parsed: ParsedInput;
  readonly sources: readonly PolicySource[];
  /** The policies of a valid input, with what was fetched by requirement name. */
  readonly guard: (
    fetched: ReadonlyMap<string, readonly Slice[]>,
    occasion: Occasion,
  ) => CompiledGuard;
};

/** Inputs that are kept; a control plane has about one per Composition. */
const inputsMax = 256;
/** States of the cluster's policies that are kept per input: the last and, while it changes, the one before. */
const guardsMax = 2;

export function makePolicyCache(meter: Meter): PolicyCache {
  type Known = {
    readonly object: JsonObject;
    readonly length: number;
    readonly cached: CachedInput;
  };
  const known: Known[] = [];
  return {
    input: (slice) => {
      const length = slice.end - slice.start;
      const index = known.findIndex(
        (each) => each.length === length && sameStruct(each.object, slice),
      );
      const found = known[index];
      if (found !== undefined) {
        if (index > 0) known.unshift(...known.splice(index, 1));
        return found.cached;
      }
      const object = decodeStruct(slice);
      const cached = cachedInput(object, meter);
      known.unshift({ object, length, cached });
      known.length = Math.min(known.length, inputsMax);
      return cached;
    },
    size: () => known.length,
  };
}

function cachedInput(object: JsonObject, meter: Meter): CachedInput {
  const parsed = parseInput(object);
  const guardrails = parsed.ok ? parsed.guardrails : undefined;
  const sources = guardrails === undefined ? [] : policySources(guardrails);
  type Known = {
    readonly occasion: Occasion;
    readonly fetched: Fetched;
    readonly guard: CompiledGuard;
  };
  const known: Known[] = [];
  return {
    parsed,
    sources,
    guard: (fetched, occasion) => {
      const found = known.find(
        (each) => each.occasion === occasion && sameFetched(each.fetched, sources, fetched),
      );
      if (found !== undefined) {
        meter.policiesFound();
        return found.guard;
      }
      const decoded: Fetched = new Map(
        sources.map(({ name }) => [name, (fetched.get(name) ?? []).map(essentials)]),
      );
      const guard = meter.compiling(() =>
        makeGuard(guardrails ?? noGuardrails, sources, decoded, occasion),
      );
      known.unshift({ occasion, fetched: decoded, guard });
      known.length = Math.min(known.length, guardsMax);
      return guard;
    },
  };
}

type Fetched = ReadonlyMap<string, readonly JsonObject[]>;

const noGuardrails: Guardrails = {
  inline: [],
  fromCluster: undefined,
  exceptionNamespaces: [],
  onViolation: "Hold",
  pin: [],
  writeStatus: false,
  recordApplied: false,
  check: [],
  reportGroups: [],
};

/** What decides a policy; its status and bookkeeping change without any effect. */
const essentialKeys = ["apiVersion", "kind", "spec", "data"] as const;
const essentialMetadata = ["name", "namespace", "labels", "annotations"] as const;

function essentials(slice: Slice): JsonObject {
  const metadata = structAt(slice, "metadata");
  return {
    ...pick(essentialKeys, (key) => decodeKey(slice, key)),
    metadata: pick(essentialMetadata, (key) => metadata && decodeKey(metadata, key)),
  };
}

function pick(keys: readonly string[], read: (key: string) => Json | undefined): JsonObject {
  const entries = keys.flatMap((key): readonly (readonly [string, Json])[] => {
    const value = read(key);
    return value === undefined ? [] : [[key, value]];
  });
  return Object.fromEntries(entries);
}

function sameFetched(
  known: Fetched,
  sources: readonly PolicySource[],
  fetched: ReadonlyMap<string, readonly Slice[]>,
): boolean {
  return sources.every(({ name }) => {
    const before = known.get(name) ?? [];
    const now = fetched.get(name) ?? [];
    return before.length === now.length && now.every((slice) => isAmong(before, slice));
  });
}

/** Lists come in any order, and names are unique in one. */
function isAmong(objects: readonly JsonObject[], slice: Slice): boolean {
  const metadata = structAt(slice, "metadata");
  if (metadata === undefined) return false;
  const name = decodeKey(metadata, "name");
  const known = objects.find((object) => field(object["metadata"], "name") === name);
  if (known === undefined) return false;
  return (
    essentialKeys.every((key) => sameKey(field(known, key), slice, key)) &&
    essentialMetadata.every((key) => sameKey(field(known["metadata"], key), metadata, key))
  );
}

const timeWords = /\bnow\(|\btime\.|time_|random/;

function makeGuard(
  guardrails: Guardrails,
  sources: readonly PolicySource[],
  fetched: Fetched,
  occasion: Occasion,
): CompiledGuard {
  const read = readPolicies(
    guardrails,
    sources.map((source) => ({ source, objects: fetched.get(source.name) ?? [] })),
  );
  const inline = onOccasion(guardrails.inline, occasion);
  const documents = [...inline, ...onOccasion(read.documents, occasion)];
  const compilation = compile(documents);
  // Too wide a net costs little: a word in a message is enough.
  const text = JSON.stringify(documents);
  const timed = refsOf(documents, (each) => timeWords.test(JSON.stringify(each)));
  const problems = [...read.problems, ...compilation.problems, ...wrongAnswers(compilation)];
  const annotations = new Map(
    compilation.set.policies.map((policy) => [refKey(policy.ref), policy.annotations]),
  );
  const lenient = refsOf(documents, (each) => textAt(each, ["spec", "failurePolicy"]) === "Ignore");
  const backwards = refsOf(documents, (each) => JSON.stringify(each).includes("oldObject"));
  const annotationOf = (policy: PolicyRef, name: string) =>
    textAt(annotations.get(refKey(policy)), [name]);
  return {
    compilation,
    problems,
    inlineProblems: problems.length === 0 ? [] : problemsOf(inline),
    needsNamespaces: /namespaceSelector|namespaceObject/.test(text),
    isVolatile: timed.size > 0 || /\bcomposite\b|expiresAt/.test(text),
    isTimed: timed.size > 0,
    looksAtTime: (policy) => timed.has(refKey(policy)),
    expiriesMs: documents.map(expiryOf).filter((time) => !Number.isNaN(time)),
    candidates: rememberCandidates(compilation),
    annotationOf,
    ignoresFailure: (policy) => lenient.has(refKey(policy)),
    looksBack: (policy) => backwards.size > 0 && backwards.has(refKey(policy)),
    answerOf: (policy) => {
      const own = annotationOf(policy, onViolationAnnotation);
      return answers.find((answer) => answer === own) ?? guardrails.onViolation;
    },
  };
}

function problemsOf(documents: readonly Json[]): readonly Problem[] {
  const alone = compile(documents);
  return [...alone.problems, ...wrongAnswers(alone)];
}

const expiryOf = (document: Json): number => Date.parse(textAt(document, ["spec", "expiresAt"]));

export const refKey = (ref: PolicyRef): string =>
  [ref.apiVersion, ref.kind, ref.namespace, ref.name].join("/");

const refsOf = (documents: readonly Json[], is: (document: Json) => boolean): ReadonlySet<string> =>
  new Set(documents.filter(is).map(documentKey));

const identityPaths = [["apiVersion"], ["kind"], ["metadata", "namespace"], ["metadata", "name"]];
const documentKey = (document: Json): string =>
  identityPaths.map((path) => textAt(document, path)).join("/");

function wrongAnswers(compilation: Compilation): readonly Problem[] {
  return compilation.set.policies.flatMap(({ ref, annotations }) => {
    const own = textAt(annotations, [onViolationAnnotation]);
    if (own === "" || answers.some((answer) => answer === own)) return [];
    return [
      {
        document: `${ref.kind}/${ref.name}`,
        path: `metadata.annotations[${JSON.stringify(onViolationAnnotation)}]`,
        message: `must be one of ${answers.join(", ")}; got ${JSON.stringify(own.slice(0, 80))}`,
      },
    ];
  });
}
