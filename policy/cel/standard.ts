// SPDX-License-Identifier: Apache-2.0
import type { Library } from "./library.ts";

/** Operators, conversions, strings, timestamps and the standard macros: what every environment has. */
export const standardLibrary: Library = { name: "standard" };
