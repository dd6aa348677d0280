// SPDX-License-Identifier: Apache-2.0
import { twoVariableComprehensionLibrary } from "#policy/cel/comprehensions-two";
import type { Library } from "#policy/cel/library";
import { optionalLibrary } from "#policy/cel/optionals";
import { authorizerLibrary } from "./authorizer.ts";
import { cidrLibrary } from "./cidr.ts";
import { extendedListsLibrary, listEndsLibrary } from "./extended-lists.ts";
import { formatLibrary } from "./format.ts";
import { ipLibrary } from "./ip.ts";
import { jsonPatchLibrary } from "./json-patch.ts";
import { listsLibrary } from "./lists.ts";
import { quantityLibrary } from "./quantity.ts";
import { regexLibrary } from "./regex.ts";
import { semverLibrary } from "./semver.ts";
import { setsLibrary } from "./sets.ts";
import { stringsLibrary } from "./strings.ts";
import { urlLibrary } from "./url.ts";

/**
 * What kube-apiserver 1.36 offers a ValidatingAdmissionPolicy, and Kyverno's classic `validate.cel`: no math, encoders,
 * bindings or regex extension. Source: k8s.io/apiserver v0.36 pkg/cel/environment/base.go.
 */
export const kubernetesLibraries: readonly Library[] = [
  optionalLibrary,
  listEndsLibrary,
  twoVariableComprehensionLibrary,
  stringsLibrary,
  setsLibrary,
  extendedListsLibrary,
  urlLibrary,
  regexLibrary,
  listsLibrary,
  authorizerLibrary,
  quantityLibrary,
  ipLibrary,
  cidrLibrary,
  formatLibrary,
  semverLibrary,
];

/** What it offers a MutatingAdmissionPolicy: `jsonpatch.escapeKey` too. */
export const kubernetesMutationLibraries: readonly Library[] = [
  ...kubernetesLibraries,
  jsonPatchLibrary,
];
