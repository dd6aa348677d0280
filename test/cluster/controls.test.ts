// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { type JsonObject, at, isArray, isObject, parseJson, textAt } from "#policy/json";
import { installCrds } from "#test/cluster/api";
import { kubernetesBinaries } from "#test/cluster/binaries";
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
    expect(at(summary, ["files"])).toBe(folders.length);
  });

  it.each(["title", "category", "description"])("says of every policy its %s", (key) => {
    const silent = folders
      .flatMap((folder) => ["policy.yaml", "inject.yaml"].map((file) => join(folder, file)))
      .filter((file) => existsSync(file))
      .flatMap((file) => read(file))
      .filter(
        (policy) =>
          textAt(policy, ["metadata", "annotations", `policies.kyverno.io/${key}`]) === "",
      );
    expect(silent.map((policy) => textAt(policy, ["metadata", "name"]))).toEqual([]);
  });

  it("is listed completely for kustomize", () => {
    const [kustomization] = read(join(library, "kustomization.yaml"));
    const listed = at(kustomization, ["resources"]);
    const files = folders.flatMap((folder) =>
      ["policy.yaml", "inject.yaml"]
        .map((file) => join(folder, file))
        .filter((file) => existsSync(file)),
    );
    expect(isArray(listed) ? listed.length : 0).toBe(files.length);
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
        ["resources.yaml", "open.yaml", "injected.yaml", "generated.yaml"]
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

    it.each([
      { overlay: "controls", action: "Audit" },
      { overlay: "enforce", action: "Deny" },
    ])("builds the overlay $overlay, every policy in $action", ({ overlay, action }) => {
      const yaml = execFileSync(
        kubernetes?.kubectl ?? "",
        ["kustomize", join(repository, "package/policies", overlay)],
        {
          encoding: "utf8",
        },
      );
      const policies = parseYaml(yaml).filter(
        (policy) => textAt(policy, ["kind"]) === "ValidatingPolicy",
      );
      expect(policies.length).toBeGreaterThan(50);
      for (const policy of policies)
        expect(at(policy, ["spec", "validationActions"])).toEqual([action]);
    });
  },
);
