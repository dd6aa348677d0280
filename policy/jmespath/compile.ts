// SPDX-License-Identifier: Apache-2.0
import { arithmeticFunctions } from "#policy/jmespath/functions/arithmetic";
import { dataFunctions } from "#policy/jmespath/functions/data";
import { regexFunctions } from "#policy/jmespath/functions/regex";
import { checkArguments, type FunctionTable } from "#policy/jmespath/functions/signature";
import { standardFunctions } from "#policy/jmespath/functions/standard";
import { textFunctions } from "#policy/jmespath/functions/text";
import { timeFunctions } from "#policy/jmespath/functions/time";
import { parseExpression } from "#policy/jmespath/parse";
import { planNode, type PlanCall } from "#policy/jmespath/plan";
import { QueryFailure, tooDeep, type Query } from "#policy/jmespath/query";
import { SyntaxFault } from "#policy/jmespath/tokens";
import { failed, toJson, unlessUnknown, type Step, type Value } from "#policy/jmespath/values";

/** Every function of the dialect by name. */
export const functionTable: FunctionTable = {
  ...standardFunctions,
  ...arithmeticFunctions,
  ...dataFunctions,
  ...regexFunctions,
  ...textFunctions,
  ...timeFunctions,
};

/** Most plans that are remembered: policies have some hundred expressions, variables inside variables can make more. */
const rememberedMax = 5_000;
/** Longest text that is remembered: what variables put together may be long, and comes once. */
const rememberedLengthMax = 2_048;
const remembered = new Map<string, Query>();

/** Plans an expression, once per text. Never throws. */
export function compileQuery(source: string): Query {
  const known = remembered.get(source);
  if (known !== undefined) return known;
  const query = makeQuery(source);
  if (source.length > rememberedLengthMax) return query;
  if (remembered.size >= rememberedMax) remembered.clear();
  remembered.set(source, query);
  return query;
}

function makeQuery(source: string): Query {
  const node = parseExpression(source);
  if (node instanceof SyntaxFault) {
    const failure = failed(node.message);
    return { source, syntaxError: node.message, evaluate: () => failure };
  }
  const step = planNode(node, planCall);
  return {
    source,
    syntaxError: undefined,
    evaluate: (root, runtime) => {
      try {
        const result = step(root, runtime);
        return result instanceof QueryFailure ? result : toJson(result);
      } catch (error) {
        return tooDeep(error);
      }
    },
  };
}

/** Arguments that are unknown keys arrive as null. */
const planCall: PlanCall = (name, args) => {
  if (name === undefined) return () => failed("invalid node value type");
  if (!Object.hasOwn(functionTable, name)) {
    const unknown = failed(`unknown function: ${name}`);
    return withArguments(args, () => unknown);
  }
  const entry = functionTable[name];
  if (entry === undefined) return () => failed(`unknown function: ${name}`);
  return withArguments(args, (values, runtime) => {
    const wrong = checkArguments(entry, values);
    return wrong ?? entry.run(values, runtime);
  });
};

function withArguments(
  args: readonly Step[],
  run: (values: readonly Value[], runtime: Parameters<Step>[1]) => Value | QueryFailure,
): Step {
  return (current, runtime) => {
    const values: Value[] = [];
    for (const arg of args) {
      const value = unlessUnknown(arg(current, runtime));
      if (value instanceof QueryFailure) return value;
      values.push(value);
    }
    return run(values, runtime);
  };
}
