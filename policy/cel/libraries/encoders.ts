// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { bytesType, stringType } from "#policy/cel/types";
import { CelError, type CelResult } from "#policy/cel/values";
import { declare, globalOverload, traversal } from "./declare.ts";

/** cel-go's encoders extension: base64. */
export const encodersLibrary: Library = {
  name: "cel.lib.ext.encoders",
  functions: [
    declare(
      "base64.decode",
      globalOverload("base64_decode_string", [stringType], bytesType, decode, {
        cost: (text) => (typeof text === "string" ? traversal(text.length) : 0),
      }),
    ),
    declare(
      "base64.encode",
      globalOverload("base64_encode_bytes", [bytesType], stringType, encode, {
        cost: (bytes) => (bytes instanceof Uint8Array ? traversal(bytes.length) : 0),
      }),
    ),
  ],
};

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** With or without padding; line breaks are skipped, as Go's encoding/base64 does. */
function decode(text: string): CelResult {
  const plain = text.replace(/[\r\n]/g, "");
  const bare = plain.replace(/={0,2}$/, "");
  const padding = plain.length - bare.length;
  const whole = padding === 0 ? bare.length % 4 !== 1 : plain.length % 4 === 0;
  if (whole && /^[A-Za-z0-9+/]*$/.test(bare)) return new Uint8Array(Buffer.from(bare, "base64"));
  return new CelError(`illegal base64 data at input byte ${corruptByte(text)}`);
}

/** Where Go's raw decoder, which is tried last, stops: at the first foreign byte, else in the incomplete last group. */
function corruptByte(text: string): number {
  let seen = 0;
  const bytes = Buffer.from(text, "utf8");
  for (const [place, byte] of bytes.entries()) {
    const character = String.fromCharCode(byte);
    if (character === "\r" || character === "\n") continue;
    if (!/^[A-Za-z0-9+/]$/.test(character)) return place;
    seen += 1;
  }
  return bytes.length - (seen % 4);
}
