// SPDX-License-Identifier: Apache-2.0
import { field, isObject, textAt, type Json, type JsonObject } from "#policy/json";
import type { Problem } from "#policy/problem";
import { parseText, type YamlLimits } from "#policy/yaml";
import { scopeOf, type Guardrails, type SourceKind } from "./input.ts";
import type { Selector } from "./wire/response.ts";

/** A requirement by which policies are fetched, and the namespaces and kind that its answer may have. */
export type PolicySource = SourceKind & {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly selector: Selector;
};

/** What must be fetched before a verdict is possible: one requirement per kind and namespace, in a fixed order. */
export function policySources(guardrails: Guardrails): readonly PolicySource[] {
  const { fromCluster, exceptionNamespaces } = guardrails;
  if (fromCluster === undefined) return [];
  return fromCluster.kinds.flatMap((each): readonly PolicySource[] => {
    const match = { labels: fromCluster.matchLabels };
    const name = `policies/${each.apiVersion}/${each.kind}`;
    const scope = scopeOf(each);
    if (scope === "cluster") {
      return [
        { ...each, name, namespace: undefined, selector: { ...each, match, namespace: undefined } },
      ];
    }
    const namespaces = scope === "exception" ? exceptionNamespaces : fromCluster.namespaces;
    return namespaces.map((namespace) => ({
      ...each,
      name: `${name}/${namespace}`,
      namespace,
      selector: { ...each, match, namespace },
    }));
  });
}

export type FetchedPolicies = {
  readonly documents: readonly Json[];
  readonly problems: readonly Problem[];
};

/**
 * The policy documents in what was fetched. Objects that were not asked for (a Crossplane that knows no namespaces in
 * selectors answers with more) are left out. Exceptions count only from `exceptionNamespaces`, also inside a ConfigMap.
 */
export function readPolicies(
  guardrails: Guardrails,
  fetched: readonly { readonly source: PolicySource; readonly objects: readonly JsonObject[] }[],
): FetchedPolicies {
  const documents: Json[] = [];
  const problems: Problem[] = [];
  const labels = guardrails.fromCluster?.matchLabels ?? {};
  for (const { source, objects } of fetched) {
    for (const object of sortByName(objects.filter((each) => wasAskedFor(each, source, labels)))) {
      if (source.kind !== "ConfigMap") {
        documents.push(object);
        continue;
      }
      const read = readConfigMap(object);
      problems.push(...read.problems);
      const trusted = guardrails.exceptionNamespaces.includes(source.namespace ?? "");
      documents.push(...read.documents.filter((each) => trusted || !isException(each)));
    }
  }
  return { documents, problems };
}

const isException = (document: Json): boolean => textAt(document, ["kind"]) === "PolicyException";

function wasAskedFor(
  object: JsonObject,
  source: PolicySource,
  labels: Readonly<Record<string, string>>,
): boolean {
  const own = field(field(object, "metadata"), "labels");
  return (
    textAt(object, ["apiVersion"]) === source.apiVersion &&
    textAt(object, ["kind"]) === source.kind &&
    textAt(object, ["metadata", "namespace"]) === (source.namespace ?? "") &&
    Object.entries(labels).every(([key, value]) => field(own, key) === value)
  );
}

const sortByName = (objects: readonly JsonObject[]): readonly JsonObject[] =>
  objects.toSorted((a, b) =>
    compareText(textAt(a, ["metadata", "name"]), textAt(b, ["metadata", "name"])),
  );

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Every value of a ConfigMap's data is a stream of YAML documents. */
function readConfigMap(object: JsonObject): FetchedPolicies {
  const name = `ConfigMap/${textAt(object, ["metadata", "namespace"])}/${textAt(object, ["metadata", "name"])}`;
  const data = field(object, "data");
  const documents: Json[] = [];
  const problems: Problem[] = [];
  for (const key of Object.keys(isObject(data) ? data : {}).sort()) {
    const path = `data[${JSON.stringify(key)}]`;
    const text = field(data, key);
    const read = typeof text === "string" ? readDocuments(text) : "is no text";
    if (typeof read === "string") problems.push({ document: name, path, message: read });
    else documents.push(...read);
  }
  return { documents, problems };
}

/** A ConfigMap holds 1 MiB, but aliases in it can stand for billions of values, which each compilation would walk. */
const textLimits: YamlLimits = { nesting: 200, values: 500_000 };

/** The documents, or what is wrong with the text. */
function readDocuments(text: string): readonly JsonObject[] | string {
  const read = parseText(text, textLimits);
  if (!read.ok) return `is not YAML: ${read.message}`;
  // A limit of a policy that is not the one its author wrote is no policy to judge by.
  const [inexact] = read.warnings;
  if (inexact !== undefined) return inexact;
  const wrong = read.documents.findIndex((document) => !isObject(document));
  return wrong < 0 ? read.documents.filter(isObject) : `document ${wrong} is not an object`;
}
