// SPDX-License-Identifier: Apache-2.0
import type { Comprehension, ComprehensionShape } from "./ast.ts";
import { budgetExceeded } from "./budget.ts";
import { typeNameOf } from "./compare.ts";
import { startTurn, type Items, type Loop, type LoopSlots } from "./loop.ts";
import { entriesOf, makeUniqueMap } from "./maps.ts";
import { noSuchOverload } from "./operators.ts";
import type { Evaluate, Frame, PlanState } from "./plan-state.ts";
import { CelError, type CelResult, type CelValue } from "./values.ts";

/** A comprehension of known shape as a plain loop; undefined for others. */
export function planLoop(
  state: PlanState,
  node: Comprehension,
  slots: LoopSlots,
): Loop | undefined {
  const { shape } = node;
  if (shape === undefined || shape.kind === "bind") return undefined;
  if ("predicate" in shape) {
    const predicate = state.plan(state, shape.predicate);
    const steps = predicate.steps + 2;
    const run = quantifier(shape.kind, slots, predicate.evaluate, steps);
    return { run, steps };
  }
  const filter = shape.filter === undefined ? undefined : state.plan(state, shape.filter);
  const transform = state.plan(state, shape.transform);
  const steps = (filter?.steps ?? 0) + transform.steps + 2;
  const collect = collector(shape.kind);
  return { run: transformer(slots, filter?.evaluate, transform.evaluate, steps, collect), steps };
}

type Run = Loop["run"];

function quantifier(
  kind: "all" | "exists" | "existsOne",
  slots: LoopSlots,
  predicate: Evaluate,
  steps: number,
): Run {
  if (kind === "existsOne") return runExistsOne(slots, predicate, steps);
  return runUntil(slots, predicate, steps, kind === "exists");
}

/** `all` and `exists`: ends at the first decisive answer, else gives the first error, else the other answer. */
function runUntil(slots: LoopSlots, predicate: Evaluate, steps: number, decisive: boolean): Run {
  const other = !decisive;
  return (frame, items) => {
    let error: CelError | undefined;
    for (let turn = 0; turn < items.length; turn++) {
      if (!startTurn(frame, slots, items, turn, steps)) return budgetExceeded;
      const value = predicate(frame);
      if (value === decisive) return decisive;
      if (value !== other) error ??= value instanceof CelError ? value : noSuchOverload;
    }
    return error ?? other;
  };
}

/** Goes through all items whatever happens; of several errors the last counts, as in cel-go's fold. */
function runExistsOne(slots: LoopSlots, predicate: Evaluate, steps: number): Run {
  return (frame, items) => {
    let count = 0;
    let error: CelError | undefined;
    for (let turn = 0; turn < items.length; turn++) {
      if (!startTurn(frame, slots, items, turn, steps)) return budgetExceeded;
      const value = predicate(frame);
      if (value === true) count++;
      else if (value !== false) error = value instanceof CelError ? value : noSuchOverload;
    }
    return error ?? count === 1;
  };
}

/** Takes what a turn gave; its key is the first variable's value. */
type Collect = {
  readonly start: () => Collection;
};

type Collection = {
  readonly add: (key: CelValue, value: CelValue) => CelError | undefined;
  readonly finish: () => CelResult;
};

function collector(
  kind: Exclude<ComprehensionShape, { predicate: unknown } | { kind: "bind" }>["kind"],
): Collect {
  if (kind === "map") return { start: listCollection };
  return { start: () => mapCollection(kind === "transformMapEntry") };
}

function listCollection(): Collection {
  const list: CelValue[] = [];
  return {
    add: (_key, value) => {
      list.push(value);
      return undefined;
    },
    finish: () => list,
  };
}

function mapCollection(merge: boolean): Collection {
  const found: (readonly [CelValue, CelValue])[] = [];
  return {
    add: (key, value) => {
      const entries = merge ? entriesOf(value) : [[key, value] as const];
      if (entries === undefined) {
        return new CelError(`no such overload: cel.@mapInsert(map, ${typeNameOf(value)})`);
      }
      for (const entry of entries) found.push(entry);
      return undefined;
    },
    finish: () => makeUniqueMap(found, "insert failed: key already exists"),
  };
}

function transformer(
  slots: LoopSlots,
  filter: Evaluate | undefined,
  transform: Evaluate,
  steps: number,
  collect: Collect,
): Run {
  return (frame: Frame, items: Items) => {
    const collection = collect.start();
    let error: CelError | undefined;
    for (let turn = 0; turn < items.length; turn++) {
      if (!startTurn(frame, slots, items, turn, steps)) return budgetExceeded;
      const wanted = filter === undefined ? true : filter(frame);
      if (wanted === false) continue;
      if (wanted !== true) {
        error = wanted instanceof CelError ? wanted : noSuchOverload;
        continue;
      }
      if (error !== undefined) continue;
      const value = transform(frame);
      const key = frame.slots[slots.first] ?? null;
      if (key instanceof CelError) return key;
      error = value instanceof CelError ? value : collection.add(key, value);
    }
    return error ?? collection.finish();
  };
}
