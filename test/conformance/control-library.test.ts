// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { describe, expect, it } from "vitest";
import { compile } from "#policy/compile";
import { generate, mutate } from "#policy/evaluate";
import { type Json, type JsonObject, at, isArray, isObject, parseJson, textAt } from "#policy/json";
import { guessPlural, reviewOf } from "#policy/kubernetes/kinds";
import type { PolicySet } from "#policy/policy-set";
import type { Review } from "#policy/review";
import { type World, emptyWorld } from "#policy/world";
import { repository, shared } from "#test/support/shared";

// What must hold of every control at once, so that no new one forgets it: the same thing said in another way gets the same
// verdict. Each row is a resource of the control's own kyverno-test.yaml, rewritten.
const library = join(repository, "package/policies/controls");
const crdFolder = shared("corpora/provider-crds");
const world = emptyWorld(Date.parse("2026-01-01T00:00:00Z"));

const read = (file: string): readonly JsonObject[] => {
  const documents: unknown[] = loadAll(readFileSync(file, "utf8"), { schema: CORE_SCHEMA });
  return documents.filter(isObject);
};

type Control = {
  readonly name: string;
  readonly policy: JsonObject;
  readonly set: PolicySet;
  readonly good: readonly JsonObject[];
  readonly bad: readonly JsonObject[];
};

const controls = ["aws", "azure", "gcp", "kubernetes"].flatMap((provider) =>
  readdirSync(join(library, provider))
    .sort()
    .map((name) => readControl(join(library, provider, name), `${provider}/${name}`))
    .filter((control) => control !== undefined),
);

/** Those of cloud resources, which say what they want in forProvider and initProvider. */
const clouds = controls.filter(({ name }) => !name.startsWith("kubernetes/"));

function readControl(folder: string, name: string): Control | undefined {
  const [policy] = read(join(folder, "policy.yaml"));
  if (policy === undefined || textAt(policy, ["kind"]) !== "ValidatingPolicy") return undefined;
  const resources = read(join(folder, "resources.yaml"));
  const [test] = read(join(folder, "kyverno-test.yaml"));
  const listed = (result: string): readonly JsonObject[] => {
    const names = new Set(
      arrayAt(test, ["results"])
        .filter(
          (row) => textAt(row, ["result"]) === result && at(row, ["isValidatingPolicy"]) === true,
        )
        .flatMap((row) => arrayAt(row, ["resources"])),
    );
    return resources.filter((resource) => names.has(textAt(resource, ["metadata", "name"])));
  };
  return { name, policy, set: setOf(policy), good: listed("pass"), bad: listed("fail") };
}

function setOf(policy: JsonObject): PolicySet {
  const { set, problems } = compile([policy]);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return set;
}

const crds = new Map(
  (crdFolder === undefined ? [] : readdirSync(crdFolder))
    .map((file) => parseJson(readFileSync(join(crdFolder ?? "", file), "utf8")))
    .filter(isObject)
    .map((crd) => [
      `${textAt(crd, ["spec", "group"])}/${textAt(crd, ["spec", "names", "kind"])}`,
      crd,
    ]),
);

describe.skipIf(crdFolder === undefined)("every control", () => {
  it("has resources that pass and that fail", () => {
    expect(controls.length).toBeGreaterThan(55);
    for (const { name, good, bad } of controls)
      expect([name, good.length > 1, bad.length > 1]).toEqual([name, true, true]);
  });

  it("has a failing resource for each of its expressions", () => {
    const untried = controls.flatMap(({ name, policy, bad }) =>
      arrayAt(policy, ["spec", "validations"]).flatMap((validation, index) => {
        const alone = setOf({
          ...policy,
          spec: { ...objectAt(policy, ["spec"]), validations: [validation] },
        });
        return bad.some((resource) => verdict(alone, resource) === "fail")
          ? []
          : [`${name} validations[${index}]`];
      }),
    );
    expect(untried).toEqual([]);
  });

  it.each([
    {
      way: "as it is",
      reason: "The rows that the others are measured by.",
      rewrite: asItIs,
      least: 250,
    },
    {
      way: "in initProvider",
      reason: "What a provider is told once, at creation, is told.",
      rewrite: inInitProvider,
      least: 250,
    },
    {
      way: "split over both",
      reason: "The provider merges the two, nested objects too.",
      rewrite: splitOverBoth,
      least: 150,
    },
    {
      way: "in the other scope",
      reason: "Namespaced and cluster-scoped groups are the same service.",
      rewrite: inOtherGroup,
      least: 250,
    },
    {
      way: "in each served version",
      reason: "Older versions wrap single objects in lists.",
      rewrite: inEachVersion,
      least: 50,
    },
  ])("gives the same verdict on what is said $way", ({ rewrite, least }) => {
    const rows = clouds.flatMap(({ name, set, good, bad }) => [
      ...good.map((resource) => ({ name, set, resource, want: "pass" })),
      ...bad.map((resource) => ({ name, set, resource, want: "fail" })),
    ]);
    const wrong: string[] = [];
    let tried = 0;
    for (const { name, set, resource, want } of rows) {
      for (const twin of rewrite(resource)) {
        tried += 1;
        const found = verdict(set, twin);
        if (found === want) continue;
        const which = `${name} ${textAt(resource, ["metadata", "name"])}`;
        wrong.push(`${which}: ${found}, not ${want}: ${JSON.stringify(at(twin, ["spec"]))}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(least);
  });

  it("gives the same verdict on an update as on a creation", () => {
    const wrong = clouds.flatMap(({ name, set, good, bad }) =>
      [...good, ...bad]
        .filter((resource) => verdict(set, resource) !== verdict(set, resource, asUpdate))
        .map((resource) => `${name} ${textAt(resource, ["metadata", "name"])}`),
    );
    expect(wrong).toEqual([]);
  });

  it("counts a reference or selector that is not resolved yet as stated", () => {
    const wrong: string[] = [];
    let tried = 0;
    for (const { name, set, good } of clouds) {
      for (const resource of good) {
        for (const twin of withReferences(resource)) {
          tried += 1;
          const found = verdict(set, twin);
          if (found !== "pass")
            wrong.push(`${name}: ${found} ${JSON.stringify(at(twin, ["spec"]))}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(20);
  });
});

type Injection = {
  readonly name: string;
  readonly set: PolicySet;
  /** Whether the provider takes the value only at creation. */
  readonly isFinal: boolean;
  readonly rows: readonly { readonly open: JsonObject; readonly injected: JsonObject }[];
};

const injections = ["aws", "azure", "gcp"].flatMap((provider) =>
  readdirSync(join(library, provider))
    .sort()
    .filter((name) => existsSync(join(library, provider, name, "inject.yaml")))
    .map((name): Injection => {
      const folder = join(library, provider, name);
      const [policy = {}] = read(join(folder, "inject.yaml"));
      const injected = read(join(folder, "injected.yaml"));
      const rows = read(join(folder, "open.yaml")).map((open, index) => ({
        open,
        injected: injected[index] ?? {},
      }));
      const isFinal = JSON.stringify(at(policy, ["spec"])).includes("oldObject");
      return { name: `${provider}/${name}`, set: setOf(policy), isFinal, rows };
    }),
);

describe.skipIf(crdFolder === undefined)("every injection", () => {
  it("states what is left open in each served version, in the shape of that version, and once", () => {
    let tried = 0;
    for (const { name, set, rows } of injections) {
      for (const { open, injected } of rows) {
        const versions = [[open, injected] as const, ...inVersionsOf(open, injected)];
        for (const [before, after] of versions) {
          tried += 1;
          expect([name, injectedInto(set, before)]).toEqual([name, after]);
          expect([name, injectedInto(set, after)]).toEqual([name, after]);
        }
      }
    }
    expect(tried).toBeGreaterThan(70);
  });

  it("leaves alone what initProvider states", () => {
    for (const { name, set, rows } of injections) {
      for (const { open, injected } of rows) {
        const before = objectAt(open, ["spec", "forProvider"]);
        const added = Object.entries(objectAt(injected, ["spec", "forProvider"])).filter(
          ([key]) => !(key in before),
        );
        const stated = withSpec(open, before, Object.fromEntries(added));
        expect([name, injectedInto(set, stated)]).toEqual([name, stated]);
      }
    }
  });

  it("leaves existing resources alone where the provider would have to replace them", () => {
    const final = injections.filter(({ isFinal }) => isFinal);
    expect(final.length).toBeGreaterThan(6);
    for (const { name, set, rows } of final) {
      for (const { open, injected } of rows) {
        expect([name, injectedInto(set, open, open)]).toEqual([name, open]);
        expect([name, injectedInto(set, open, injected)]).toEqual([name, injected]);
      }
    }
  });
});

function injectedInto(set: PolicySet, resource: JsonObject, oldObject?: JsonObject): JsonObject {
  const plain = reviewOf(resource, { world });
  const { object, results } = mutate(
    set,
    {
      ...plain,
      operation: oldObject === undefined ? "CREATE" : "UPDATE",
      oldObject: oldObject ?? null,
      resource: { ...plain.resource, resource: pluralOf(resource) },
    },
    world,
  );
  const errors = results.filter(({ result }) => result === "error");
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return object;
}

function inVersionsOf(
  open: JsonObject,
  injected: JsonObject,
): readonly (readonly [JsonObject, JsonObject])[] {
  const after = inEachVersion(injected);
  return inEachVersion(open).flatMap((before, index) => {
    const twin = after[index];
    return twin === undefined ? [] : [[before, twin]];
  });
}

describe("companions of a bucket", () => {
  const [policy = {}] = read(join(library, "aws/s3-companions/policy.yaml"));
  const set = setOf(policy);
  const bucket = {
    apiVersion: "s3.aws.m.upbound.io/v1beta1",
    kind: "Bucket",
    metadata: { namespace: "n", labels: { use: "data" } },
    spec: { forProvider: { region: "eu-central-1" } },
  };
  const beside = (spec: JsonObject, metadata: JsonObject = {}): JsonObject => ({
    apiVersion: "s3.aws.m.upbound.io/v1beta1",
    kind: "BucketVersioning",
    metadata: { namespace: "n", ...metadata },
    spec: { forProvider: spec },
  });
  const all = ["BucketPublicAccessBlock", "BucketOwnershipControls", "BucketVersioning"];
  it.each([
    { reason: "Nobody thought of any.", others: [], want: all },
    {
      reason: "One is the author's, by selector.",
      others: [beside({ bucketSelector: { matchControllerRef: true } })],
      want: all.slice(0, 2),
    },
    {
      reason: "One is the author's, by labels.",
      others: [beside({ bucketSelector: { matchLabels: { use: "data" } } })],
      want: all.slice(0, 2),
    },
    {
      reason: "One is another bucket's.",
      others: [beside({ bucketSelector: { matchLabels: { use: "logs" } } })],
      want: all,
    },
    {
      reason: "Our own of the last time: it must not be taken away for being there.",
      others: [
        beside(
          { bucketSelector: { matchControllerRef: true } },
          { annotations: { "parapet.dev/companion-of": "bucket" } },
        ),
      ],
      want: all,
    },
  ])("are those that are missing: $reason", ({ others, want }) => {
    const seen: World = {
      ...world,
      list: ({ resource }) => {
        const items = others.filter((other) => guessPlural(textAt(other, ["kind"])) === resource);
        return { kind: "found", value: { items } };
      },
    };
    const { resources, results } = generate(set, reviewOf(bucket, { world }), seen);
    expect(results.filter(({ result }) => result !== "pass")).toEqual([]);
    expect(resources.map((resource) => textAt(resource, ["kind"]))).toEqual(want);
    for (const resource of resources)
      expect(at(resource, ["spec", "forProvider", "bucketSelector"])).toEqual({
        matchControllerRef: true,
      });
  });
});

/** pass, fail, error, or 'unmatched'. */
function verdict(
  set: PolicySet,
  resource: JsonObject,
  as: (review: Review) => Review = (review) => review,
): string {
  const plain = reviewOf(resource, { world });
  const review = as({ ...plain, resource: { ...plain.resource, resource: pluralOf(resource) } });
  const results = set
    .candidates(review)
    .flatMap((policy) => policy.validate?.(review, world) ?? []);
  return results[0]?.result ?? "unmatched";
}

const asUpdate = (review: Review): Review => ({
  ...review,
  operation: "UPDATE",
  oldObject: {
    ...objectAt(review.object ?? {}, []),
    spec: { forProvider: { region: "eu-central-1" } },
  },
});

function asItIs(resource: JsonObject): readonly JsonObject[] {
  return [resource];
}

/** All that the kind's initProvider knows is said there; forProvider keeps the rest. */
function inInitProvider(resource: JsonObject): readonly JsonObject[] {
  const known = schemaOf(resource, "initProvider");
  const entries = Object.entries(objectAt(resource, ["spec", "forProvider"]));
  const isKnown = ([key]: readonly [string, Json]): boolean =>
    at(known, ["properties", key]) !== undefined;
  return [
    withSpec(
      resource,
      Object.fromEntries(entries.filter((entry) => !isKnown(entry))),
      Object.fromEntries(entries.filter(isKnown)),
    ),
  ];
}

/** Of one nested object after the other, the fields are said in initProvider and the object stands empty in forProvider. */
function splitOverBoth(resource: JsonObject): readonly JsonObject[] {
  const known = schemaOf(resource, "initProvider");
  const stated = objectAt(resource, ["spec", "forProvider"]);
  return Object.entries(stated).flatMap(([key, value]) => {
    if (at(known, ["properties", key]) === undefined) return [];
    if (isObject(value)) return [withSpec(resource, { ...stated, [key]: {} }, { [key]: value })];
    const [one] = isArray(value) ? value : [];
    return isSingleton(schemaOf(resource, "forProvider"), key) && isObject(one)
      ? [withSpec(resource, { ...stated, [key]: [{}] }, { [key]: [one] })]
      : [];
  });
}

function inOtherGroup(resource: JsonObject): readonly JsonObject[] {
  const [group = ""] = textAt(resource, ["apiVersion"]).split("/");
  const other = group.includes(".m.")
    ? group.replace(".m.", ".")
    : group.replace(/\.(aws|azure|gcp)\./, ".$1.m.");
  return inVersions(resource, other, undefined);
}

function inEachVersion(resource: JsonObject): readonly JsonObject[] {
  const [group = "", version = ""] = textAt(resource, ["apiVersion"]).split("/");
  return inVersions(resource, group, version);
}

function inVersions(
  resource: JsonObject,
  group: string,
  but: string | undefined,
): readonly JsonObject[] {
  const crd = crds.get(`${group}/${textAt(resource, ["kind"])}`);
  if (crd === undefined) throw new Error(`no definition of ${group} ${textAt(resource, ["kind"])}`);
  const from = objectAt(resource, ["spec", "forProvider"]);
  return arrayAt(crd, ["spec", "versions"])
    .map((version) => textAt(version, ["name"]))
    .filter((version) => version !== but)
    .map((version) => {
      const twin = { ...resource, apiVersion: `${group}/${version}` };
      return withSpec(twin, objectAt(reshape(from, schemaOf(twin, "forProvider")), []), {});
    });
}

/** Wraps single objects in lists, or unwraps them, as the schema has it; leaves out what it does not know, e.g. namespaces. */
function reshape(value: Json, schema: Json | undefined): Json {
  const type = textAt(schema, ["type"]);
  if (type === "array")
    return (isArray(value) ? value : [value]).map((item) => reshape(item, at(schema, ["items"])));
  if (isArray(value)) return reshape(value[0] ?? {}, schema);
  const properties = at(schema, ["properties"]);
  if (!isObject(value) || !isObject(properties)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) =>
      key in properties ? [[key, reshape(item, properties[key])]] : [],
    ),
  );
}

/** One field after the other replaced by its reference, then by its selector, where the kind has them. */
function withReferences(resource: JsonObject): readonly JsonObject[] {
  const schema = schemaOf(resource, "forProvider");
  const stated = objectAt(resource, ["spec", "forProvider"]);
  const replaced = (key: string, by: string, value: Json): JsonObject =>
    withSpec(
      resource,
      {
        ...Object.fromEntries(Object.entries(stated).filter(([name]) => name !== key)),
        [by]: value,
      },
      {},
    );
  return Object.keys(stated).flatMap((key) => {
    const base = key.replace(/(Ref|Selector)$/, "");
    const ways: readonly (readonly [string, Json])[] = [
      [`${base}Ref`, { name: "x" }],
      [`${base}Selector`, { matchControllerRef: true }],
      [base, "x"],
    ];
    const referable = at(schema, ["properties", `${base}Ref`]) !== undefined;
    return referable
      ? ways
          .filter(([by]) => by !== key && at(schema, ["properties", by, "type"]) !== undefined)
          .map(([by, value]) => replaced(key, by, value))
      : [];
  });
}

function withSpec(
  resource: JsonObject,
  forProvider: JsonObject,
  initProvider: JsonObject,
): JsonObject {
  return {
    ...resource,
    spec: {
      ...objectAt(resource, ["spec"]),
      forProvider,
      ...(Object.keys(initProvider).length === 0 ? {} : { initProvider }),
    },
  };
}

const isSingleton = (schema: JsonObject, key: string): boolean => {
  const property = at(schema, ["properties", key]);
  return textAt(property, ["type"]) === "array" && at(property, ["maxItems"]) === 1;
};

function pluralOf(resource: JsonObject): string {
  const defined = textAt(definitionOf(resource), ["spec", "names", "plural"]);
  return defined === "" ? guessPlural(textAt(resource, ["kind"])) : defined;
}

function definitionOf(resource: JsonObject): JsonObject {
  const [group = ""] = textAt(resource, ["apiVersion"]).split("/");
  return crds.get(`${group}/${textAt(resource, ["kind"])}`) ?? {};
}

function schemaOf(resource: JsonObject, part: string): JsonObject {
  const [, version = ""] = textAt(resource, ["apiVersion"]).split("/");
  const found = arrayAt(definitionOf(resource), ["spec", "versions"]).find(
    (each) => textAt(each, ["name"]) === version,
  );
  return objectAt(found, ["schema", "openAPIV3Schema", "properties", "spec", "properties", part]);
}

function objectAt(value: Json | undefined, path: readonly string[]): JsonObject {
  const found = at(value, path);
  return isObject(found) ? found : {};
}

function arrayAt(value: Json | undefined, path: readonly string[]): readonly Json[] {
  const found = at(value, path);
  return isArray(found) ? found : [];
}
