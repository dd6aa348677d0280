// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import type { CompiledPolicy } from "#policy/policy-set";
import type { World } from "#policy/world";
import { companionsOf, lastApplied, readinessOf, subjectOf, type Companion } from "./companions.ts";
import { admitted, inject, type Composed } from "./composed.ts";
import { withRenderedMetadata, type Composite } from "./composite.ts";
import type { Pin } from "./input.ts";
import type { Memo, MemoKey, Recalled } from "./memo.ts";
import type { CompiledGuard } from "./policies.ts";
import type { Named } from "./references.ts";
import { Refusal } from "./refusal.ts";
import { decodeLike } from "./wire/like.ts";
import { steadyWorld } from "./steady-world.ts";
import { WireError, type Slice } from "./wire/reader.ts";
import type { Request } from "./wire/request.ts";
import { decodeKey, decodeStruct } from "./wire/struct.ts";

/** All composed resources of a request that policies speak about, prepared for judgement. */
export type ComposedSet = {
  readonly subjects: readonly Composed[];
  /** The resources that policies add beside the subjects; each is judged like the others. */
  readonly companions: readonly Composed[];
  /** The companions of a subject that is sent as another object: those of what it asks for would betray what is held. */
  readonly companionsOf: (subject: Composed, object: JsonObject) => readonly Composed[];
  /** Companions whose policy no longer adds them: they go only with their subject, so they stay as they are. */
  readonly kept: (companions: readonly Composed[]) => ReadonlyMap<string, KeptCompanion>;
  /** Subjects that need no judgement: nothing stood against the same state before. */
  readonly settled: ReadonlySet<Composed>;
  /** Remembers a subject that nothing stands against and whose verdict depended on nothing else. */
  readonly settle: (subject: Composed) => void;
};

/** How a subject came about: found in memory, or prepared now. */
type Origin = {
  readonly key: MemoKey;
  readonly companions: readonly Companion[];
  /** Whether its policies looked at nothing but the object so far. */
  readonly isAlone: boolean;
};

export type KeptCompanion = { readonly object: JsonObject; readonly ready: number };

export type SetSpec = {
  readonly request: Request;
  readonly composite: Composite;
  readonly guard: CompiledGuard;
  readonly pins: readonly Pin[];
  /** Whether to record on every resource what is applied, not only where a policy compares with the old object. */
  readonly recordApplied: boolean;
  readonly world: World;
  readonly touches: () => number;
  readonly memo: Memo;
};

export function buildSet(spec: SetSpec): ComposedSet {
  const subjects: Composed[] = [];
  const companions: Composed[] = [];
  const settled = new Set<Composed>();
  const origins = new Map<Composed, Origin>();
  for (const name of spec.request.desired.resources.keys()) {
    const key = memoKey(name, spec);
    const recalled = key === undefined ? noParts : spec.memo.recall(key);
    const known = recalled.settled;
    const prepared = known === undefined ? prepareSubject(name, spec, recalled) : undefined;
    const made = known ?? prepared;
    if (made === undefined) continue;
    const { composed } = made;
    subjects.push(composed);
    companions.push(...made.companions.map((each) => companionFrom(each, name, spec)));
    if (known !== undefined) settled.add(composed);
    if (prepared !== undefined && key !== undefined) origins.set(composed, { ...prepared, key });
  }
  const settle = (subject: Composed): void => {
    const origin = origins.get(subject);
    if (origin?.isAlone !== true) return;
    spec.memo.remember(origin.key, { composed: subject, companions: origin.companions });
  };
  return {
    subjects,
    companions,
    companionsOf: (subject, object) =>
      companionsOf(subject, object, worldOf(subject, spec)).companions.map((each) =>
        companionFrom(each, subject.name, spec),
      ),
    kept: (made) => keptCompanions(made, spec),
    settled,
    settle,
  };
}

type Prepared = Omit<Origin, "key"> & { readonly composed: Composed };

type Parts = Pick<Recalled, "given" | "live">;
const noParts: Recalled = { settled: undefined, given: undefined, live: undefined };

function prepareSubject(name: string, spec: SetSpec, parts: Parts): Prepared | undefined {
  const before = spec.touches();
  const subject = subjectFrom(name, spec, parts);
  if (subject === undefined) return undefined;
  const { companions, results } = companionsOf(subject, subject.injected, worldOf(subject, spec));
  const composed = { ...subject, results: [...subject.results, ...results] };
  return { composed, companions, isAlone: spec.touches() === before };
}

function memoKey(name: string, { request, composite, guard }: SetSpec): MemoKey | undefined {
  const desired = request.desired.resources.get(name)?.struct;
  if (desired === undefined || guard.isVolatile || guard.problems.length > 0) return undefined;
  const observed = request.observed.resources.get(name)?.struct;
  return { composite, guard, name, desired, observed };
}

/** undefined for a resource that nothing is to be done about: then its bytes go back unread. */
function subjectFrom(name: string, spec: SetSpec, parts: Parts): Composed | undefined {
  const struct = spec.request.desired.resources.get(name)?.struct;
  if (struct === undefined) return undefined;
  const { given } = parts;
  const kind = given === undefined ? kindIn(struct, name) : given;
  const policies = spec.guard.candidates(textOf(kind["apiVersion"]), textOf(kind["kind"]));
  const isIdle = spec.pins.length === 0 && spec.guard.problems.length === 0;
  if (policies.length === 0 && isIdle && !spec.recordApplied) {
    return undefined;
  }
  return prepare(name, given ?? objectOf(struct, name), parts.live, policies, spec);
}

function companionFrom({ name, object }: Companion, subject: string, spec: SetSpec): Composed {
  if (spec.request.desired.resources.has(name)) {
    throw new Refusal(`the composition already has a resource named ${name}, which a policy adds`);
  }
  const apiVersion = textOf(object["apiVersion"]);
  const policies = spec.guard.candidates(apiVersion, textOf(object["kind"]));
  return { ...prepare(name, object, undefined, policies, spec), subject };
}

function prepare(
  name: string,
  given: JsonObject,
  knownLive: JsonObject | undefined,
  policies: readonly CompiledPolicy[],
  spec: SetSpec,
): Composed {
  const observed = spec.request.observed.resources.get(name)?.struct;
  const live =
    observed === undefined ? undefined : (knownLive ?? objectLike(given, observed, name));
  const { composite, guard, pins } = spec;
  const records = spec.recordApplied || policies.some((policy) => guard.looksBack(policy.ref));
  const own = worldOf({ name, live }, spec);
  return inject(name, given, live, {
    composite,
    policies,
    pins,
    worldOf: own,
    subject: "",
    records,
  });
}

function worldOf({ name, live }: Pick<Composed, "name" | "live">, spec: SetSpec) {
  const { guard, world, composite } = spec;
  return guard.isTimed ? steadyWorld(world, composite, name, live) : () => world;
}

/** Every composed resource as it would be applied, also those that no policy speaks about. */
export function wholeSet(
  prepared: readonly Composed[],
  request: Request,
  composite: Composite,
): readonly JsonObject[] {
  const names = new Set(prepared.map(({ name }) => name));
  const others = [...request.desired.resources].flatMap(([name, { struct }]): readonly Whole[] => {
    if (names.has(name) || struct === undefined) return [];
    const observed = request.observed.resources.get(name)?.struct;
    const live = observed === undefined ? undefined : objectOf(observed, name);
    const injected = withRenderedMetadata(objectOf(struct, name), name, composite, live);
    return [{ name, injected, live }];
  });
  return [...prepared, ...others]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ injected, live }) => admitted(injected, live, composite.fieldManager));
}

/** The composed resources by name, as they would be created. */
export function namedSet(
  prepared: readonly Composed[],
  request: Request,
  composite: Composite,
): readonly Named[] {
  const known = prepared.map(({ name, injected, subject }) => ({
    name,
    object: injected,
    subject,
  }));
  const names = new Set(known.map(({ name }) => name));
  const others = [...request.desired.resources].flatMap(([name, { struct }]): readonly Named[] => {
    if (names.has(name) || struct === undefined) return [];
    const object = withRenderedMetadata(objectOf(struct, name), name, composite, undefined);
    return [{ name, object, subject: "" }];
  });
  return [...known, ...others];
}

/** All Secrets of the request, as they are and as they are to be. */
export function secretsOf(
  prepared: readonly Composed[],
  { desired, observed }: Request,
): readonly JsonObject[] {
  const given = [...desired.resources, ...observed.resources].flatMap(([name, { struct }]) =>
    struct !== undefined && kindIn(struct, name).kind === "Secret" ? [objectOf(struct, name)] : [],
  );
  return [...given, ...prepared.map(({ injected }) => injected)];
}

type Whole = Pick<Composed, "name" | "injected" | "live">;

function keptCompanions(
  companions: readonly Composed[],
  { request, composite }: SetSpec,
): ReadonlyMap<string, KeptCompanion> {
  const made = new Set(companions.map(({ name }) => name));
  const kept = new Map<string, KeptCompanion>();
  for (const [name, { struct }] of request.observed.resources) {
    if (made.has(name) || struct === undefined || request.desired.resources.has(name)) continue;
    const live = objectOf(struct, name);
    const subject = subjectOf(live);
    if (subject !== "" && request.desired.resources.has(subject)) {
      kept.set(name, {
        object: lastApplied(live, composite.fieldManager),
        ready: readinessOf(live),
      });
    }
  }
  return kept;
}

const textOf = (value: Json | undefined): string => (typeof value === "string" ? value : "");

function kindIn(struct: Slice, name: string): { apiVersion: string; kind: string } {
  return readable(name, () => ({
    apiVersion: textOf(decodeKey(struct, "apiVersion")),
    kind: textOf(decodeKey(struct, "kind")),
  }));
}

/** What a live object has in common with the desired one is the same in memory, too: quicker to read and to compare. */
const objectLike = (known: JsonObject, struct: Slice, name: string): JsonObject =>
  readable(name, () => decodeLike(known, struct));

const objectOf = (struct: Slice, name: string): JsonObject =>
  readable(name, () => decodeStruct(struct));

/** An object that cannot be read is named, and nothing of it is shown. */
export function readable<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError) throw new Refusal(`${name}: ${error.message}`);
    throw error;
  }
}
