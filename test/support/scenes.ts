// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { withPath } from "#function/json-edit";
import { isObject, textAt, type JsonObject } from "#policy/json";
import { parseText } from "#policy/yaml";
import { repository } from "#test/support/shared";

/** Folders with compositions and policies as other people write them; each is a scene by name. */
export const scenesFolder = join(repository, "test/cluster/others");
export const sceneNames: readonly string[] = readdirSync(scenesFolder).sort();

export type Scene = {
  readonly name: string;
  readonly composite: JsonObject;
  readonly policies: readonly JsonObject[];
  /** What the step before the guard gives, by resource name. */
  readonly composed: Readonly<Record<string, JsonObject>>;
  readonly observed: readonly JsonObject[];
  /** What the cluster has for lookups. */
  readonly required: readonly JsonObject[];
};

const composedName = [
  "metadata",
  "annotations",
  "gotemplating.fn.crossplane.io/composition-resource-name",
];

/** Reads policies.yaml, xr.yaml, composed.yaml, and observed.yaml and required.yaml where they are. */
export function readScene(name: string): Scene {
  const [composite] = documents(name, "xr.yaml");
  if (composite === undefined) throw new Error(`${name} has no composite`);
  return {
    name,
    composite,
    policies: documents(name, "policies.yaml"),
    // A templating function names resources by an annotation, and takes it away.
    composed: Object.fromEntries(
      documents(name, "composed.yaml").map((object) => [
        textAt(object, composedName),
        withPath(object, composedName, undefined),
      ]),
    ),
    observed: documents(name, "observed.yaml"),
    required: documents(name, "required.yaml"),
  };
}

function documents(scene: string, file: string): readonly JsonObject[] {
  const path = join(scenesFolder, scene, file);
  if (!existsSync(path)) return [];
  const read = parseText(readFileSync(path, "utf8"));
  if (!read.ok) throw new Error(`${path}: ${read.message}`);
  return read.documents.filter(isObject);
}

/** The name in its composition of a composed resource that exists. */
export const resourceName = (object: JsonObject): string =>
  textAt(object, ["metadata", "annotations", "crossplane.io/composition-resource-name"]);
