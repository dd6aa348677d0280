// SPDX-License-Identifier: Apache-2.0
import { bindingsLibrary } from "#policy/cel/bindings";
import { twoVariableComprehensionLibrary } from "#policy/cel/comprehensions-two";
import type { Library } from "#policy/cel/library";
import { optionalLibrary } from "#policy/cel/optionals";
import { cidrLibrary } from "./cidr.ts";
import { encodersLibrary } from "./encoders.ts";
import { listEndsLibrary, newestListsLibrary } from "./extended-lists.ts";
import { formatLibrary } from "./format.ts";
import { generatorLibrary, namespacedGeneratorLibrary } from "./generator.ts";
import { globalContextLibrary } from "./global-context.ts";
import { gzipLibrary } from "./gzip.ts";
import { hashLibrary } from "./hash.ts";
import { httpLibrary } from "./http.ts";
import { imageDataLibrary } from "./image-data.ts";
import { imageLibrary } from "./image.ts";
import { ipLibrary } from "./ip.ts";
import { jsonPatchLibrary } from "./json-patch.ts";
import { jsonLibrary } from "./json.ts";
import { jwtLibrary } from "./jwt.ts";
import { listsLibrary } from "./lists.ts";
import { mathLibrary } from "./math.ts";
import { orValueLibrary } from "./or-value.ts";
import { protosLibrary } from "./protos.ts";
import { quantityLibrary } from "./quantity.ts";
import { randomLibrary } from "./random.ts";
import { regexExtensionLibrary } from "./regex-extension.ts";
import { regexLibrary } from "./regex.ts";
import { namespacedResourceLibrary, resourceLibrary } from "./resource.ts";
import { roundingLibrary } from "./rounding.ts";
import { semverLibrary } from "./semver.ts";
import { setsLibrary } from "./sets.ts";
import { kyvernoStringsLibrary, newestStringsLibrary } from "./strings.ts";
import { timeLibrary } from "./time.ts";
import { transformLibrary } from "./transform.ts";
import { urlLibrary } from "./url.ts";
import { userLibrary } from "./user.ts";
import { x509Library } from "./x509.ts";
import { yamlLibrary } from "./yaml.ts";

/** What every kind of Kyverno has. Source: kyverno v1.19 pkg/cel/compiler/env.go and the policy compilers. */
const commonLibraries: readonly Library[] = [
  optionalLibrary,
  orValueLibrary,
  listEndsLibrary,
  bindingsLibrary,
  twoVariableComprehensionLibrary,
  encodersLibrary,
  newestListsLibrary,
  mathLibrary,
  protosLibrary,
  setsLibrary,
  kyvernoStringsLibrary,
  regexExtensionLibrary,
  cidrLibrary,
  formatLibrary,
  ipLibrary,
  listsLibrary,
  regexLibrary,
  urlLibrary,
  quantityLibrary,
  semverLibrary,
  globalContextLibrary,
  httpLibrary,
  imageLibrary,
  imageDataLibrary,
  userLibrary,
  hashLibrary,
  roundingLibrary,
  randomLibrary,
  timeLibrary,
  transformLibrary,
  jsonLibrary,
  yamlLibrary,
  x509Library,
  gzipLibrary,
];

/** `json.Unmarshal`, as the authorization server spells it. */
const unmarshalLibrary: Library = {
  name: "kyverno.json",
  constants: jsonLibrary.constants ?? [],
  functions: (jsonLibrary.functions ?? [])
    .filter(({ name }) => name === "unmarshal")
    .map((declaration) => ({ ...declaration, name: "Unmarshal" })),
};

/** What policies that judge requests have, beside the library of their answers (kyverno-authz, pkg/cel/env.go). */
export const authorizationLibraries: readonly Library[] = [
  optionalLibrary,
  listEndsLibrary,
  bindingsLibrary,
  encodersLibrary,
  newestListsLibrary,
  mathLibrary,
  protosLibrary,
  setsLibrary,
  newestStringsLibrary,
  cidrLibrary,
  formatLibrary,
  ipLibrary,
  listsLibrary,
  regexLibrary,
  urlLibrary,
  quantityLibrary,
  semverLibrary,
  httpLibrary,
  jwtLibrary,
  unmarshalLibrary,
  resourceLibrary,
  imageLibrary,
];

/** Which of Kyverno's kinds the libraries are for. */
export type KyvernoUse = "validating" | "mutating" | "generating" | "deleting";

/**
 * The libraries of a Kyverno kind. In Namespaced twins `resource` and `generator` take no namespace. The activation must
 * hold a `WorldValue` under `worldKey`; without it the functions that ask the World are `unsupported` errors.
 */
export function kyvernoLibraries(use: KyvernoUse, namespaced: boolean): readonly Library[] {
  const resource = namespaced ? namespacedResourceLibrary : resourceLibrary;
  const libraries = [...commonLibraries, resource];
  switch (use) {
    case "validating":
      return libraries;
    case "mutating":
      return [...libraries, jsonPatchLibrary];
    case "deleting":
      return libraries.filter((library) => library !== userLibrary);
    case "generating":
      return [...libraries, namespaced ? namespacedGeneratorLibrary : generatorLibrary];
    default:
      return use satisfies never;
  }
}
