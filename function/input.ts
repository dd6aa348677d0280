// SPDX-License-Identifier: Apache-2.0
import { isArray, isObject, type Json, type JsonObject } from "#policy/json";
import type { Problem } from "#policy/problem";

export const inputApiVersion = "parapet.fn.crossplane.io/v1beta1";
export const inputKind = "Guardrails";

/** What happens to a change that an Enforce policy does not allow. */
export const onViolations = ["Hold", "Fatal", "Report"] as const;
export type OnViolation = (typeof onViolations)[number];

/** What the guard states in every managed resource, so that nobody else can own it. */
export const pins = [
  "managementPolicies",
  "paused",
  "deletionPolicy",
  "providerConfigRef",
] as const;
export type Pin = (typeof pins)[number];

export type SourceKind = { readonly apiVersion: string; readonly kind: string };

export type FromCluster = {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly kinds: readonly SourceKind[];
  readonly namespaces: readonly string[];
};

export type Guardrails = {
  /** Policy documents as they were written; the compiler judges them. */
  readonly inline: readonly Json[];
  readonly fromCluster: FromCluster | undefined;
  readonly exceptionNamespaces: readonly string[];
  readonly onViolation: OnViolation;
  readonly pin: readonly Pin[];
  /** Also write `status.parapet` of the composite; worth it only where the XRD declares the field. */
  readonly writeStatus: boolean;
};

export type ParsedInput =
  | { readonly ok: true; readonly guardrails: Guardrails }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Most inline documents, kinds or namespaces; the whole input must fit into a Composition object anyway. */
const itemsMax = 1000;

/** Kinds that may be fetched, with those that live in namespaces; what is not listed would fail the whole pipeline. */
export const sourceKinds: Readonly<Record<string, "cluster" | "namespaced" | "exception">> = {
  "v1 ConfigMap": "namespaced",
  "kyverno.io/v1 ClusterPolicy": "cluster",
  "kyverno.io/v1 Policy": "namespaced",
  "kyverno.io/v2 PolicyException": "exception",
  "policies.kyverno.io/v1 ValidatingPolicy": "cluster",
  "policies.kyverno.io/v1 MutatingPolicy": "cluster",
  "policies.kyverno.io/v1 GeneratingPolicy": "cluster",
  "policies.kyverno.io/v1 NamespacedValidatingPolicy": "namespaced",
  "policies.kyverno.io/v1 NamespacedMutatingPolicy": "namespaced",
  "policies.kyverno.io/v1 NamespacedGeneratingPolicy": "namespaced",
  "policies.kyverno.io/v1 PolicyException": "exception",
  "policies.kyverno.io/v1beta1 ValidatingPolicy": "cluster",
  "policies.kyverno.io/v1beta1 MutatingPolicy": "cluster",
  "policies.kyverno.io/v1beta1 GeneratingPolicy": "cluster",
  "policies.kyverno.io/v1beta1 NamespacedValidatingPolicy": "namespaced",
  "policies.kyverno.io/v1beta1 NamespacedMutatingPolicy": "namespaced",
  "policies.kyverno.io/v1beta1 NamespacedGeneratingPolicy": "namespaced",
  "policies.kyverno.io/v1beta1 PolicyException": "exception",
  "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy": "cluster",
  "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding": "cluster",
  "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy": "cluster",
  "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding": "cluster",
  "admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicy": "cluster",
  "admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicyBinding": "cluster",
};

export const scopeOf = ({ apiVersion, kind }: SourceKind) => {
  const name = `${apiVersion} ${kind}`;
  return Object.hasOwn(sourceKinds, name) ? sourceKinds[name] : undefined;
};

/** Parses the step's input; every problem is named by its path and says what is allowed. */
export function parseInput(input: Json | undefined): ParsedInput {
  const problems: Problem[] = [];
  const reader = makeReader(problems);
  const root = reader.object(input, "input");
  reader.known(root, "", [
    "apiVersion",
    "kind",
    "metadata",
    "policies",
    "onViolation",
    "pin",
    "writeStatus",
  ]);
  reader.oneOf(root["apiVersion"], "apiVersion", [inputApiVersion]);
  reader.oneOf(root["kind"], "kind", [inputKind]);
  const policies = reader.object(root["policies"], "policies");
  reader.known(policies, "policies", ["inline", "fromCluster", "exceptionNamespaces"]);
  const inline = reader.list(policies["inline"], "policies.inline");
  for (const [index, document] of inline.entries()) {
    reader.object(document, `policies.inline[${index}]`);
  }
  const fromCluster = readFromCluster(reader, policies["fromCluster"]);
  const exceptionNamespaces = reader.texts(
    policies["exceptionNamespaces"],
    "policies.exceptionNamespaces",
  );
  const guardrails: Guardrails = {
    inline,
    fromCluster,
    exceptionNamespaces,
    onViolation: reader.choice(root["onViolation"], "onViolation", onViolations) ?? "Hold",
    pin: readPins(reader, root["pin"]),
    writeStatus: reader.boolean(root["writeStatus"], "writeStatus"),
  };
  if (problems.length === 0) checkTogether(guardrails, problems);
  return problems.length === 0 ? { ok: true, guardrails } : { ok: false, problems };
}

function readFromCluster(reader: Reader, value: Json | undefined): FromCluster | undefined {
  if (value === undefined || value === null) return undefined;
  const path = "policies.fromCluster";
  const source = reader.object(value, path);
  reader.known(source, path, ["matchLabels", "kinds", "namespaces"]);
  const labels = reader.object(source["matchLabels"], `${path}.matchLabels`);
  for (const [key, label] of Object.entries(labels)) {
    reader.text(label, `${path}.matchLabels[${JSON.stringify(key)}]`);
  }
  const kinds = reader.list(source["kinds"], `${path}.kinds`).map((item, index) => {
    const at = `${path}.kinds[${index}]`;
    const each = reader.object(item, at);
    reader.known(each, at, ["apiVersion", "kind"]);
    const apiVersion = reader.text(each["apiVersion"], `${at}.apiVersion`);
    const kind = reader.text(each["kind"], `${at}.kind`);
    if (apiVersion !== "" && kind !== "") {
      reader.oneOf(`${apiVersion} ${kind}`, at, Object.keys(sourceKinds));
    }
    return { apiVersion, kind };
  });
  return {
    matchLabels: Object.fromEntries(
      Object.entries(labels).map(([key, label]) => [key, typeof label === "string" ? label : ""]),
    ),
    kinds,
    namespaces: reader.texts(source["namespaces"], `${path}.namespaces`),
  };
}

function readPins(reader: Reader, value: Json | undefined): readonly Pin[] {
  return reader
    .list(value, "pin")
    .map((item, index) => reader.choice(item, `pin[${index}]`, pins))
    .filter((pin) => pin !== undefined);
}

/** Rules between fields: a source that would find nothing, or more than its author means, is refused. */
function checkTogether(guardrails: Guardrails, problems: Problem[]): void {
  const { fromCluster, exceptionNamespaces } = guardrails;
  const say = (path: string, message: string) =>
    problems.push({ document: "input", path, message });
  if (fromCluster === undefined) {
    if (guardrails.inline.length === 0) {
      say("policies", "names no policy: give inline documents, fromCluster, or both");
    }
    return;
  }
  if (Object.keys(fromCluster.matchLabels).length === 0) {
    say(
      "policies.fromCluster.matchLabels",
      "must name at least one label, else every object of the kinds is a policy",
    );
  }
  if (fromCluster.kinds.length === 0) {
    say("policies.fromCluster.kinds", "must name at least one kind that the API server serves");
  }
  for (const [index, each] of fromCluster.kinds.entries()) {
    const path = `policies.fromCluster.kinds[${index}]`;
    const scope = scopeOf(each);
    if (scope === "namespaced" && fromCluster.namespaces.length === 0) {
      say(
        path,
        `${each.kind} lives in namespaces, so policies.fromCluster.namespaces must list those that may hold policies`,
      );
    }
    if (scope === "exception" && exceptionNamespaces.length === 0) {
      say(path, "PolicyException counts only from policies.exceptionNamespaces, which lists none");
    }
  }
}

type Reader = ReturnType<typeof makeReader>;

/** Reads values of a document and notes what is not as it must be; wrong values become empty ones. */
function makeReader(problems: Problem[]) {
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
