// SPDX-License-Identifier: Apache-2.0
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments } from "yaml";
import type { Document, Node } from "yaml";
import { compileAt, report } from "#policy/admission/expressions";
import type { ExpressionScope } from "#policy/admission/expressions";
import type { Budget } from "#policy/cel/budget";
import type { Activation, Program } from "#policy/cel/compile";
import { toJson } from "#policy/cel/convert";
import { CelError } from "#policy/cel/values";
import { parseJson } from "#policy/document";
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { containsPlaceholder, scanPlaceholders } from "#policy/kyverno/cel/template-scanner";
import type { Segment } from "#policy/kyverno/cel/template-scanner";

/** Most characters of a template, and most documents in it. */
const templateLengthMax = 500_000;
const documentsMax = 1_000;

/** A compiled YAML template of a GeneratingPolicy: renders one object for each of its documents. */
export type Template = (activation: Activation, budget: Budget) => readonly JsonObject[] | CelError;

/** A compiled part of a template. */
type Part = (activation: Activation, budget: Budget) => Json | CelError;

type Source = {
  readonly scope: ExpressionScope;
  readonly path: string;
  readonly document: Document;
};

/**
 * Compiles `template.value` (pkg/cel/policies/gpol/template): YAML documents, and with `interpolate: cel` expressions
 * between `((` and `))`. A value that is one placeholder takes what it gives, of any type; placeholders inside text
 * must give scalars; keys take none. `\((` is a plain `((`.
 */
export function compileTemplate(
  scope: ExpressionScope,
  value: Json | undefined,
  interpolate: boolean,
  path: string,
): Template | undefined {
  if (typeof value !== "string" || value.length > templateLengthMax) {
    report(scope, path, `must be YAML text of at most ${templateLengthMax} characters`);
    return undefined;
  }
  const documents = parseAllDocuments(value);
  if (!Array.isArray(documents) || documents.length > documentsMax) {
    report(scope, path, `must have 1 to ${documentsMax} YAML documents`);
    return undefined;
  }
  const parts: Part[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) {
      report(scope, path, `is no YAML: ${error.message.split("\n", 1)[0] ?? ""}`);
      return undefined;
    }
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) continue;
    const part = compileNode({ scope, path, document }, root, interpolate);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  if (parts.length === 0) {
    report(scope, path, "template must contain at least one YAML document");
    return undefined;
  }
  return (activation, budget) => render(parts, activation, budget);
}

function render(
  parts: readonly Part[],
  activation: Activation,
  budget: Budget,
): readonly JsonObject[] | CelError {
  const objects: JsonObject[] = [];
  for (const [index, part] of parts.entries()) {
    const value = part(activation, budget);
    if (value instanceof CelError) {
      return new CelError(`document ${index + 1}: ${value.message}`, value.code);
    }
    if (!isObject(value)) {
      return new CelError(`document ${index + 1}: expected a mapping describing a resource`);
    }
    objects.push(value);
  }
  return objects;
}

function compileNode(source: Source, node: Node, interpolate: boolean): Part | undefined {
  const target = isAlias(node) ? node.resolve(source.document) : node;
  if (target === undefined) return wrong(source, "an alias names nothing");
  if (!interpolate || !hasPlaceholder(source, target, 0)) return literal(source, target);
  if (isMap(target)) {
    const entries: [string, Part][] = [];
    for (const pair of target.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : undefined;
      if (key === undefined) return wrong(source, "only scalar mapping keys are supported");
      if (containsPlaceholder(key)) {
        return wrong(source, "placeholders are not supported in mapping keys");
      }
      if (key === "<<")
        return wrong(source, "YAML merge keys are not supported beside placeholders");
      const part = isNode(pair.value) ? compileNode(source, pair.value, interpolate) : nothing;
      if (part === undefined) return undefined;
      entries.push([key, part]);
    }
    return (activation, budget) => renderMap(entries, activation, budget);
  }
  if (isSeq(target)) {
    const items: Part[] = [];
    for (const item of target.items) {
      const part = isNode(item) ? compileNode(source, item, interpolate) : nothing;
      if (part === undefined) return undefined;
      items.push(part);
    }
    return (activation, budget) => renderList(items, activation, budget);
  }
  return isScalar(target) ? compileScalar(source, String(target.value)) : literal(source, target);
}

const nothing: Part = () => null;

const isNode = (value: unknown): value is Node =>
  isMap(value) || isSeq(value) || isScalar(value) || isAlias(value);

function wrong(source: Source, message: string): undefined {
  report(source.scope, source.path, message);
  return undefined;
}

function hasPlaceholder(source: Source, node: Node, depth: number): boolean {
  if (depth > 100) return true;
  if (isAlias(node)) {
    const target = node.resolve(source.document);
    return target !== undefined && hasPlaceholder(source, target, depth + 1);
  }
  if (isScalar(node)) {
    return typeof node.value === "string" && /\(\(/.test(node.value);
  }
  if (isSeq(node)) {
    return node.items.some((item) => isNode(item) && hasPlaceholder(source, item, depth + 1));
  }
  if (!isMap(node)) return false;
  return node.items.some((pair) =>
    [pair.key, pair.value].some((part) => isNode(part) && hasPlaceholder(source, part, depth + 1)),
  );
}

function literal(source: Source, node: Node): Part | undefined {
  const made: unknown = node.toJS(source.document, { maxAliasCount: 100 });
  const parsed = parseJson(made);
  if (!parsed.ok) return wrong(source, `${parsed.path}: ${parsed.message}`);
  return () => parsed.value;
}

function compileScalar(source: Source, text: string): Part | undefined {
  const scanned = scanPlaceholders(text);
  if (!scanned.ok) return wrong(source, scanned.message);
  const { segments } = scanned;
  const [first] = segments;
  if (segments.length === 1 && first?.is === "expression") return compileSplice(source, first.text);
  const parts: (string | Program)[] = [];
  for (const segment of segments) {
    const part = segment.is === "text" ? segment.text : compilePlaceholder(source, segment);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  return (activation, budget) => interpolateText(parts, activation, budget);
}

const compilePlaceholder = (source: Source, segment: Segment): Program | undefined =>
  compileAt(source.scope, segment.text, source.path);

function compileSplice(source: Source, expression: string): Part | undefined {
  const program = compileAt(source.scope, expression, source.path);
  if (program === undefined) return undefined;
  return (activation, budget) => evaluate(program, activation, budget);
}

function evaluate(program: Program, activation: Activation, budget: Budget): Json | CelError {
  const value = program.evaluate(activation, budget);
  if (value instanceof CelError) {
    const message = `failed to evaluate placeholder "${program.source}": ${value.message}`;
    return new CelError(message, value.code);
  }
  return toJson(value);
}

function interpolateText(
  parts: readonly (string | Program)[],
  activation: Activation,
  budget: Budget,
): string | CelError {
  let text = "";
  for (const part of parts) {
    if (typeof part === "string") {
      text += part;
      continue;
    }
    const value = evaluate(part, activation, budget);
    if (value instanceof CelError) return value;
    if (value === null || typeof value === "object") {
      return new CelError(
        `placeholder "${part.source}" embedded in a string must evaluate to a scalar; use a whole-value placeholder for structured results`,
      );
    }
    text += String(value);
  }
  return text;
}

function renderMap(
  entries: readonly (readonly [string, Part])[],
  activation: Activation,
  budget: Budget,
): JsonObject | CelError {
  const out: [string, Json][] = [];
  for (const [key, part] of entries) {
    const value = part(activation, budget);
    if (value instanceof CelError)
      return new CelError(`field "${key}": ${value.message}`, value.code);
    out.push([key, value]);
  }
  return Object.fromEntries(out);
}

function renderList(
  items: readonly Part[],
  activation: Activation,
  budget: Budget,
): readonly Json[] | CelError {
  const out: Json[] = [];
  for (const [index, part] of items.entries()) {
    const value = part(activation, budget);
    if (value instanceof CelError)
      return new CelError(`item ${index}: ${value.message}`, value.code);
    out.push(value);
  }
  return out;
}
