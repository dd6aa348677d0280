// SPDX-License-Identifier: Apache-2.0
import type { Verdict } from "../verdict.ts";

/** The line of a file where a resource starts, 1 where it cannot be told. */
export type LineOf = (verdict: Verdict) => number;

/** Finds the lines on which the resources of files start, reading each file once and only when asked. */
export function makeLineOf(read: (file: string) => string | undefined): LineOf {
  const known = new Map<string, ReadonlyMap<string, readonly Start[]>>();
  return ({ file, resource }) => {
    const starts = known.get(file) ?? findStarts(read(file) ?? "");
    known.set(file, starts);
    const named = starts.get(`${resource.kind}\n${resource.name}`) ?? [];
    const exact = named.find(({ namespace }) => namespace === resource.namespace);
    return (exact ?? named.find(({ namespace }) => namespace === "") ?? named[0])?.line ?? 1;
  };
}

type Start = {
  readonly line: number;
  kind: string;
  name: string;
  namespace: string;
  /** Keys seen so far: one that comes again belongs to the next object. */
  readonly seen: Set<string>;
};

/** A key at its place: dashes before it count as its indentation, so that items of a list line up with their keys. */
const keyLine = /^((?: |- )*)("?)(apiVersion|kind|metadata|name|namespace)\2\s*:\s*(.*)$/;

/**
 * The objects of YAML or JSON text that is laid out in lines, by kind and name: those at the margin of a document and
 * those inside a list. Reading the layout is enough to point at a line, and much faster than parsing again.
 */
function findStarts(text: string): ReadonlyMap<string, readonly Start[]> {
  const open = new Map<number, Start>();
  const found = new Map<string, Start[]>();
  let metadataAt = -1;
  const close = (above: number): void => {
    for (const [column, start] of open) {
      if (column <= above) continue;
      open.delete(column);
      if (start.kind === "" || start.name === "") continue;
      const key = `${start.kind}\n${start.name}`;
      found.set(key, [...(found.get(key) ?? []), start]);
    }
  };
  for (const [index, line] of text.split("\n").entries()) {
    const indent = line.search(/[^ ]/);
    if (indent < 0 || line[indent] === "#") continue;
    if (/^---(\s|$)/.test(line)) {
      close(-1);
      metadataAt = -1;
      continue;
    }
    // The brackets of JSON stand left of the keys that they hold.
    if (!/^[\s{}[\],]*$/.test(line)) close(indent);
    const [, lead, , key, value = ""] = keyLine.exec(line) ?? [];
    if (lead === undefined || key === undefined) continue;
    const column = lead.length;
    if (column <= metadataAt) metadataAt = -1;
    if (key === "name" || key === "namespace") {
      const owner = metadataAt < 0 ? undefined : open.get(metadataAt);
      if (owner !== undefined && owner[key] === "") owner[key] = scalar(value);
      continue;
    }
    if (open.get(column)?.seen.has(key) === true) close(column - 1);
    const start = open.get(column) ?? startAt(index + 1);
    open.set(column, start);
    start.seen.add(key);
    if (key === "kind") start.kind = scalar(value);
    if (key !== "metadata") continue;
    metadataAt = column;
    for (const part of ["name", "namespace"] as const) start[part] = inFlow(value, part);
  }
  close(-1);
  return found;
}

const startAt = (line: number): Start => ({
  line,
  kind: "",
  name: "",
  namespace: "",
  seen: new Set(),
});

const scalar = (text: string): string => /^["']?([^"',#\s}]*)/.exec(text)?.[1] ?? "";

/** A field of `{name: web, labels: {...}}`. */
const inFlow = (text: string, key: string): string =>
  scalar(new RegExp(`[{,]\\s*"?${key}"?\\s*:\\s*(.*)`).exec(text)?.[1] ?? "");
