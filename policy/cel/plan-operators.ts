// SPDX-License-Identifier: Apache-2.0
import { budgetExceeded } from "./budget.ts";
import { equals } from "./compare.ts";
import {
  add,
  compareBy,
  index,
  isIn,
  noSuchOverload,
  optionalIndex,
  type Comparison,
} from "./operators.ts";
import { planned, type Evaluate, type Planned } from "./plan-state.ts";
import { CelError, isList, Optional, type CelResult, type CelValue } from "./values.ts";

/** Characters or elements that one step pays for: the 0.1 per character of cel-go's cost model. */
const unitsPerStep = 10;

/** An operation on two values that are no errors. */
export function planBinary(
  a: Planned,
  b: Planned,
  operation: (a: CelValue, b: CelValue) => CelResult,
): Planned {
  const left = a.evaluate;
  const right = b.evaluate;
  return planned(
    (frame) => {
      const x = left(frame);
      const y = right(frame);
      if (x instanceof CelError) return x;
      return y instanceof CelError ? y : operation(x, y);
    },
    a.steps + b.steps + 1,
  );
}

/** Addition pays for the length of what it joins, so that text and lists cannot be doubled for nothing. */
export function planAdd(a: Planned, b: Planned): Planned {
  const left = a.evaluate;
  const right = b.evaluate;
  return planned(
    (frame) => {
      const x = left(frame);
      const y = right(frame);
      if (x instanceof CelError) return x;
      if (y instanceof CelError) return y;
      if (typeof x === "number" || typeof x === "bigint") return add(x, y);
      const { budget } = frame;
      budget.used += Math.ceil((lengthOf(x) + lengthOf(y)) / unitsPerStep);
      return budget.used > budget.stop ? budgetExceeded : add(x, y);
    },
    a.steps + b.steps + 1,
  );
}

const lengthOf = (value: CelValue): number =>
  typeof value === "string" || isList(value) || value instanceof Uint8Array ? value.length : 0;

/** `==` (or `!=` when not `want`), with short ways for text and for a literal on the right. */
export function planEquals(a: Planned, b: Planned, want: boolean): Planned {
  const left = a.evaluate;
  const { constant } = b;
  if (typeof constant === "string" || typeof constant === "boolean" || constant === null) {
    const evaluate: Evaluate = (frame) => {
      const x = left(frame);
      if (x === constant) return want;
      return x instanceof CelError ? x : !want;
    };
    return planned(evaluate, a.steps + 1);
  }
  const right = b.evaluate;
  return planned(
    (frame) => {
      const x = left(frame);
      const y = right(frame);
      if (typeof x === "string" && typeof y === "string") return (x === y) === want;
      if (typeof x === "number" && typeof y === "number") return (x === y) === want;
      if (x instanceof CelError) return x;
      if (y instanceof CelError) return y;
      return equals(x, y, frame.budget) === want;
    },
    a.steps + b.steps + 1,
  );
}

export function planComparison(name: string, test: Comparison, a: Planned, b: Planned): Planned {
  const left = a.evaluate;
  const right = b.evaluate;
  return planned(
    (frame) => {
      const x = left(frame);
      const y = right(frame);
      if (typeof x === "number" && typeof y === "number") {
        return test(x < y ? -1 : x > y ? 1 : x === y ? 0 : Number.NaN);
      }
      if (x instanceof CelError) return x;
      return y instanceof CelError ? y : compareBy(name, test, x, y);
    },
    a.steps + b.steps + 1,
  );
}

/** `in`; a literal list of texts becomes a set. */
export function planIn(a: Planned, b: Planned): Planned {
  const left = a.evaluate;
  const texts = textSet(b.constant);
  if (texts !== undefined) {
    return planned((frame) => {
      const x = left(frame);
      if (typeof x === "string") return texts.has(x);
      return x instanceof CelError ? x : false;
    }, a.steps + 1);
  }
  const right = b.evaluate;
  return planned(
    (frame) => {
      const x = left(frame);
      const y = right(frame);
      if (x instanceof CelError) return x;
      if (y instanceof CelError) return y;
      if (isList(y)) frame.budget.used += Math.ceil(y.length / unitsPerStep);
      return isIn(x, y, frame.budget);
    },
    a.steps + b.steps + 1,
  );
}

function textSet(constant: CelValue | undefined): ReadonlySet<string> | undefined {
  if (!isList(constant)) return undefined;
  const texts = constant.filter((item) => typeof item === "string");
  return texts.length === constant.length ? new Set(texts) : undefined;
}

const textTests: Readonly<Record<string, (text: string, part: string) => boolean>> = {
  contains_string: (text, part) => text.includes(part),
  endsWith_string: (text, part) => text.endsWith(part),
  startsWith_string: (text, part) => text.startsWith(part),
};

/** The standard library's tests of text against a literal, which most policies are made of; undefined for other calls. */
export function planTextTest(id: string, a: Planned, b: Planned): Planned | undefined {
  const test = Object.hasOwn(textTests, id) ? textTests[id] : undefined;
  const part = b.constant;
  if (test === undefined || typeof part !== "string") return undefined;
  const { evaluate } = a;
  return planned((frame) => {
    const text = evaluate(frame);
    if (typeof text === "string") return test(text, part);
    return text instanceof CelError ? text : noSuchOverload;
  }, a.steps + 1);
}

/** `a[b]` and `a[?b]`. Of none the key is not even looked at, as in cel-go. */
export function planIndex(container: Planned, key: Planned, optional: boolean): Planned {
  const ofContainer = container.evaluate;
  const ofKey = key.evaluate;
  const find = optional ? optionalIndex : index;
  return planned(
    (frame) => {
      const x = ofContainer(frame);
      if (x instanceof CelError || (x instanceof Optional && x.value === undefined)) return x;
      const y = ofKey(frame);
      return y instanceof CelError ? y : find(x, y);
    },
    container.steps + key.steps + 1,
  );
}
