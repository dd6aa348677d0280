// SPDX-License-Identifier: Apache-2.0
import { compileWildcard } from "#policy/kubernetes/wildcard";
import type { GroupVersionKind } from "#policy/review";

/** One entry of a `kinds` list: each part a wildcard pattern, '' only for a subresource that is not stated. */
export type KindSelector = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly subResource: string;
};

const version = /^(v\d+((alpha|beta)\d+)?|\*)$/;
const nothing: KindSelector = { group: "", version: "", kind: "", subResource: "" };

/**
 * Reads `Kind`, `v1/Kind`, `group/version/Kind`, each with `/subresource` or `.subresource`, `*` and `*` + `/*`
 * (Kyverno, pkg/utils/kube/kind.go). A kind alone means any group.
 */
export function parseKindSelector(text: string): KindSelector {
  const slashed = text.split("/");
  const parts = [...slashed.slice(0, -1), ...(slashed.at(-1) ?? "").split(".")];
  const [a = "", b = "", c = "", d = ""] = parts;
  const any = { group: "*", version: "*" };
  if (parts.length === 1) return { ...any, kind: a, subResource: "" };
  if (parts.length === 2) {
    if (a === "*" && b === "*") return { ...any, kind: "*", subResource: "*" };
    if (a === "*" && b.toLowerCase() === b) return { ...any, kind: a, subResource: b };
    if (version.test(a)) return { group: "*", version: a, kind: b, subResource: "" };
    return { ...any, kind: a, subResource: b };
  }
  if (parts.length === 3) {
    if (version.test(a)) return { group: "*", version: a, kind: b, subResource: c };
    return { group: a, version: b, kind: c, subResource: "" };
  }
  return parts.length === 4 ? { group: a, version: b, kind: c, subResource: d } : nothing;
}

/** Whether a `kinds` list names a kind, whatever its group, version and subresource. */
export const containsKind = (kinds: readonly string[], kind: string): boolean =>
  kinds.some((text) => parseKindSelector(text).kind === kind);

/** Plans a `kinds` list. A Pod matches for its ephemeral containers too, as it always did. */
export function compileKinds(
  kinds: readonly string[],
): (kind: GroupVersionKind, subResource: string) => boolean {
  const selectors = kinds.map((text) => {
    const selector = parseKindSelector(text);
    return {
      group: compileWildcard(selector.group),
      version: compileWildcard(selector.version),
      kind: compileWildcard(selector.kind),
      subResource: selector.subResource === "" ? undefined : compileWildcard(selector.subResource),
    };
  });
  return (kind, subResource) =>
    selectors.some(
      (selector) =>
        selector.kind(kind.kind) &&
        selector.group(kind.group) &&
        selector.version(kind.version) &&
        (selector.subResource === undefined ||
          selector.subResource(subResource) ||
          (subResource === "ephemeralcontainers" && isPod(kind))),
    );
}

const isPod = (kind: GroupVersionKind): boolean =>
  kind.group === "" && kind.version === "v1" && kind.kind === "Pod";
