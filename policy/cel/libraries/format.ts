// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { listOf, objectOf, optionalOf, stringType } from "#policy/cel/types";
import { Optional, optionalNone, type CelResult } from "#policy/cel/values";
import { namedFormats, type NamedFormat } from "#policy/kubernetes/format-names";
import { declare, globalOverload, memberOverload, Opaque, traversal } from "./declare.ts";

const formatType = objectOf("kubernetes.NamedFormat");

const same = (a: NamedFormat, b: NamedFormat): boolean => a.name === b.name;

const box = (format: NamedFormat): Opaque<NamedFormat> => new Opaque(formatType, format, same);

function named(name: string): CelResult {
  const format = namedFormats.get(name);
  return format === undefined ? optionalNone : new Optional(box(format));
}

function validate(format: Opaque<NamedFormat>, text: string): CelResult {
  const problems = format.held.check(text);
  return problems.length === 0 ? optionalNone : new Optional(problems);
}

/** Kubernetes' format library: `format.named(name)` and one function per format. */
export const formatLibrary: Library = {
  name: "kubernetes.format",
  functions: [
    declare(
      "format.named",
      globalOverload("format-named", [stringType], optionalOf(formatType), named),
    ),
    declare(
      "validate",
      memberOverload(
        "format-validate",
        [formatType, stringType],
        optionalOf(listOf(stringType)),
        validate,
        { cost: (_format, text) => (typeof text === "string" ? traversal(text.length) * 15 : 0) },
      ),
    ),
    ...[...namedFormats].map(([name, format]) => {
      const value = box(format);
      return declare(
        `format.${name}`,
        globalOverload(`format.${name}`, [], formatType, () => value),
      );
    }),
  ],
};
