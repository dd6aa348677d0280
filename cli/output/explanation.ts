// SPDX-License-Identifier: Apache-2.0
import type { Explanation } from "#policy/policy-set";
import { showControls } from "#policy/text/controls";
import type { Response } from "../evaluate.ts";
import { formatKey, keyOf } from "../input/resources.ts";

/**
 * Why a policy said what it said about a resource: each match condition, variable and validation with its value, and
 * below it what its sub-expressions gave, in the order of evaluation.
 */
export function formatExplanation(
  response: Response,
  explanations: readonly Explanation[] | undefined,
): string {
  const { ref } = response.policy;
  const name = [ref.kind, ref.namespace, ref.name].filter((part) => part !== "").join("/");
  const head = `${name} on ${formatKey(keyOf(response.before))}`;
  const verdicts = response.results.map(({ rule, result, message, type }) => {
    // That a resource is kept is no failure.
    if (type === "Deletion" && result !== "error") return `  => ${message}`;
    const named = rule === "" ? result : `${rule}: ${result}`;
    return `  => ${named}${message === "" ? "" : `: ${message}`}`;
  });
  const parts = explanations?.flatMap(formatPart) ?? [
    "  this kind does not record its expressions: the verdicts say why",
  ];
  return `${[head, ...parts, ...verdicts].map((line) => showControls(line)).join("\n")}\n`;
}

/** A value on its own line stays readable up to this many characters. */
const valueMax = 200;

const shorten = (text: string): string =>
  text.length > valueMax ? `${text.slice(0, valueMax)}...` : text;

function formatPart(explanation: Explanation): readonly string[] {
  const { part, source, value, steps } = explanation;
  const own = squeeze(source);
  const shown = steps
    .map((step) => ({ source: squeeze(step.source), value: step.value }))
    .filter((step) => step.source !== own && !isPlain(step));
  const seen = new Set<string>();
  const news = shown.filter((step) => {
    const text = JSON.stringify([step.source, step.value]);
    return !seen.has(text) && seen.add(text);
  });
  return [
    `  ${part}: ${shorten(value)}`,
    ...(own === "" ? [] : [`    ${own}`]),
    ...news.map((step) => `      ${shorten(step.source)} = ${shorten(step.value)}`),
  ];
}

const squeeze = (source: string): string => source.replace(/\s+/g, " ").trim();

/** A literal is its own value, and a root like `object` was given: saying so explains nothing. */
const isPlain = (step: { readonly source: string; readonly value: string }): boolean =>
  step.source === step.value ||
  /^('[^']*'|"[^"]*"|[\d.]+|\[\]|\{\}|true|false|null|object|oldObject|request|variables)$/.test(
    step.source,
  );
