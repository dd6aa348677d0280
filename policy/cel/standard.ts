// SPDX-License-Identifier: Apache-2.0
import type { Library } from "./library.ts";
import { standardMacros } from "./macros.ts";
import { conversionFunctions } from "./standard-conversions.ts";
import { operatorFunctions } from "./standard-operators.ts";
import { textFunctions } from "./standard-text.ts";
import { timeFunctions } from "./standard-time.ts";
import { typeConstants } from "./standard-types.ts";

/** Operators, conversions, strings, timestamps and the standard macros: what every environment has. */
export const standardLibrary: Library = {
  name: "standard",
  functions: [...operatorFunctions, ...conversionFunctions, ...textFunctions, ...timeFunctions],
  macros: standardMacros,
  constants: typeConstants,
};
