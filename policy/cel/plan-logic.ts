// SPDX-License-Identifier: Apache-2.0
import { noSuchOverload } from "./operators.ts";
import { planned, type Evaluate, type Planned } from "./plan-state.ts";
import { CelError, type CelResult } from "./values.ts";

const asError = (value: CelResult): CelError =>
  value instanceof CelError ? value : noSuchOverload;

const totalSteps = (terms: readonly Planned[]): number =>
  terms.reduce((sum, term) => sum + term.steps + 1, -1);

/** `a && b && ...`: false when any is false, else the first error, else true. */
export function planAnd(terms: readonly Planned[]): Planned {
  return planned(decide(terms, false), totalSteps(terms));
}

/** `a || b || ...`: true when any is true, else the first error, else false. */
export function planOr(terms: readonly Planned[]): Planned {
  return planned(decide(terms, true), totalSteps(terms));
}

/** Evaluates terms until one is `decisive`. Two and three terms, by far the most, get closures of their own. */
function decide(terms: readonly Planned[], decisive: boolean): Evaluate {
  const [a, b, c] = terms.map((term) => term.evaluate);
  if (a === undefined || b === undefined) throw new Error("a logical operation needs two terms");
  const other = !decisive;
  if (c === undefined) {
    return (frame) => {
      const x = a(frame);
      if (x === decisive) return decisive;
      const y = b(frame);
      if (y === decisive) return decisive;
      if (x !== other) return asError(x);
      return y === other ? other : asError(y);
    };
  }
  if (terms.length === 3) {
    return (frame) => {
      const x = a(frame);
      if (x === decisive) return decisive;
      const y = b(frame);
      if (y === decisive) return decisive;
      const z = c(frame);
      if (z === decisive) return decisive;
      if (x !== other) return asError(x);
      if (y !== other) return asError(y);
      return z === other ? other : asError(z);
    };
  }
  const all = terms.map((term) => term.evaluate);
  return (frame) => {
    let error: CelError | undefined;
    for (const term of all) {
      const value = term(frame);
      if (value === decisive) return decisive;
      if (value !== other) error ??= asError(value);
    }
    return error ?? other;
  };
}

export function planNot(term: Planned): Planned {
  const { evaluate } = term;
  return planned((frame) => {
    const value = evaluate(frame);
    if (value === true) return false;
    return value === false ? true : asError(value);
  }, term.steps + 1);
}

export function planConditional(condition: Planned, yes: Planned, no: Planned): Planned {
  const test = condition.evaluate;
  const ifTrue = yes.evaluate;
  const ifFalse = no.evaluate;
  return planned(
    (frame) => {
      const value = test(frame);
      if (value === true) return ifTrue(frame);
      return value === false ? ifFalse(frame) : asError(value);
    },
    condition.steps + Math.max(yes.steps, no.steps) + 1,
  );
}

/** The loop condition of `all` and `exists`: an error goes on. */
export function planNotStrictlyFalse(term: Planned): Planned {
  const { evaluate } = term;
  return planned((frame) => evaluate(frame) !== false, term.steps + 1);
}
