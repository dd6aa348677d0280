// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import { keyOf, parseResources } from "#cli/input/resources";
import { namespaceObject } from "#cli/input/values";
import { rewritePolicy } from "#cli/migrate/rewrite";
import { isPlausible } from "#cli/migrate/variations";
import { compile } from "#policy/compile";
import { isObject } from "#policy/json";
import type { JsonObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { emptyWorld } from "#policy/world";
import { corporaFolder, readRows, readYaml } from "./corpora.ts";

/** Rules of the recorded ClusterPolicies that have an exact equivalent; fewer would mean that migrating forgot something. */
const rewrittenMin = 65;

const world = {
  ...emptyWorld(Date.now()),
  namespace: (name: string) => namespaceObject(name, { "kubernetes.io/metadata.name": name }),
};

const formatResource = (object: JsonObject): string => {
  const { apiVersion, kind, namespace, name } = keyOf(object);
  return `${apiVersion}/${kind}/${namespace}/${name}`;
};

const baseRule = (rule: string): string => rule.replace(/^autogen-(cronjob-)?/, "");
const isRefused = (result: string): boolean => result === "fail" || result === "error";

/** What Kyverno refused, by policy file, rule and resource. */
function readRefused(): ReadonlyMap<string, ReadonlySet<string>> {
  const refused = new Map<string, Set<string>>();
  const rows = readRows("reference/decisions/classic.tsv.gz");
  for (const [file = "", , rule = "", resource = "", result = ""] of rows) {
    const key = `${file}\n${baseRule(rule)}`;
    const own = refused.get(key) ?? new Set<string>();
    refused.set(key, own);
    if (isRefused(result)) own.add(resource);
  }
  return refused;
}

function readResources(): readonly JsonObject[] {
  const documents = readYaml("reference/decisions/resources.yaml.gz").map((value, index) => ({
    file: "",
    position: index + 1,
    value,
  }));
  const { resources } = parseResources(documents, world);
  return resources.map(({ object }) => object).filter(isPlausible);
}

describe.skipIf(corporaFolder === "")("policies rewritten as CEL kinds", () => {
  test("refuse what Kyverno recorded as refused by the classic rule, and nothing else", () => {
    const refused = readRefused();
    const resources = readResources();
    const wrong: string[] = [];
    let rewritten = 0;
    for (const [key, wanted] of refused) {
      const [file = "", rule = ""] = key.split("\n");
      const policies = readYaml(`kyverno-policies/${file}`).filter(isObject);
      const rewrites = policies.flatMap(rewritePolicy).filter((one) => one.rule === rule);
      const documents = rewrites.flatMap((one) => (one.ok ? one.documents : []));
      if (documents.length === 0) continue;
      rewritten += 1;
      const { set, problems } = compile(documents);
      expect(problems).toEqual([]);
      for (const object of resources) {
        const review = reviewOf(object, { world });
        const results = set
          .candidates(review)
          .flatMap((policy) => policy.validate?.(review, world) ?? []);
        const is = results.some(({ result }) => isRefused(result));
        const name = formatResource(object);
        if (is !== wanted.has(name))
          wrong.push(`${file} ${rule} ${name}: ${is ? "refused" : "let through"}`);
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(rewritten).toBeGreaterThanOrEqual(rewrittenMin);
  });
});
