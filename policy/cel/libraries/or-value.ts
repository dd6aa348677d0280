// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { dynType } from "#policy/cel/types";
import { Optional, type CelValue } from "#policy/cel/values";
import { declare, globalOverload } from "./declare.ts";

const name = "__orValueCompat__";

/** The value of an optional or the alternative; any other value as it is. Unlike the language's own, of type `dyn` and eager. */
function orValue(value: CelValue, alternative: CelValue): CelValue {
  if (!(value instanceof Optional)) return value;
  return value.value === undefined ? alternative : value.value;
}

/**
 * Kyverno's `orValue`, which policies may call on values that are no optionals. It replaces the language's own when it
 * stands after the optional library. Source: kyverno v1.19 pkg/cel/compiler/env.go, OrValueCompatEnvOptions.
 */
export const orValueLibrary: Library = {
  name: "kyverno.orValue",
  macros: [
    {
      name: "orValue",
      receiver: true,
      arity: 1,
      expand: (make, target, [alternative]) =>
        target === undefined || alternative === undefined
          ? undefined
          : make.invoke(name, target, alternative),
    },
  ],
  functions: [
    declare(name, globalOverload(`${name}_dyn_dyn`, [dynType, dynType], dynType, orValue)),
  ],
};
