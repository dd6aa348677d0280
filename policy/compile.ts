// SPDX-License-Identifier: Apache-2.0
import { compileMutatingAdmissionPolicy } from "#policy/admission/mutating-policy";
import { compileValidatingAdmissionPolicy } from "#policy/admission/validating-policy";
import { celKindFields } from "#policy/cel-kind-fields";
import type { CompileContext, CompileOptions } from "#policy/compile-context";
import { documentName, parseDocument } from "#policy/document";
import { fieldProblems } from "#policy/document-fields";
import { isArray, isObject, textAt } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { compileCleanupPolicy } from "#policy/kyverno/classic/cleanup-policy";
import { compileClassicPolicy } from "#policy/kyverno/classic/compile";
import { classicKindFields } from "#policy/kyverno/classic/rule-fields";
import { compileDeletingPolicy } from "#policy/kyverno/cel/deleting-policy";
import { compileGeneratingPolicy } from "#policy/kyverno/cel/generating-policy";
import { compileMutatingPolicy } from "#policy/kyverno/cel/mutating-policy";
import { compileUnsupportedPolicy } from "#policy/kyverno/cel/unsupported-policy";
import { compileValidatingPolicy } from "#policy/kyverno/cel/validating-policy";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";
import { indexPolicies } from "#policy/policy-index";
import type { Compilation } from "#policy/policy-set";
import type { Problem } from "#policy/problem";

/** Most documents in one compilation; a cluster with a tenth of it has stopped being operable. */
export const documentsMax = 20_000;

type Role =
  | {
      readonly is: "policy";
      readonly compile: (document: JsonObject, context: CompileContext) => KindCompilation;
    }
  | { readonly is: "exception" | "classic exception" | "binding" };

type KindEntry = { readonly versions: readonly string[]; readonly role: Role };

const policy = (
  versions: readonly string[],
  compileKind: (document: JsonObject, context: CompileContext) => KindCompilation,
): KindEntry => ({ versions, role: { is: "policy", compile: compileKind } });

const celVersions = ["v1alpha1", "v1beta1", "v1"];
const classicVersions = ["v1", "v2beta1"];
const cleanupVersions = ["v2", "v2beta1", "v2alpha1"];
const classicKind = (document: JsonObject, context: CompileContext): KindCompilation =>
  compileClassicPolicy(document, context.classicExceptions);
const unsupportedImages = (document: JsonObject): KindCompilation =>
  compileUnsupportedPolicy(
    document,
    "KyvernoImageValidatingPolicy",
    "image signatures need a registry, which the engine never calls",
  );

/** Every kind that {@link compile} takes, by group and kind. */
const kinds: ReadonlyMap<string, KindEntry> = new Map<string, KindEntry>([
  ["policies.kyverno.io/ValidatingPolicy", policy(celVersions, compileValidatingPolicy)],
  ["policies.kyverno.io/NamespacedValidatingPolicy", policy(celVersions, compileValidatingPolicy)],
  ["policies.kyverno.io/MutatingPolicy", policy(celVersions, compileMutatingPolicy)],
  ["policies.kyverno.io/NamespacedMutatingPolicy", policy(celVersions, compileMutatingPolicy)],
  ["policies.kyverno.io/GeneratingPolicy", policy(celVersions, compileGeneratingPolicy)],
  ["policies.kyverno.io/NamespacedGeneratingPolicy", policy(celVersions, compileGeneratingPolicy)],
  ["policies.kyverno.io/ImageValidatingPolicy", policy(celVersions, unsupportedImages)],
  ["policies.kyverno.io/NamespacedImageValidatingPolicy", policy(celVersions, unsupportedImages)],
  ["policies.kyverno.io/DeletingPolicy", policy(celVersions, compileDeletingPolicy)],
  ["policies.kyverno.io/NamespacedDeletingPolicy", policy(celVersions, compileDeletingPolicy)],
  ["policies.kyverno.io/PolicyException", { versions: celVersions, role: { is: "exception" } }],
  [
    "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
    policy(celVersions, compileValidatingAdmissionPolicy),
  ],
  [
    "admissionregistration.k8s.io/MutatingAdmissionPolicy",
    policy(celVersions, compileMutatingAdmissionPolicy),
  ],
  [
    "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
    { versions: celVersions, role: { is: "binding" } },
  ],
  [
    "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding",
    { versions: celVersions, role: { is: "binding" } },
  ],
  ["kyverno.io/ClusterPolicy", policy(classicVersions, classicKind)],
  ["kyverno.io/Policy", policy(classicVersions, classicKind)],
  [
    "kyverno.io/PolicyException",
    { versions: ["v2", "v2beta1", "v2alpha1"], role: { is: "classic exception" } },
  ],
  ["kyverno.io/CleanupPolicy", policy(cleanupVersions, compileCleanupPolicy)],
  ["kyverno.io/ClusterCleanupPolicy", policy(cleanupVersions, compileCleanupPolicy)],
]);

type Sorted = { readonly document: JsonObject; readonly entry: KindEntry };

/**
 * Compiles policy documents of every supported kind, with their exceptions and bindings, in any order; `List` kinds are
 * unpacked. A document with problems is left out and named; the others stand. Policies run in the order of their
 * documents. Throws nothing, whatever the documents are.
 */
export function compile(documents: readonly unknown[], options: CompileOptions = {}): Compilation {
  const problems: Problem[] = [];
  const sorted = sortDocuments(documents, problems);
  const context = makeContext(sorted, options);
  const outcomes = sorted.flatMap(({ document, entry }) =>
    entry.role.is === "policy" ? [entry.role.compile(document, context)] : [],
  );
  return {
    set: indexPolicies(outcomes.flatMap((outcome) => outcome.policies)),
    problems: [...problems, ...outcomes.flatMap((outcome) => outcome.problems)],
    unsupported: outcomes.flatMap((outcome) => outcome.unsupported),
  };
}

function sortDocuments(documents: readonly unknown[], problems: Problem[]): readonly Sorted[] {
  const sorted: Sorted[] = [];
  for (const [index, value] of unpackLists(documents).entries()) {
    if (index >= documentsMax) {
      const message = `at most ${documentsMax} documents are compiled at once, the rest is left out`;
      problems.push({ document: "", path: "", message });
      break;
    }
    const parsed = parseDocument(value);
    if (!parsed.ok) {
      const name = isObject(value) ? documentName(value) : "";
      const document = name === "" ? `document ${index}` : name;
      problems.push({ document, path: parsed.path, message: parsed.message });
      continue;
    }
    const entry = entryOf(parsed.document, problems);
    if (entry === undefined || hasUnknownFields(parsed.document, problems)) continue;
    sorted.push({ document: parsed.document, entry });
  }
  return sorted;
}

/** `kubectl get -o yaml` and many repositories wrap documents in a List. */
function unpackLists(documents: readonly unknown[]): readonly unknown[] {
  return documents.flatMap((document): readonly unknown[] => {
    if (!isObject(document) || !textAt(document, ["kind"]).endsWith("List")) return [document];
    const items = document["items"];
    return isArray(items) ? items : [document];
  });
}

function entryOf(document: JsonObject, problems: Problem[]): KindEntry | undefined {
  const apiVersion = textAt(document, ["apiVersion"]);
  const kind = textAt(document, ["kind"]);
  const [group, version] = apiVersion.includes("/") ? apiVersion.split("/", 2) : ["", apiVersion];
  const entry = kinds.get(`${group}/${kind}`);
  const name = documentName(document);
  if (entry === undefined) {
    const allowed = [...kinds.keys()].sort().join(", ");
    problems.push({
      document: name,
      path: "kind",
      message: `${apiVersion} ${kind} is no policy kind that is known here; allowed are ${allowed}`,
    });
    return undefined;
  }
  if (!entry.versions.includes(version ?? "")) {
    problems.push({
      document: name,
      path: "apiVersion",
      message: `${kind} has no version ${apiVersion}; allowed are ${entry.versions.map((v) => `${group}/${v}`).join(", ")}`,
    });
    return undefined;
  }
  if (textAt(document, ["metadata", "name"]) === "") {
    problems.push({ document: name, path: "metadata.name", message: "must be a non-empty string" });
    return undefined;
  }
  return entry;
}

function hasUnknownFields(document: JsonObject, problems: Problem[]): boolean {
  const [group] = textAt(document, ["apiVersion"]).split("/", 1);
  const key = `${group}/${textAt(document, ["kind"])}`;
  const fields = celKindFields.get(key) ?? classicKindFields.get(key);
  const found = fields === undefined ? [] : fieldProblems(document, fields);
  problems.push(...found.map((problem) => ({ document: documentName(document), ...problem })));
  return found.length > 0;
}

function makeContext(sorted: readonly Sorted[], options: CompileOptions): CompileContext {
  const of = (is: Role["is"]): readonly JsonObject[] =>
    sorted.filter(({ entry }) => entry.role.is === is).map(({ document }) => document);
  const bindings = new Map<string, JsonObject[]>();
  for (const binding of of("binding")) {
    const key = `${textAt(binding, ["kind"])}/${textAt(binding, ["spec", "policyName"])}`;
    bindings.set(key, [...(bindings.get(key) ?? []), binding]);
  }
  return {
    exceptions: of("exception"),
    classicExceptions: of("classic exception"),
    bindings,
    options,
  };
}
