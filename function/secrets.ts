// SPDX-License-Identifier: Apache-2.0
import { field, isObject, textAt, type JsonObject } from "#policy/json";

/** Takes what Secrets hold out of a text. */
export type Mask = (text: string) => string;

/** Shorter values are words that stand in any message; who keeps such a secret has none. */
const lengthMin = 4;
const shown = "(not shown)";

/**
 * A mask for everything that the Secrets among these objects hold, as it is, in base64, in JSON and on one line. A policy may
 * look at any composed resource and compute any message; conditions, events and reports are read by many. The objects are
 * asked for when there is the first text to mask.
 */
export function makeMask(objects: () => readonly JsonObject[]): Mask {
  let values: readonly string[] | undefined;
  return (text) => {
    values ??= secretValues(objects());
    return values.reduce((masked, value) => masked.replaceAll(value, shown), text);
  };
}

function secretValues(objects: readonly JsonObject[]): readonly string[] {
  const texts = objects
    .filter(isSecret)
    .flatMap((object) => [
      ...textsIn(object, "data").flatMap((value) => [value, decoded(value)]),
      ...textsIn(object, "stringData").flatMap((value) => [value, encoded(value)]),
    ]);
  const spellings = texts.flatMap((text) => [
    text,
    text.trim(),
    JSON.stringify(text).slice(1, -1),
    text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim(),
  ]);
  const distinct = new Set(spellings.filter((text) => text.length >= lengthMin));
  // The longest first, so that no part of a value stays when a shorter one is a part of it.
  return [...distinct].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
}

export const isSecret = (object: JsonObject): boolean =>
  textAt(object, ["kind"]) === "Secret" && textAt(object, ["apiVersion"]) === "v1";

function textsIn(object: JsonObject, key: string): readonly string[] {
  const map = field(object, key);
  return Object.values(isObject(map) ? map : {}).filter((value) => typeof value === "string");
}

const decoded = (text: string): string => Buffer.from(text, "base64").toString("utf8");
const encoded = (text: string): string => Buffer.from(text, "utf8").toString("base64");
