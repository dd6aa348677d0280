// SPDX-License-Identifier: Apache-2.0
import { compileQuery } from "#policy/jmespath/compile";
import { QueryFailure } from "#policy/jmespath/query";
import type { Scope } from "#policy/kyverno/classic/scope";

const target = compileQuery("target");

/**
 * The expression that `{{@}}` stands for at a path of a rule: the same place in the resource, which is the path
 * without its first two elements (`/mutate/patchStrategicMerge`) and without what leads to a foreach.
 */
export function currentPath(path: string, scope: Scope): string {
  const parts = splitPath(path);
  const inside = parts.slice(parts.indexOf("foreach") + 1);
  const place = inside.length > 2 ? inside.slice(2) : [];
  const root = scope.query(target) instanceof QueryFailure ? ["request", "object"] : ["target"];
  return [...root, ...place].reduce(appendPart, "");
}

/** Splits at slashes that are not escaped. */
function splitPath(path: string): readonly string[] {
  const parts: string[] = [];
  let part = "";
  for (let index = 0; index < path.length; index += 1) {
    const character = path.charAt(index);
    if (character === "\\") {
      index += 1;
      part += path.charAt(index);
    } else if (character !== "/") {
      part += character;
    } else if (part !== "") {
      parts.push(part);
      part = "";
    }
  }
  return part === "" ? parts : [...parts, part];
}

function appendPart(expression: string, part: string): string {
  if (/^[0-9]+$/.test(part)) return `${expression}[${part}]`;
  const dot = expression === "" ? "" : ".";
  // Anchors count as letters: the reference lets `(name)` stand unquoted.
  const plain = /^[(A-Za-z_][)0-9A-Za-z_]*$/.test(part);
  return `${expression}${dot}${plain ? part : JSON.stringify(part)}`;
}
