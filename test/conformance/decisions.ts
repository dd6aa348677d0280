// SPDX-License-Identifier: Apache-2.0
import { evaluateResource } from "#cli/evaluate";
import { makeObjectStore } from "#cli/input/object-store";
import { keyOf, parseResources } from "#cli/input/resources";
import { noValues } from "#cli/input/values";
import { makeWorld, noParts } from "#cli/input/world";
import { compile } from "#policy/compile";
import { isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { emptyWorld } from "#policy/world";
import type { World } from "#policy/world";
import { readRows, readYaml } from "./corpora.ts";

/** One place where we and the reference disagree; '' for a verdict that one side does not have. */
export type Difference = {
  /** Policy file, relative to the corpus. */
  readonly file: string;
  readonly policy: string;
  readonly rule: string;
  /** apiVersion/kind/namespace/name. */
  readonly resource: string;
  readonly expected: string;
  readonly actual: string;
};

export type Replay = {
  readonly compared: number;
  readonly same: number;
  readonly differences: readonly Difference[];
  /** Policy files that did not compile, with the reason. */
  readonly refused: readonly { readonly file: string; readonly reason: string }[];
};

export type Decisions = "cel" | "classic";

const resourceFiles = {
  cel: "resources-small.yaml.gz",
  classic: "resources.yaml.gz",
  mutated: "resources-small.yaml.gz",
} satisfies Record<Decisions | "mutated", string>;

const folder = "reference/decisions";

function readResources(name: string): readonly JsonObject[] {
  const documents = readYaml(`${folder}/${name}`).map((value, index) => ({
    file: name,
    position: index + 1,
    value,
  }));
  return parseResources(documents, emptyWorld(0)).resources.map((resource) => resource.object);
}

/** What `kyverno apply` without a cluster knows: API calls find the given resources, nothing else is answered. */
function makeApplyWorld(resources: readonly JsonObject[]): World {
  const api = makeObjectStore(resources, noParts.resourceOf);
  return makeWorld({ ...noParts, api, nowMs: Date.now(), values: noValues });
}

const formatResource = (object: JsonObject): string => {
  const { apiVersion, kind, namespace, name } = keyOf(object);
  return `${apiVersion}/${kind}/${namespace}/${name}`;
};

/** As the recording wrote messages: one line, no tab. */
const flatten = (message: string): string => message.replaceAll("\t", " ").replaceAll("\n", "\\n");

/** An error has to be an error; its words are our own. */
const formatVerdict = (result: string, message: string): string =>
  result === "error" ? result : `${result}: ${sortReasons(message)}`;

/**
 * The reasons of a pod security message in alphabetical order. Where a rule excludes controls, Kyverno lists them in
 * the random order of a Go map, another one at each run; nobody can repeat that, but the reasons have to be the same.
 */
function sortReasons(message: string): string {
  const [head = "", ...reasons] = message.split("(Forbidden reason: ");
  return [head, ...reasons.sort()].join("(Forbidden reason: ");
}

type Verdicts = Map<string, string[]>;

function add(verdicts: Verdicts, key: string, verdict: string): void {
  const present = verdicts.get(key);
  if (present === undefined) verdicts.set(key, [verdict]);
  else present.push(verdict);
}

/** Replays the recorded verdicts of the policy files whose path contains `filter`. */
export function replayDecisions(which: Decisions, filter = ""): Replay {
  const recorded = new Map<string, Verdicts>();
  for (const row of readRows(`${folder}/${which}.tsv.gz`)) {
    const [file = "", policy = "", rule = "", resource = "", result = "", message = ""] = row;
    if (!file.includes(filter)) continue;
    const verdicts = recorded.get(file) ?? new Map<string, string[]>();
    recorded.set(file, verdicts);
    add(verdicts, [policy, rule, resource].join("\n"), formatVerdict(result, message));
  }
  const resources = readResources(resourceFiles[which]);
  const world = makeApplyWorld(resources);
  const files = [...recorded].map(([file, expected]) => {
    const { set, refused } = compileFile(file);
    const actual: Verdicts = new Map();
    const options = { world, values: noValues, userInfo: null, operation: undefined };
    for (const object of resources) {
      for (const response of evaluateResource(set, object, options).responses) {
        for (const { policy, rule, result, message } of response.results) {
          const key = [policy.name, rule, formatResource(object)].join("\n");
          add(actual, key, formatVerdict(result, flatten(message)));
        }
      }
    }
    return { ...compareVerdicts(file, expected, actual), refused };
  });
  return join(files);
}

function compileFile(file: string): {
  readonly set: ReturnType<typeof compile>["set"];
  readonly refused: Replay["refused"];
} {
  const { set, problems, unsupported } = compile(readYaml(`kyverno-policies/${file}`));
  const reasons = [
    ...problems.map((problem) => `${problem.path}: ${problem.message}`),
    ...unsupported.map(({ rule, reason }) => `unsupported ${rule}: ${reason}`),
  ];
  return { set, refused: reasons.slice(0, 1).map((reason) => ({ file, reason })) };
}

function compareVerdicts(
  file: string,
  expected: Verdicts,
  actual: Verdicts,
): Omit<Replay, "refused"> {
  const differences: Difference[] = [];
  let compared = 0;
  for (const key of new Set([...expected.keys(), ...actual.keys()])) {
    const wanted = expected.get(key) ?? [];
    const got = actual.get(key) ?? [];
    const places = Math.max(wanted.length, got.length);
    const [wantedSorted, gotSorted] = [[...wanted].sort(), [...got].sort()];
    for (let place = 0; place < places; place += 1) {
      compared += 1;
      const [one = "", other = ""] = [wantedSorted[place], gotSorted[place]];
      if (one === other) continue;
      const [policy = "", rule = "", resource = ""] = key.split("\n");
      differences.push({ file, policy, rule, resource, expected: one, actual: other });
    }
  }
  return { compared, same: compared - differences.length, differences };
}

function join(files: readonly Replay[]): Replay {
  return {
    compared: files.reduce((sum, one) => sum + one.compared, 0),
    same: files.reduce((sum, one) => sum + one.same, 0),
    differences: files.flatMap((one) => one.differences),
    refused: files.flatMap((one) => one.refused),
  };
}

/** Replays the recorded mutations: the listed documents equal ours, every other resource stays as it was. */
export function replayMutations(filter = ""): Replay {
  const recorded = new Map<string, Map<string, string>>();
  for (const [file = "", resource = "", document = ""] of readRows(`${folder}/mutated.tsv.gz`)) {
    if (!file.includes(filter)) continue;
    const documents = recorded.get(file) ?? new Map<string, string>();
    recorded.set(file, documents);
    documents.set(resource, asNumbers(document));
  }
  const resources = readResources(resourceFiles.mutated);
  const world = makeApplyWorld(resources);
  const files = [...recorded].map(([file, expected]) => {
    const { set, refused } = compileFile(file);
    const differences: Difference[] = [];
    for (const object of resources) {
      const options = { world, values: noValues, userInfo: null, operation: undefined };
      const mutated = evaluateResource(set, object, options).object;
      const before = canonical(object);
      const after = canonical(mutated);
      const resource = formatResource(object);
      const wanted = expected.get(resource) ?? before;
      if (wanted !== after) {
        const policy = set.policies[0]?.ref.name ?? "";
        differences.push({ file, policy, rule: "", resource, expected: wanted, actual: after });
      }
    }
    const compared = resources.length;
    return { compared, same: compared - differences.length, differences, refused };
  });
  return join(files);
}

/**
 * Go prints the number 1000000 of some documents as 1e+06, which the recording's YAML reader took for text. The
 * resource itself has a number there, and no policy touches it.
 */
const asNumbers = (document: string): string =>
  document.replace(/"(\d+(?:\.\d+)?e\+\d+)"/g, (_text, digits: string) => String(Number(digits)));

/** JSON with sorted keys, without the namespace that the command line adds. */
function canonical(object: JsonObject): string {
  return JSON.stringify(sortKeys(withoutDefaultNamespace(object)));
}

function withoutDefaultNamespace(object: JsonObject): JsonObject {
  const { metadata } = object;
  if (!isObject(metadata) || metadata["namespace"] !== "default") return object;
  const { namespace: _, ...others } = metadata;
  return { ...object, metadata: others };
}

export function sortKeys(value: Json): Json {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortKeys(value[key] ?? null)]),
  );
}
