// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { celKindFields } from "#policy/cel-kind-fields";
import { anything, listOf, objectWith, oneOf } from "#policy/document-fields";
import type { Fields } from "#policy/document-fields";
import { type Json, type JsonObject, at, isArray, isObject, parseJson, textAt } from "#policy/json";
import { installCrds } from "#test/cluster/api";
import { kubernetesBinaries, kyvernoCrds } from "#test/cluster/binaries";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { repository, shared } from "#test/support/shared";

// The control library: its own tests pass, its resources are ones the providers would take, both overlays build.
const library = join(repository, "package/policies/controls");
const providerCrds = shared("corpora/provider-crds");
const kubernetes = kubernetesBinaries();

function parseYaml(text: string): readonly JsonObject[] {
  const documents: unknown[] = loadAll(text, { schema: CORE_SCHEMA });
  return documents.filter(isObject);
}

const read = (file: string): readonly JsonObject[] => parseYaml(readFileSync(file, "utf8"));

const folders = readdirSync(library, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap((provider) =>
    readdirSync(join(library, provider.name)).map((name) => join(library, provider.name, name)),
  )
  .sort();

const policyFiles = folders.flatMap((folder) =>
  ["policy.yaml", "inject.yaml"]
    .map((file) => join(folder, file))
    .filter((file) => existsSync(file)),
);

const kyvernoKinds = kyvernoCrds();

describe.skipIf(kyvernoKinds === undefined)("what compile takes for fields of a policy", () => {
  /** The fields and words of a schema, as the tables of policy/cel-kind-fields.ts write them. */
  const fieldsIn = (schema: Json | undefined): Fields => {
    const words = at(schema, ["enum"]);
    if (isArray(words)) return oneOf(...words.map(String));
    const items = at(schema, ["items"]);
    if (items !== undefined) return listOf(fieldsIn(items));
    const properties = at(schema, ["properties"]);
    if (!isObject(properties)) return anything;
    return objectWith(
      Object.fromEntries(
        Object.entries(properties).map(([name, value]) => [name, fieldsIn(value)]),
      ),
    );
  };
  /** Lists of anything and maps are anything; the order of words is nobody's matter. */
  const plain = (fields: Fields): Json => {
    if (fields.is === "words") return fields.words.toSorted();
    if (fields.is === "list") return fields.of.is === "anything" ? "anything" : [plain(fields.of)];
    if (fields.is !== "object") return "anything";
    return Object.fromEntries(
      Object.entries(fields.fields).map(([name, value]) => [name, plain(value)]),
    );
  };
  const kinds = [...celKindFields.keys()].filter((key) => key.startsWith("policies.kyverno.io/"));
  it.each(kinds)("is what Kyverno's definition has: %s", (key) => {
    const crd = readdirSync(kyvernoKinds ?? "")
      .flatMap((file) => read(join(kyvernoKinds ?? "", file)))
      .find((each) => textAt(each, ["spec", "names", "kind"]) === key.split("/")[1]);
    const versions = at(crd, ["spec", "versions"]);
    expect(isArray(versions) && versions.length > 0).toBe(true);
    for (const version of isArray(versions) ? versions : []) {
      const wanted = fieldsIn(at(version, ["schema", "openAPIV3Schema", "properties", "spec"]));
      const ours = celKindFields.get(key);
      expect(
        ours?.is === "object" && ours.fields["spec"] !== undefined
          ? plain(ours.fields["spec"])
          : "",
      ).toEqual(plain(wanted));
    }
  });
});

describe("the control library", () => {
  it("passes its own tests, none of them by matching nothing", () => {
    const output = execFileSync(
      process.execPath,
      [join(repository, "cli/main.ts"), "test", library, "--strict", "-o", "json"],
      { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
    );
    const summary = at(parseJson(output), ["summary"]);
    expect(at(summary, ["failed"])).toBe(0);
    expect(at(summary, ["unsupported"])).toBe(0);
    const tests = readdirSync(library, { recursive: true, encoding: "utf8" });
    expect(at(summary, ["files"])).toBe(
      tests.filter((file) => file.endsWith("kyverno-test.yaml")).length,
    );
    expect(folders.filter((folder) => !existsSync(join(folder, "kyverno-test.yaml")))).toEqual([]);
  });

  it.each([
    "policies.kyverno.io/title",
    "policies.kyverno.io/category",
    "policies.kyverno.io/severity",
    "policies.kyverno.io/description",
    "parapet.dev/references",
  ])("says of every policy its %s", (key) => {
    const silent = policyFiles
      .flatMap((file) => read(file))
      .filter((policy) => textAt(policy, ["metadata", "annotations", key]) === "");
    expect(silent.map((policy) => textAt(policy, ["metadata", "name"]))).toEqual([]);
  });

  it("is listed completely for kustomize", () => {
    const [kustomization] = read(join(library, "kustomization.yaml"));
    const listed = at(kustomization, ["resources"]);
    expect(isArray(listed) ? listed.map(String).toSorted() : []).toEqual(
      policyFiles.map((file) => relative(library, file)).toSorted(),
    );
  });
});

describe.skipIf(kubernetes === undefined || providerCrds === undefined)(
  "the control library on an API server",
  () => {
    let plane: ControlPlane;
    beforeAll(async () => {
      const started = await startControlPlane({ controllers: false });
      if (started === undefined) throw new Error("no control plane");
      plane = started;
      const crds = readdirSync(providerCrds ?? "")
        .map((file) => parseJson(readFileSync(join(providerCrds ?? "", file), "utf8")))
        .filter(isObject);
      await installCrds(plane.api, crds);
      plurals = new Map(
        crds.map((crd) => [kindKey(crd), textAt(crd, ["spec", "names", "plural"])]),
      );
    });
    afterAll(() => plane?.stop());
    let plurals = new Map<string, string>();

    const kindKey = (crd: JsonObject) =>
      `${textAt(crd, ["spec", "group"])}/${textAt(crd, ["spec", "names", "kind"])}`;

    it("has only resources that the providers' definitions accept, without unknown fields", async () => {
      const refused: string[] = [];
      const resources = folders.flatMap((folder) =>
        readdirSync(folder)
          .filter((file) => /^(resources|open|injected|generated.*)\.yaml$/.test(file))
          .map((file) => join(folder, file))
          .filter((file) => existsSync(file) && !folder.includes("/kubernetes/"))
          .flatMap((file) => read(file).map((resource) => ({ file, resource }))),
      );
      for (const { file, resource } of resources) {
        const [group = "", version = ""] = textAt(resource, ["apiVersion"]).split("/");
        const plural = plurals.get(`${group}/${textAt(resource, ["kind"])}`) ?? "";
        const namespace = textAt(resource, ["metadata", "namespace"]);
        const scope = namespace === "" ? "" : `namespaces/${namespace}/`;
        const path = `/apis/${group}/${version}/${scope}${plural}?dryRun=All&fieldValidation=Strict`;
        const reply = await plane.api.send("POST", path, resource);
        if (reply.status !== 201) {
          refused.push(
            `${file} ${textAt(resource, ["metadata", "name"])}: ${textAt(reply.body, ["message"])}`,
          );
        }
      }
      expect(refused).toEqual([]);
      expect(resources.length).toBeGreaterThan(200);
    });

    it("has only workloads that the API server accepts, without unknown fields", async () => {
      await plane.api.create("/api/v1/namespaces/default/serviceaccounts", {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "default" },
      });
      const collections: Readonly<Record<string, string>> = {
        Pod: "/api/v1/namespaces/default/pods",
        Deployment: "/apis/apps/v1/namespaces/default/deployments",
        Namespace: "/api/v1/namespaces",
        NetworkPolicy: "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies",
      };
      await plane.api.create("/api/v1/namespaces", namespaceNamed("shop"));
      const refused: string[] = [];
      const resources = folders
        .filter((folder) => folder.includes("/kubernetes/"))
        .flatMap((folder) =>
          ["resources.yaml", "network-policy.yaml"]
            .map((file) => join(folder, file))
            .filter((file) => existsSync(file))
            .flatMap((file) => read(file).map((resource) => ({ file, resource }))),
        );
      for (const { file, resource } of resources) {
        const path = collections[textAt(resource, ["kind"])] ?? "";
        const reply = await plane.api.send(
          "POST",
          `${path}?dryRun=All&fieldValidation=Strict`,
          resource,
        );
        const isThere = textAt(reply.body, ["reason"]) === "AlreadyExists";
        if (reply.status !== 201 && !isThere) {
          refused.push(
            `${file} ${textAt(resource, ["metadata", "name"])}: ${textAt(reply.body, ["message"])}`,
          );
        }
      }
      expect(refused).toEqual([]);
      expect(resources.length).toBeGreaterThan(30);
    });

    it("is made of policies that Kyverno's own definitions accept, without unknown fields", async () => {
      const folder = kyvernoCrds();
      if (folder === undefined) throw new Error("no definitions of Kyverno's policies");
      await installCrds(
        plane.api,
        readdirSync(folder).flatMap((file) => read(join(folder, file))),
      );
      const write = (policy: JsonObject) => {
        const plural = {
          ValidatingPolicy: "validatingpolicies",
          MutatingPolicy: "mutatingpolicies",
        }[textAt(policy, ["kind"])];
        const path = `/apis/policies.kyverno.io/v1/${plural ?? "generatingpolicies"}`;
        return plane.api.send("POST", `${path}?fieldValidation=Strict`, policy);
      };
      const policies = policyFiles.flatMap((file) => read(file));
      const refused: string[] = [];
      for (const policy of policies) {
        const reply = await write(policy);
        if (reply.status !== 201) {
          refused.push(
            `${textAt(policy, ["metadata", "name"])}: ${textAt(reply.body, ["message"])}`,
          );
        }
      }
      expect(refused).toEqual([]);
      expect(policies.length).toBeGreaterThan(90);
      // The check can fail: a word that the definitions do not know is refused.
      const [policy = {}] = policies;
      const odd = {
        ...policy,
        metadata: { name: "odd" },
        spec: { ...objectAt(policy, "spec"), validationAction: ["Deny"] },
      };
      expect((await write(odd)).status).toBe(400);
    });

    it("differs between Audit and Enforce in what is done about a violation, and in nothing else", () => {
      const [audit, enforce] = ["controls", "enforce"].map((overlay) => {
        const yaml = execFileSync(
          kubernetes?.kubectl ?? "",
          ["kustomize", join(repository, "package/policies", overlay)],
          { encoding: "utf8" },
        );
        const key = (policy: JsonObject) =>
          `${textAt(policy, ["kind"])} ${textAt(policy, ["metadata", "name"])}`;
        return new Map(parseYaml(yaml).map((policy) => [key(policy), policy]));
      });
      const isJudging = (policy: JsonObject) => textAt(policy, ["kind"]) === "ValidatingPolicy";
      const wanted = [...(audit ?? [])].map(([key, policy]) => [
        key,
        {
          ...policy,
          metadata: {
            ...objectAt(policy, "metadata"),
            labels: {
              ...objectAt(at(policy, ["metadata"]), "labels"),
              "parapet.dev/composition": "enforced",
            },
          },
          spec: isJudging(policy)
            ? { ...objectAt(policy, "spec"), validationActions: ["Deny"] }
            : at(policy, ["spec"]),
        },
      ]);
      expect(Object.fromEntries(enforce ?? [])).toEqual(Object.fromEntries(wanted));
      const judging = [...(audit?.values() ?? [])].filter(isJudging);
      expect(judging.length).toBeGreaterThan(60);
      for (const policy of judging)
        expect(at(policy, ["spec", "validationActions"])).toEqual(["Audit"]);
      expect(enforce?.size).toBe(policyFiles.flatMap((file) => read(file)).length);
    });
  },
);

const namespaceNamed = (name: string): JsonObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name },
});

function objectAt(value: Json | undefined, key: string): JsonObject {
  const found = at(value, [key]);
  return isObject(found) ? found : {};
}
