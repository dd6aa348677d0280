// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { FunctionDeclaration, Library } from "#policy/cel/library";
import { stringType } from "#policy/cel/types";
import type { CelResult } from "#policy/cel/values";
import { alias, declare, globalOverload, traversal } from "./declare.ts";

const cost = (text: CelResult): number => (typeof text === "string" ? traversal(text.length) : 0);

const digest = (algorithm: string): readonly FunctionDeclaration[] =>
  alias(
    declare(
      algorithm,
      globalOverload(
        `${algorithm}_string`,
        [stringType],
        stringType,
        (text: string) => createHash(algorithm).update(text, "utf8").digest("hex"),
        { cost },
      ),
    ),
    `hash.${algorithm}`,
  );

/** Kyverno's hash library: digests of a text's UTF-8 as lower-case hex. */
export const hashLibrary: Library = {
  name: "kyverno.hash",
  functions: [...digest("md5"), ...digest("sha1"), ...digest("sha256")],
};
