// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";

export type AnchorKind =
  | "condition"
  | "global"
  | "existence"
  | "equality"
  | "negation"
  | "addIfNotPresent";

export type Anchor = { readonly kind: AnchorKind; readonly key: string };

const kinds: Readonly<Record<string, AnchorKind>> = {
  "": "condition",
  "<": "global",
  "^": "existence",
  "=": "equality",
  X: "negation",
  "+": "addIfNotPresent",
};

const signs: Readonly<Record<AnchorKind, string>> = {
  condition: "",
  global: "<",
  existence: "^",
  equality: "=",
  negation: "X",
  addIfNotPresent: "+",
};

const anchorPattern = /^([+<=X^])?\((.+)\)$/;

/** Reads `(key)`, `=(key)`, `^(key)`, `X(key)`, `<(key)`, `+(key)`; undefined for a plain key (pkg/engine/anchor). */
export function parseAnchor(text: string): Anchor | undefined {
  if (!text.endsWith(")")) return undefined;
  const match = anchorPattern.exec(text);
  const kind = match === null ? undefined : kinds[match[1] ?? ""];
  const key = match?.[2];
  return kind === undefined || key === undefined ? undefined : { kind, key };
}

export const anchorText = (anchor: Anchor): string => `${signs[anchor.kind]}(${anchor.key})`;

/** The key without its anchor. */
export const plainKey = (text: string): string => parseAnchor(text)?.key ?? text;

/** Whether the text is an anchor of one of the kinds. */
export function isAnchorOf(text: string, ...wanted: readonly AnchorKind[]): boolean {
  const anchor = parseAnchor(text);
  return anchor !== undefined && wanted.includes(anchor.kind);
}

/** Whether a pattern has an anchor other than `+()` anywhere; it is ordered before its siblings then. */
export function hasNestedAnchors(pattern: Json): boolean {
  if (isArray(pattern)) return pattern.some(hasNestedAnchors);
  if (!isObject(pattern)) return false;
  return (
    Object.keys(pattern).some(isValidationAnchor) || Object.values(pattern).some(hasNestedAnchors)
  );
}

const isValidationAnchor = (text: string): boolean => {
  const anchor = parseAnchor(text);
  return anchor !== undefined && anchor.kind !== "addIfNotPresent";
};

/** The entry of a pattern for a key, be it anchored or not; a plain key first. */
export function findAnchored(
  pattern: JsonObject,
  key: string,
): { readonly text: string; readonly value: Json } | undefined {
  if (Object.hasOwn(pattern, key)) return { text: key, value: pattern[key] ?? null };
  const text = Object.keys(pattern).find((candidate) => parseAnchor(candidate)?.key === key);
  return text === undefined ? undefined : { text, value: pattern[text] ?? null };
}
