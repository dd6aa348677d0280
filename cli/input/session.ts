// SPDX-License-Identifier: Apache-2.0
import { compile } from "#policy/compile";
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import type { Compilation } from "#policy/policy-set";
import type { UserInfo } from "#policy/review";
import { emptyWorld } from "#policy/world";
import { schemasOfDefinitions } from "#policy/kubernetes/definition-schemas";
import type { Arguments, Option } from "../arguments.ts";
import type { Io } from "../command.ts";
import type { EvaluateOptions } from "../evaluate.ts";
import { findWrongKind, formatWithFile } from "./documents.ts";
import { findFiles, readDocuments } from "./files.ts";
import type { InputError, SourceDocument } from "./files.ts";
import { makeResourceOf } from "./known-kinds.ts";
import { findUnknownNamespaces } from "./namespaces.ts";
import { makeObjectStore } from "./object-store.ts";
import { parseResources } from "./resources.ts";
import type { Resource } from "./resources.ts";
import { findUserFields } from "./user-fields.ts";
import { namespaceObject, noValues, parseOperation, parseUserInfo, parseValues } from "./values.ts";
import type { Values } from "./values.ts";
import { makeWorld, noParts, parseContextFile } from "./world.ts";

/** The options of every command that runs policies on resources. */
export const sessionOptions: readonly Option[] = [
  {
    name: "policy",
    short: "p",
    value: "POLICY",
    many: true,
    help: "policies: files, folders or globs, - for standard input",
  },
  {
    name: "resource",
    short: "r",
    value: "RESOURCE",
    many: true,
    help: "resources: files, folders or globs, - for standard input",
  },
  {
    name: "exception",
    short: "e",
    value: "FILE",
    many: true,
    help: "PolicyExceptions to consider",
  },
  {
    name: "values",
    short: "f",
    value: "FILE",
    help: "Values file of Kyverno's command line: variables and namespaces",
  },
  {
    name: "namespace-labels",
    value: "NAME:KEY=VALUE",
    many: true,
    help: "labels of a namespace, for namespace selectors; more of them after commas",
  },
  {
    name: "userinfo",
    short: "u",
    value: "FILE",
    help: "UserInfo file: who asks, with which roles",
  },
  {
    name: "operation",
    value: "OPERATION",
    choices: ["CREATE", "UPDATE", "DELETE", "CONNECT"],
    help: "the admission operation (default CREATE)",
  },
  {
    name: "cluster-resource",
    value: "FILE",
    many: true,
    help: "objects that stand for the cluster: what resource.Get, ConfigMap entries and API calls find",
  },
  { name: "context", value: "FILE", help: "Context file: resources and image metadata for CEL" },
  {
    name: "param",
    value: "FILE",
    many: true,
    help: "objects that admission policies take as params",
  },
];

/** Everything a run needs, and what was wrong with the input. */
export type Session = {
  readonly compilation: Compilation;
  readonly resources: readonly Resource[];
  readonly options: EvaluateOptions;
  /** One line each; any of them makes the exit code 2. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
};

/** Reads what the {@link sessionOptions} name; undefined with a message where the arguments make no sense. */
export function openSession(
  args: Arguments,
  io: Io,
):
  | { readonly ok: true; readonly session: Session }
  | { readonly ok: false; readonly message: string } {
  const stray = args.positionals[0];
  if (stray !== undefined) {
    return { ok: false, message: `unexpected argument ${stray}; policies follow -p, resources -r` };
  }
  if (args.many("policy").length === 0) return { ok: false, message: "name policies with -p" };
  if (args.many("resource").length === 0) return { ok: false, message: "name resources with -r" };
  if (args.many("policy").includes("-") && args.many("resource").includes("-")) {
    return { ok: false, message: "standard input is either policies or resources" };
  }
  const namespaces = parseNamespaceLabels(args.many("namespace-labels"));
  if (typeof namespaces === "string") return { ok: false, message: namespaces };
  return { ok: true, session: open(args, io, namespaces) };
}

type Reader = {
  readonly documents: (paths: readonly string[]) => readonly SourceDocument[];
  readonly one: (name: string) => Json | undefined;
};

function open(args: Arguments, io: Io, namespaces: ReadonlyMap<string, JsonObject>): Session {
  const errors: InputError[] = [];
  const warnings: InputError[] = [];
  const read = makeReader(args, io, errors, warnings);
  const objects = (name: string): readonly JsonObject[] =>
    objectsOf(read.documents(args.many(name)));
  const policySources = policyDocuments(args, io, read);
  const exceptionSources = read.documents(args.many("exception"));
  const policies = objectsOf(policySources);
  const clusterObjects = objects("cluster-resource");
  const contextFile = read.one("context");
  const context = contextFile === undefined ? undefined : parseContextFile(contextFile);
  const nowMs = io.nowMs();
  const resourceOf = makeResourceOf(clusterObjects, policies);
  const kinds = { ...emptyWorld(nowMs), resourceOf };
  const parsed = parseResources(read.documents(args.many("resource")), kinds);
  const cluster = parseResources(asDocuments(clusterObjects), kinds).resources;
  const resources = parsed.resources.map((resource) => resource.object);
  const inCluster = cluster.map((resource) => resource.object);
  const values = withNamespaces(loadValues(read.one("values")), namespaces);
  const known = [...inCluster, ...(context?.resources ?? [])];
  const world = makeWorld({
    ...noParts,
    nowMs,
    values,
    resourceOf,
    // Definitions may stand among the resources, as in a chart, or stand for the cluster.
    schemaOf: schemasOfDefinitions([...clusterObjects, ...resources]),
    cluster: known.length === 0 ? undefined : makeObjectStore(known, resourceOf),
    // Kyverno's `apply` answers API calls from the resources that it is given.
    api: makeObjectStore([...inCluster, ...resources], resourceOf),
    images: context?.images ?? new Map(),
  });
  const exceptions = objectsOf(exceptionSources);
  const compilation = compile([...policies, ...exceptions], { params: objects("param") });
  const userInfo = loadUserInfo(read.one("userinfo"));
  const inputErrors = [...errors, ...parsed.errors];
  if (inputErrors.length === 0) inputErrors.push(...findNothing(args, policies, resources));
  return {
    compilation,
    resources: parsed.resources,
    options: {
      world,
      values,
      userInfo,
      operation: parseOperation(args.one("operation")),
    },
    errors: [
      ...inputErrors.map(formatInputError),
      ...formatWithFile(compilation.problems, [...policySources, ...exceptionSources]),
    ],
    warnings: [
      ...warnings.map(formatInputError),
      ...(args.one("userinfo") === undefined ? findUserFields(policies) : []),
      ...findUnknownNamespaces(policies, resources, world),
    ],
  };
}

/** A gate that judged nothing must not look like one that found nothing: an empty pipe is mostly a command that failed. */
function findNothing(
  args: Arguments,
  policies: readonly JsonObject[],
  resources: readonly JsonObject[],
): readonly InputError[] {
  const found: InputError[] = [];
  const place = (option: string): string => args.many(option).join(", ");
  if (policies.length === 0) found.push({ file: place("policy"), message: "holds no policy" });
  if (resources.length === 0) found.push({ file: place("resource"), message: "holds no resource" });
  return found;
}

const formatInputError = (error: InputError): string => `${error.file}: ${error.message}`;

function makeReader(args: Arguments, io: Io, errors: InputError[], warnings: InputError[]): Reader {
  const documents = (paths: readonly string[]): readonly SourceDocument[] => {
    const found = findFiles(paths, io);
    const read = readDocuments(found.files, io);
    errors.push(...found.errors, ...read.errors);
    warnings.push(...read.warnings);
    return read.documents;
  };
  const one = (name: string): Json | undefined => {
    const file = args.one(name);
    if (file === undefined) return undefined;
    const before = errors.length;
    const [document] = documents([file]);
    const wrong = errors.length > before ? undefined : findWrongKind(name, document);
    if (wrong !== undefined) errors.push({ file, message: wrong });
    return document?.value ?? null;
  };
  return { documents, one };
}

/** Groups whose kinds are policies; the core kinds of the last are webhooks, which no policy folder lacks. */
const policyGroups = ["kyverno.io/", "policies.kyverno.io/", "admissionregistration.k8s.io/"];

/** A folder of policies holds tests, kustomizations and resources too: only what can be a policy counts there. */
function policyDocuments(args: Arguments, io: Io, read: Reader): readonly SourceDocument[] {
  const { named } = findFiles(args.many("policy"), io);
  return read.documents(args.many("policy")).filter(({ file, value }) => {
    const apiVersion = isObject(value) ? value["apiVersion"] : undefined;
    const isPolicy = policyGroups.some(
      (group) => typeof apiVersion === "string" && apiVersion.startsWith(group),
    );
    return isPolicy || named.has(file);
  });
}

const objectsOf = (documents: readonly SourceDocument[]): readonly JsonObject[] =>
  documents.map((document) => document.value).filter(isObject);

const asDocuments = (objects: readonly JsonObject[]): readonly SourceDocument[] =>
  objects.map((value, index) => ({ file: "", position: index + 1, value }));

const loadValues = (document: Json | undefined): Values =>
  document === undefined ? noValues : parseValues(document);

const loadUserInfo = (document: Json | undefined): UserInfo | null =>
  document === undefined ? null : parseUserInfo(document);

const withNamespaces = (values: Values, namespaces: ReadonlyMap<string, JsonObject>): Values => ({
  ...values,
  namespace: (name) => namespaces.get(name) ?? values.namespace(name),
});

/** `prod:team=a,tier=b` for each namespace; a message where one is not of that form. */
function parseNamespaceLabels(words: readonly string[]): ReadonlyMap<string, JsonObject> | string {
  const namespaces = new Map<string, JsonObject>();
  for (const word of words) {
    const colon = word.indexOf(":");
    const name = word.slice(0, Math.max(colon, 0));
    const pairs = word.slice(colon + 1).split(",");
    const labels = pairs.map((pair) => pair.split("=", 2));
    if (name === "" || labels.some((pair) => pair.length !== 2 || pair[0] === "")) {
      return `--namespace-labels must be NAME:KEY=VALUE,KEY=VALUE, got ${word}`;
    }
    const entries = labels.map(([key = "", value = ""]): readonly [string, string] => [key, value]);
    namespaces.set(name, namespaceObject(name, Object.fromEntries(entries)));
  }
  return namespaces;
}
