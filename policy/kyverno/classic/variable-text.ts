// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { compileQuery } from "#policy/jmespath/compile";
import { marshalJson } from "#policy/text/go-json";
import { QueryFailure, type Query } from "#policy/jmespath/query";
import { currentPath } from "#policy/kyverno/classic/current-path";
import type { Scope } from "#policy/kyverno/classic/scope";

/** Longest text that substitution may build, in characters: the reference's bound for a whole context is 2 MB. */
export const substitutedLengthMax = 2_097_152;
/** Most rounds for variables whose values hold variables; real policies need two or three. */
export const substitutionRoundsMax = 64;
/** Most variables in one text. */
export const variablesMax = 200;
/** Most characters that the rounds for one text may copy: many variables in a long text would copy it as often. */
const copiedMax = 64_000_000;

/** A variable with the character before it (Kyverno, variables/regex/vars.go, RegexVariables). */
const variable = /(^|[^\\])(\{\{(?:\{[^{}]*\}|[^{}])*\}\})/g;

/** Whether a text holds a `{{ variable }}` that is not escaped. */
export const hasVariables = (text: string): boolean =>
  text.includes("{{") && text.search(variable) !== -1;

/** Whether substitution may change a text: it holds a variable, or an escaped one that loses its backslash. */
export const isTemplateText = (text: string): boolean =>
  text.includes("{{") && (text.includes("}}") || text.includes("\\{{"));

/** The expressions of the variables that a text shows, `{{@}}` left out. */
export function findExpressions(text: string): readonly string[] {
  if (!isTemplateText(text)) return [];
  return findOccurrences(text)
    .map(({ expression }) => expression)
    .filter((expression) => expression !== "@")
    .map((expression) => (expression.startsWith("-") ? expression.slice(1).trim() : expression));
}

/** Gives the text with its variables replaced, or the very value when it is one variable alone. */
export type TextTemplate = (scope: Scope) => Json | QueryFailure;

/** Plans one text. `path` is where it stands, for messages and for `{{@}}`. */
export function compileText(text: string, path: string): TextTemplate {
  const pieces = splitText(text);
  const planned = findOccurrences(text).map(planOccurrence);
  const slowly: TextTemplate = (scope) => substituteSlowly(text, planned, path, scope);
  if (pieces === undefined) return slowly;
  const [only] = pieces.variables;
  if (only !== undefined && pieces.variables.length === 1 && pieces.literals.join("") === "") {
    return (scope) => resolve(only, path, scope);
  }
  return (scope) => {
    let result = pieces.literals[0] ?? "";
    for (const [index, piece] of pieces.variables.entries()) {
      const value = resolve(piece, path, scope);
      if (value instanceof QueryFailure) return value;
      result += textOf(value) + (pieces.literals[index + 1] ?? "");
      if (result.length > substitutedLengthMax) return tooLong(path);
    }
    // What came in may hold variables itself: then only the reference's rounds give its answer.
    return isTemplateText(result) ? slowly(scope) : result;
  };
}

/** A variable of a text, planned. */
type Variable = {
  readonly query: Query;
  /** For DELETE, where request.object is empty and variables mean request.oldObject. */
  readonly deleteQuery: Query;
};

/** Literals before, between and after the variables; undefined where one round does not do. */
function splitText(
  text: string,
): { readonly literals: readonly string[]; readonly variables: readonly Variable[] } | undefined {
  const literals: string[] = [];
  const variables: Variable[] = [];
  let end = 0;
  for (const match of text.matchAll(variable)) {
    const [, prefix = "", whole = ""] = match;
    const start = match.index + prefix.length;
    const expression = expressionOf(whole);
    if (expression === "@" || expression.startsWith("-")) return undefined;
    literals.push(text.slice(end, start));
    variables.push(makeVariable(expression));
    end = start + whole.length;
  }
  literals.push(text.slice(end));
  const leftovers = literals.some((literal) => literal.includes("{{") || literal.includes("}}"));
  // Variables side by side are found in different rounds; braces left over may become part of one.
  const adjacent = literals.slice(1, -1).includes("");
  return leftovers || adjacent || variables.length > variablesMax
    ? undefined
    : { literals, variables };
}

/** What stands between the braces; the pattern of a variable has no other double ones inside. */
const expressionOf = (whole: string): string => whole.slice(2, -2).trim();

function makeVariable(expression: string): Variable {
  const onDelete = expression.replaceAll("request.object", "request.oldObject");
  return { query: compileQuery(expression), deleteQuery: compileQuery(onDelete) };
}

function resolve(piece: Variable, path: string, scope: Scope): Json | QueryFailure {
  return ask(scope.isDelete ? piece.deleteQuery : piece.query, path, scope);
}

function ask(query: Query, path: string, scope: Scope): Json | QueryFailure {
  const value = scope.query(query);
  return value instanceof QueryFailure ? notResolved(value, query.source, path) : value;
}

/** The query of a variable that shows itself only now. */
function queryOf(expression: string, scope: Scope): Query {
  return compileQuery(
    scope.isDelete ? expression.replaceAll("request.object", "request.oldObject") : expression,
  );
}

function notResolved(failure: QueryFailure, expression: string, path: string): QueryFailure {
  return new QueryFailure(
    failure.kind,
    `failed to resolve ${expression} at path ${path}: ${failure.message}`,
  );
}

const textOf = (value: Json): string => (typeof value === "string" ? value : marshalJson(value));

const tooLong = (path: string): QueryFailure =>
  new QueryFailure(
    "failed",
    `substituting variables at path ${path} gives more than ${substitutedLengthMax} characters`,
  );

const tooMany = (path: string): QueryFailure =>
  new QueryFailure("failed", `more than ${variablesMax} variables in the text at path ${path}`);

/**
 * The reference's own rounds (variables/vars.go, substituteVariablesIfAny): in each, the variables that the text shows
 * are replaced; a text that is nothing but one variable ends it with that variable's value.
 */
function substituteSlowly(
  text: string,
  planned: readonly Occurrence[],
  path: string,
  scope: Scope,
): Json | QueryFailure {
  let value = text;
  let occurrences = planned;
  const budget = { left: copiedMax };
  for (let round = 0; round < substitutionRoundsMax; round += 1) {
    const done = substituteRound(value, occurrences, path, scope, budget);
    if (done instanceof QueryFailure) return done;
    if (done.kind === "value") return done.value;
    if (done.kind === "last") return unescape(done.text);
    value = done.text;
    occurrences = findOccurrences(value);
  }
  return new QueryFailure(
    "failed",
    `variables at path ${path} were still not resolved after ${substitutionRoundsMax} rounds`,
  );
}

const unescape = (text: string): string => text.replaceAll("\\{{", "{{");

type Round =
  | { readonly kind: "value"; readonly value: Json }
  | { readonly kind: "text" | "last"; readonly text: string };

/** A variable where it stands in a text. */
type Occurrence = {
  /** With the character before it. */
  readonly found: string;
  readonly prefix: string;
  readonly whole: string;
  readonly expression: string;
  /** For those that the policy itself shows. */
  readonly planned: Variable | undefined;
};

function findOccurrences(text: string): readonly Occurrence[] {
  const occurrences: Occurrence[] = [];
  for (const [found, prefix = "", whole = ""] of text.matchAll(variable)) {
    const expression = expressionOf(whole);
    occurrences.push({ found, prefix, whole, expression, planned: undefined });
    if (occurrences.length > variablesMax) break;
  }
  return occurrences;
}

function planOccurrence(occurrence: Occurrence): Occurrence {
  const { expression } = occurrence;
  const isSpecial = expression === "@" || expression.startsWith("-");
  return isSpecial ? occurrence : { ...occurrence, planned: makeVariable(expression) };
}

function substituteRound(
  text: string,
  occurrences: readonly Occurrence[],
  path: string,
  scope: Scope,
  budget: { left: number },
): Round | QueryFailure {
  if (occurrences.length === 0) return { kind: "last", text };
  if (occurrences.length > variablesMax) return tooMany(path);
  let result = text;
  let shallow = false;
  for (const { found, prefix, whole, expression, planned } of occurrences) {
    // The last variable decides for the text, as in the reference.
    shallow = expression.startsWith("-");
    const value =
      planned === undefined
        ? ask(queryOf(plainExpression(expression, path, scope), scope), path, scope)
        : resolve(planned, path, scope);
    if (value instanceof QueryFailure) return value;
    if (text === whole) return { kind: "value", value };
    const filled = shallow ? textOf(value).replaceAll("{{", "\\{{") : textOf(value);
    result = result.replace(found, () => prefix + filled);
    budget.left -= result.length;
    if (result.length > substitutedLengthMax || budget.left < 0) return tooLong(path);
  }
  return { kind: shallow ? "last" : "text", text: result };
}

/** `@` and `- x` as expressions of the language. */
function plainExpression(expression: string, path: string, scope: Scope): string {
  if (expression === "@") return currentPath(path, scope);
  return expression.startsWith("-") ? expression.slice(1).trim() : expression;
}
