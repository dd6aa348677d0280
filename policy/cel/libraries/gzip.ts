// SPDX-License-Identifier: Apache-2.0
import { gunzipSync, gzipSync } from "node:zlib";
import { typeNameOf } from "#policy/cel/compare";
import type { Library } from "#policy/cel/library";
import { bytesType, dynType, stringType } from "#policy/cel/types";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { declare, globalOverload, textLengthMax, tooLarge } from "./declare.ts";

/** Where a gzip header names the system it was made on; Go writes 255, "unknown". */
const systemByte = 9;

function compress(value: CelValue): CelResult {
  if (typeof value !== "string") {
    return new CelError(`unsupported native conversion from ${typeNameOf(value)} to 'string'`);
  }
  const bytes = new Uint8Array(gzipSync(Buffer.from(value, "utf8")));
  bytes[systemByte] = 255;
  return bytes;
}

/** Reads at most the largest text that a function may make: a small archive can stand for gigabytes. */
function decompress(bytes: Uint8Array): CelResult {
  try {
    return gunzipSync(bytes, { maxOutputLength: textLengthMax }).toString("utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ERR_BUFFER_TOO_LARGE") return tooLarge("gzip.decompress");
    if (code === "Z_BUF_ERROR") return new CelError("unexpected EOF");
    if (code === "Z_DATA_ERROR") return new CelError("gzip: invalid header");
    throw error;
  }
}

/**
 * Kyverno's gzip library. What is compressed here unpacks to the same text as the reference's, but is not the same bytes:
 * Go and zlib choose other ways to say it.
 */
export const gzipLibrary: Library = {
  name: "kyverno.gzip",
  functions: [
    declare(
      "gzip.compress",
      globalOverload("compress_any_bytes", [dynType], bytesType, compress, {
        cost: (text) => (typeof text === "string" ? text.length / 10 : 0),
      }),
    ),
    declare(
      "gzip.decompress",
      globalOverload("decompress_bytes_string", [bytesType], stringType, decompress, {
        cost: (bytes) => (bytes instanceof Uint8Array ? bytes.length : 0),
      }),
    ),
  ],
};
