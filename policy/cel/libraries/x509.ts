// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { dynType, stringType } from "#policy/cel/types";
import { CelError, type CelResult } from "#policy/cel/values";
import { decodeCertificate } from "#policy/text/certificate";
import { declare, globalOverload } from "./declare.ts";
import { asGoNumbers } from "./world.ts";

function decode(text: string): CelResult {
  const certificate = decodeCertificate(text);
  return certificate.ok ? asGoNumbers(certificate.value) : new CelError(certificate.message);
}

/** Kyverno's x509 library: a PEM certificate or request with an RSA key as a map. */
export const x509Library: Library = {
  name: "kyverno.x509",
  functions: [
    declare(
      "x509.decode",
      globalOverload("x509_decode_string", [stringType], dynType, decode, {
        cost: (text) => (typeof text === "string" ? text.length : 0),
      }),
    ),
  ],
};
