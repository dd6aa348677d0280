// SPDX-License-Identifier: Apache-2.0
import { accumulatorName, type Expression } from "./ast.ts";
import type { FoldParts, Macro, MacroContext, MacroError } from "./library.ts";

type Arguments = readonly Expression[];

/** The name of an iteration variable, or why an argument cannot be one. */
export function variableName(
  given: Expression | undefined,
  message = "argument must be a simple name",
): string | MacroError {
  if (given === undefined) throw new Error("a macro was called with too few arguments");
  if (given.kind !== "ident" || given.name.startsWith(".")) return { message, at: given };
  if (given.name === accumulatorName || given.name === "__result__") {
    return { message: "iteration variable overwrites accumulator variable", at: given };
  }
  return given.name;
}

export const isError = (name: string | MacroError): name is MacroError => typeof name !== "string";

/** `args[index]` of a macro whose arity was matched before. */
export function argument(args: Arguments, index: number): Expression {
  const found = args[index];
  if (found === undefined) throw new Error("a macro was called with too few arguments");
  return found;
}

export type Variables = Pick<FoldParts, "range" | "iterVar" | "iterVar2">;

/** `all`: false as soon as one is false; errors count only when none is. */
export function foldAll(make: MacroContext, variables: Variables, predicate: Expression) {
  const accumulator = (): Expression => make.ident(accumulatorName);
  return make.fold({
    ...variables,
    accuVar: accumulatorName,
    accuInit: make.literal(true),
    condition: make.invoke("@not_strictly_false", accumulator()),
    step: make.invoke("_&&_", accumulator(), predicate),
    result: accumulator(),
    shape: { kind: "all", predicate },
  });
}

/** `exists`: true as soon as one is true; errors count only when none is. */
export function foldExists(make: MacroContext, variables: Variables, predicate: Expression) {
  const accumulator = (): Expression => make.ident(accumulatorName);
  return make.fold({
    ...variables,
    accuVar: accumulatorName,
    accuInit: make.literal(false),
    condition: make.invoke("@not_strictly_false", make.invoke("!_", accumulator())),
    step: make.invoke("_||_", accumulator(), predicate),
    result: accumulator(),
    shape: { kind: "exists", predicate },
  });
}

/** `exists_one`: true when exactly one is true; every error counts. */
export function foldExistsOne(make: MacroContext, variables: Variables, predicate: Expression) {
  const accumulator = (): Expression => make.ident(accumulatorName);
  const more = make.invoke("_+_", accumulator(), make.literal(1));
  return make.fold({
    ...variables,
    accuVar: accumulatorName,
    accuInit: make.literal(0),
    condition: make.literal(true),
    step: make.invoke("_?_:_", predicate, more, accumulator()),
    result: make.invoke("_==_", accumulator(), make.literal(1)),
    shape: { kind: "existsOne", predicate },
  });
}

/** `map` and `filter`: the list of what `transform` gives where `filter` is true. */
export function foldMap(
  make: MacroContext,
  variables: Variables,
  filter: Expression | undefined,
  transform: Expression,
) {
  const accumulator = (): Expression => make.ident(accumulatorName);
  const more = make.invoke("_+_", accumulator(), make.list(transform));
  return make.fold({
    ...variables,
    accuVar: accumulatorName,
    accuInit: make.list(),
    condition: make.literal(true),
    step: filter === undefined ? more : make.invoke("_?_:_", filter, more, accumulator()),
    result: accumulator(),
    shape: { kind: "map", filter, transform },
  });
}

type Fold = (make: MacroContext, variables: Variables, predicate: Expression) => Expression;

const quantifier = (name: string, fold: Fold): Macro => ({
  name,
  receiver: true,
  arity: 2,
  expand(make, range, args) {
    const iterVar = variableName(args[0]);
    if (isError(iterVar) || range === undefined) return isError(iterVar) ? iterVar : undefined;
    return fold(make, { range, iterVar }, argument(args, 1));
  },
});

const mapMacro = (arity: 2 | 3): Macro => ({
  name: "map",
  receiver: true,
  arity,
  expand(make, range, args) {
    const iterVar = variableName(args[0], "argument is not an identifier");
    if (isError(iterVar) || range === undefined) return isError(iterVar) ? iterVar : undefined;
    const filter = arity === 3 ? args[1] : undefined;
    return foldMap(make, { range, iterVar }, filter, argument(args, arity - 1));
  },
});

const filterMacro: Macro = {
  name: "filter",
  receiver: true,
  arity: 2,
  expand(make, range, args) {
    const iterVar = variableName(args[0], "argument is not an identifier");
    if (isError(iterVar) || range === undefined) return isError(iterVar) ? iterVar : undefined;
    return foldMap(make, { range, iterVar }, argument(args, 1), make.ident(iterVar));
  },
};

const hasMacro: Macro = {
  name: "has",
  receiver: false,
  arity: 1,
  expand(make, _target, args) {
    const at = argument(args, 0);
    if (at.kind !== "select" || at.test) {
      return { message: "invalid argument to has() macro", at };
    }
    return make.select(at.operand, at.field, true);
  },
};

/** The macros of the language definition. */
export const standardMacros: readonly Macro[] = [
  hasMacro,
  quantifier("all", foldAll),
  quantifier("exists", foldExists),
  quantifier("exists_one", foldExistsOne),
  quantifier("existsOne", foldExistsOne),
  mapMacro(2),
  mapMacro(3),
  filterMacro,
];
