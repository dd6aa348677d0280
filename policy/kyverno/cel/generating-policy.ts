// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { compileUnsupportedPolicy } from "#policy/kyverno/cel/unsupported-policy";
import type { KindCompilation } from "#policy/kyverno/kind-compilation";

export function compileGeneratingPolicy(document: JsonObject): KindCompilation {
  return compileUnsupportedPolicy(
    document,
    "KyvernoGeneratingPolicy",
    "this kind is not built in yet",
  );
}
