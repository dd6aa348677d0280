// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { stringType } from "#policy/cel/types";
import { declare, globalOverload } from "./declare.ts";

/** Escapes a key for use in a JSON pointer, each character once. */
export const escapePointerKey = (key: string): string =>
  key.replace(/[~/]/g, (mark) => (mark === "~" ? "~0" : "~1"));

/** Kubernetes' jsonpatch library, which only mutating policies have. */
export const jsonPatchLibrary: Library = {
  name: "kubernetes.jsonpatch",
  functions: [
    declare(
      "jsonpatch.escapeKey",
      globalOverload(
        "string_jsonpatch_escapeKey_string",
        [stringType],
        stringType,
        escapePointerKey,
      ),
    ),
  ],
};
