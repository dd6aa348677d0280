// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import type { Problem } from "#policy/problem";

/** Most items of any list; the whole input must fit into a Composition object anyway. */
const itemsMax = 1000;

export type Reader = ReturnType<typeof makeReader>;

/** Reads values of a document and notes what is not as it must be; wrong values become empty ones. */
export function makeReader(problems: Problem[]) {
  const say = (path: string, message: string) =>
    problems.push({ document: "input", path, message });
  const object = (value: Json | undefined, path: string): JsonObject => {
    if (isObject(value)) return value;
    if (value !== undefined && value !== null)
      say(path, `must be an object, got ${describe(value)}`);
    return {};
  };
  const list = (value: Json | undefined, path: string): readonly Json[] => {
    if (value === undefined || value === null) return [];
    if (!isArray(value)) {
      say(path, `must be a list, got ${describe(value)}`);
      return [];
    }
    if (value.length > itemsMax)
      say(path, `has ${value.length} items; at most ${itemsMax} are allowed`);
    return value.slice(0, itemsMax);
  };
  const text = (value: Json | undefined, path: string): string => {
    if (typeof value === "string" && value !== "") return value;
    say(path, `must be a non-empty string, got ${describe(value)}`);
    return "";
  };
  const oneOf = (value: Json | undefined, path: string, allowed: readonly string[]): void => {
    if (typeof value === "string" && allowed.includes(value)) return;
    say(
      path,
      `must be ${allowed.length === 1 ? "" : "one of "}${allowed.join(", ")}; got ${describe(value)}`,
    );
  };
  return {
    say,
    object,
    list,
    text,
    oneOf,
    texts: (value: Json | undefined, path: string): readonly string[] =>
      list(value, path).map((item, index) => text(item, `${path}[${index}]`)),
    choice: <T extends string>(
      value: Json | undefined,
      path: string,
      allowed: readonly T[],
    ): T | undefined => {
      if (value === undefined) return undefined;
      oneOf(value, path, allowed);
      return allowed.find((each) => each === value);
    },
    boolean: (value: Json | undefined, path: string): boolean => {
      if (value !== undefined && typeof value !== "boolean")
        say(path, `must be true or false, got ${describe(value)}`);
      return value === true;
    },
    known: (value: JsonObject, path: string, allowed: readonly string[]): void => {
      for (const key of Object.keys(value)) {
        if (allowed.includes(key)) continue;
        say(
          path === "" ? key : `${path}.${key}`,
          `is not a field here; allowed are ${allowed.join(", ")}`,
        );
      }
    },
  };
}

/** A short text is quoted, as it is what the author must find; all else is named by its type only. */
function describe(value: Json | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string")
    return value.length <= 80 ? JSON.stringify(value) : "a long string";
  if (isArray(value)) return "a list";
  return isObject(value) ? "an object" : `the ${typeof value} ${String(value)}`;
}
