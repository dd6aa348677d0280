// SPDX-License-Identifier: Apache-2.0
import { field, isArray, isObject, textAt } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { GroupVersionKind, Operation, UserInfo } from "#policy/review";
import type { ContextValues } from "#policy/world";

/** What a Values file of Kyverno's command line says, by who asks. */
export type Values = {
  /** The operation that `request.operation` among the global values names. */
  readonly operation: Operation | undefined;
  /** Values for the variables of one policy on one resource, by dotted name; global ones first. */
  readonly forResource: (policy: string, resource: string) => JsonObject;
  /** Values that stand in for the context entries of one rule. */
  readonly forRule: (policy: string, rule: string) => ContextValues | undefined;
  readonly namespace: (name: string) => JsonObject | undefined;
  readonly subresources: readonly Subresource[];
};

/** A kind that the API server serves below another, e.g. PodExecOptions under pods/exec. */
export type Subresource = {
  readonly kind: GroupVersionKind;
  readonly parent: GroupVersionKind;
  /** `exec`. */
  readonly name: string;
};

export const noValues: Values = {
  operation: undefined,
  forResource: () => ({}),
  forRule: () => undefined,
  namespace: () => undefined,
  subresources: [],
};

const list = (value: Json | undefined): readonly Json[] => (isArray(value) ? value : []);
const object = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

/** Reads the content of a Values file or the `values` of a test, with or without `spec` around it. */
export function parseValues(document: Json): Values {
  const inner = field(document, "spec");
  const spec = isObject(inner) ? inner : document;
  const global = object(field(spec, "globalValues"));
  const policies = list(field(spec, "policies"));
  const namespaces = parseNamespaces(spec);
  return {
    operation: parseOperation(field(global, "request.operation")),
    forResource: (policy, resource) => ({
      ...global,
      ...mergedValues(policies, policy, "resources", resource),
    }),
    forRule: (policy, rule) => {
      const entry = named(policies, policy)
        .flatMap((one) => named(list(field(one, "rules")), rule))
        .at(-1);
      if (entry === undefined) return undefined;
      return { values: object(field(entry, "values")), foreachValues: foreachValues(entry) };
    },
    namespace: (name) => namespaces.get(name),
    subresources: list(field(spec, "subresources")).map(parseSubresource),
  };
}

const named = (entries: readonly Json[], name: string): readonly Json[] =>
  entries.filter((entry) => textAt(entry, ["name"]) === name);

function mergedValues(
  policies: readonly Json[],
  policy: string,
  below: string,
  name: string,
): JsonObject {
  const entries = named(policies, policy).flatMap((one) => named(list(field(one, below)), name));
  return entries.reduce<JsonObject>(
    (merged, entry) => ({ ...merged, ...object(field(entry, "values")) }),
    {},
  );
}

function foreachValues(entry: Json): Readonly<Record<string, readonly Json[]>> {
  const values = object(field(entry, "foreachValues"));
  return Object.fromEntries(Object.keys(values).map((key) => [key, list(values[key])]));
}

export function parseOperation(value: Json | undefined): Operation | undefined {
  return value === "CREATE" || value === "UPDATE" || value === "DELETE" || value === "CONNECT"
    ? value
    : undefined;
}

/** `namespaces` are Namespace objects, `namespaceSelector` names and labels; the former win. */
function parseNamespaces(spec: Json): ReadonlyMap<string, JsonObject> {
  const namespaces = new Map<string, JsonObject>();
  for (const entry of list(field(spec, "namespaceSelector"))) {
    const name = textAt(entry, ["name"]);
    namespaces.set(name, namespaceObject(name, object(field(entry, "labels"))));
  }
  for (const entry of list(field(spec, "namespaces"))) {
    const name = textAt(entry, ["metadata", "name"]);
    namespaces.set(name, { apiVersion: "v1", kind: "Namespace", ...object(entry) });
  }
  return namespaces;
}

export function namespaceObject(name: string, labels: JsonObject): JsonObject {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

function parseSubresource(entry: Json): Subresource {
  const kindAt = (key: string): GroupVersionKind => ({
    group: textAt(entry, [key, "group"]),
    version: textAt(entry, [key, "version"]),
    kind: textAt(entry, [key, "kind"]),
  });
  const path = textAt(entry, ["subresource", "name"]);
  return {
    kind: kindAt("subresource"),
    parent: kindAt("parentResource"),
    name: path.slice(path.indexOf("/") + 1),
  };
}

/** Reads a UserInfo file: the admission user with the roles that Kyverno's match blocks ask about. */
export function parseUserInfo(document: Json): UserInfo {
  const user = field(document, "userInfo");
  const texts = (value: Json | undefined): readonly string[] =>
    list(value).filter((item) => typeof item === "string");
  const extra = object(field(user, "extra"));
  return {
    username: textAt(user, ["username"]),
    uid: textAt(user, ["uid"]),
    groups: texts(field(user, "groups")),
    extra: Object.fromEntries(Object.keys(extra).map((key) => [key, texts(extra[key])])),
    roles: texts(field(document, "roles")),
    clusterRoles: texts(field(document, "clusterRoles")),
  };
}

const requestObject = "request.object.";

/**
 * The object with the values whose names start with `request.object.` set in it, as Kyverno's command line does before
 * it evaluates: `request.object.metadata.annotations."a.b/c"` sets that annotation.
 */
export function withValues(resource: JsonObject, values: JsonObject): JsonObject {
  return Object.keys(values)
    .filter((name) => name.startsWith(requestObject))
    .reduce(
      (changed, name) =>
        setAt(changed, splitPath(name.slice(requestObject.length)), field(values, name) ?? null),
      resource,
    );
}

function splitPath(path: string): readonly string[] {
  return (path.match(/"[^"]*"|[^."]+/g) ?? []).map((part) => part.replaceAll('"', ""));
}

function setAt(target: JsonObject, path: readonly string[], value: Json): JsonObject {
  const [key = "", ...rest] = path;
  if (key === "__proto__") return target;
  const below = rest.length === 0 ? value : setAt(object(field(target, key)), rest, value);
  return { ...target, [key]: below };
}
