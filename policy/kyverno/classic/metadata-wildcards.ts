// SPDX-License-Identifier: Apache-2.0
import { field, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { containsWildcard, matchesWildcard } from "#policy/kubernetes/wildcard";
import { anchorText, findAnchored, parseAnchor } from "#policy/kyverno/classic/anchors";

/** The maps below `metadata` whose pattern keys may hold wildcards (Kyverno, pkg/engine/wildcards). */
const tags = ["labels", "annotations"];

/** Whether a pattern map has wildcards in the keys of metadata.labels or metadata.annotations. */
export function expandsMetadata(pattern: JsonObject): boolean {
  const metadata = findAnchored(pattern, "metadata")?.value;
  if (!isObject(metadata)) return false;
  return tags.some((tag) => {
    const entries = findAnchored(metadata, tag)?.value;
    return isObject(entries) && Object.keys(entries).some(containsWildcard);
  });
}

/** Most expansions of one pattern that keep their plan; each is decided by the keys that the resource has. */
const plansMax = 256;

/** Runs a pattern map whose wildcard keys are replaced by the first key of the resource that matches, per resource. */
export function makeExpansion<Rest extends readonly unknown[], Result>(
  pattern: JsonObject,
  compile: (expanded: JsonObject) => (object: JsonObject, ...rest: Rest) => Result,
): (object: JsonObject, ...rest: Rest) => Result {
  const plans = new Map<string, (object: JsonObject, ...rest: Rest) => Result>();
  return (object, ...rest) => {
    const expanded = expandMetadata(pattern, object);
    const key = JSON.stringify(expanded.keys);
    const known = plans.get(key);
    if (known !== undefined) return known(object, ...rest);
    const plan = compile(expanded.pattern);
    if (plans.size < plansMax) plans.set(key, plan);
    return plan(object, ...rest);
  };
}

type Expanded = { readonly pattern: JsonObject; readonly keys: readonly string[] };

function expandMetadata(pattern: JsonObject, resource: JsonObject): Expanded {
  const found = findAnchored(pattern, "metadata");
  if (found === undefined || !isObject(found.value)) return { pattern, keys: [] };
  const keys: string[] = [];
  let metadata: JsonObject = found.value;
  for (const tag of tags) {
    const entries = findAnchored(metadata, tag);
    const present = field(field(resource, "metadata"), tag);
    if (entries === undefined || !isObject(entries.value) || !isObject(present)) continue;
    const expanded = expandKeys(entries.value, Object.keys(present).sort());
    keys.push(entries.text, ...Object.keys(expanded));
    metadata = { ...metadata, [entries.text]: expanded };
  }
  return { pattern: { ...pattern, [found.text]: metadata }, keys };
}

function expandKeys(entries: JsonObject, present: readonly string[]): JsonObject {
  return Object.fromEntries(
    Object.keys(entries).map((text): [string, Json] => [
      expandKey(text, present),
      entries[text] ?? null,
    ]),
  );
}

function expandKey(text: string, present: readonly string[]): string {
  if (!containsWildcard(text)) return text;
  const anchor = parseAnchor(text);
  const wanted = anchor?.key ?? text;
  const key = present.find((candidate) => matchesWildcard(wanted, candidate)) ?? wanted;
  return anchor === undefined ? key : anchorText({ kind: anchor.kind, key });
}
