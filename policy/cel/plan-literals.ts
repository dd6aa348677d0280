// SPDX-License-Identifier: Apache-2.0
import type { Expression, ListLiteral, MapLiteral, StructLiteral } from "./ast.ts";
import { typeNameOf } from "./compare.ts";
import { makeMap, makeStrictMap } from "./maps.ts";
import { evaluateAlone } from "./plan-call.ts";
import {
  constantOf,
  planned,
  referenceOf,
  type Evaluate,
  type Planned,
  type PlanState,
} from "./plan-state.ts";
import { CelError, Optional, type CelResult, type CelValue } from "./values.ts";

type Part = { readonly planned: Planned; readonly optional: boolean };

const planPart = (
  state: PlanState,
  part: { readonly value: Expression; readonly optional: boolean },
): Part => ({ planned: state.plan(state, part.value), optional: part.optional });

/** Steps of making a list, a map or an object, beside their parts': common/cost.go of cel-go's checker and runtime. */
const makingSteps = { list: 10, map: 30, object: 40 };

const totalSteps = (plans: readonly Planned[], making: number): number =>
  plans.reduce((sum, one) => sum + one.steps, making);

/** The value once and for all when every part is a constant. */
function whole(
  state: PlanState,
  evaluate: Evaluate,
  plans: readonly Planned[],
  making: number,
): Planned {
  const fixed = plans.every((one) => one.constant !== undefined);
  const runtime = planned(evaluate, totalSteps(plans, making));
  const value = fixed && !state.explaining ? evaluateAlone(state, runtime) : undefined;
  return value === undefined || value instanceof CelError ? runtime : constantOf(value);
}

/** What an optional part adds: nothing for none, an error for what is no optional. */
function unwrap(value: CelValue): CelResult | undefined {
  if (value instanceof Optional) return value.value;
  return new CelError(
    `cannot initialize optional list element from non-optional value ${typeNameOf(value)}`,
  );
}

export function planList(state: PlanState, node: ListLiteral): Planned {
  const parts = node.elements.map((element) => planPart(state, element));
  const evaluate: Evaluate = (frame) => {
    const values: CelValue[] = [];
    for (const part of parts) {
      const given = part.planned.evaluate(frame);
      if (given instanceof CelError) return given;
      const value = part.optional ? unwrap(given) : given;
      if (value instanceof CelError) return value;
      if (value !== undefined) values.push(value);
    }
    return values;
  };
  return whole(
    state,
    evaluate,
    parts.map((part) => part.planned),
    makingSteps.list,
  );
}

export function planMap(state: PlanState, node: MapLiteral): Planned {
  const entries = node.entries.map((entry) => ({
    key: state.plan(state, entry.key),
    ...planPart(state, entry),
  }));
  const make = state.environment.options.strictMapLiterals ? makeStrictMap : makeMap;
  const evaluate: Evaluate = (frame) => {
    const found: (readonly [CelValue, CelValue])[] = [];
    for (const entry of entries) {
      const key = entry.key.evaluate(frame);
      if (key instanceof CelError) return key;
      const given = entry.planned.evaluate(frame);
      if (given instanceof CelError) return given;
      const value = entry.optional ? unwrap(given) : given;
      if (value instanceof CelError) return value;
      if (value !== undefined) found.push([key, value]);
    }
    return make(found);
  };
  return whole(
    state,
    evaluate,
    entries.flatMap((entry) => [entry.key, entry.planned]),
    makingSteps.map,
  );
}

export function planStruct(state: PlanState, node: StructLiteral): Planned {
  const reference = referenceOf(state, node);
  const make = reference?.kind === "struct" ? reference.type.make : undefined;
  if (make === undefined) {
    if (!state.environment.options.unchecked)
      throw new Error(`the checker let ${node.typeName} pass`);
    return planned(() => new CelError(`unknown type: ${node.typeName}`), 1);
  }
  const fields = node.fields.map((field) => ({ name: field.name, ...planPart(state, field) }));
  const evaluate: Evaluate = (frame) => {
    const values = new Map<string, CelValue>();
    for (const field of fields) {
      const given = field.planned.evaluate(frame);
      if (given instanceof CelError) return given;
      const value = field.optional ? unwrap(given) : given;
      if (value instanceof CelError) return value;
      if (value !== undefined) values.set(field.name, value);
    }
    return make(values);
  };
  const plans = fields.map((field) => field.planned);
  return planned(evaluate, totalSteps(plans, makingSteps.object));
}
