// SPDX-License-Identifier: Apache-2.0
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Library } from "#policy/cel/library";
import { messageSchemas, MessageValue, messageTypes } from "#policy/cel/messages";
import { boolType, dynType, mapOf, objectOf, opaqueOf, stringType } from "#policy/cel/types";
import { parseTimestamp } from "#policy/cel/time";
import { CelError, type CelResult, type CelValue } from "#policy/cel/values";
import { field, isArray, isObject } from "#policy/json";
import type { Json, JsonObject } from "#policy/json";
import { parseJson } from "#policy/text/go-json";
import { declare, globalOverload, traversal } from "./declare.ts";
import { asGoNumbers, worldKey, type WorldValue } from "./world.ts";

const tokenName = "jwt.Token";
const tokens = messageSchemas({
  name: tokenName,
  fields: { Claims: mapOf(stringType, dynType), Valid: boolType },
});
const setType = opaqueOf("jwk.Set");
const tokenType = objectOf(tokenName);

const digests: Readonly<Record<string, string>> = {
  HS256: "sha256",
  HS384: "sha384",
  HS512: "sha512",
};

const failed = (reason: string): CelError => new CelError(`jwt.Parse: ${reason}`);

/**
 * `jwt.Decode(token, key)`: the claims of a token in compact form that was signed with the key (HS256, HS384, HS512), and
 * whether its times fit now. A signature that does not fit is an error (kyverno-authz, pkg/cel/libs/jwt; jwx v3).
 */
function decode({ world }: WorldValue, token: string, key: string): CelResult {
  const parts = token.trim().split(".");
  const [head = "", body = "", signature = ""] = parts;
  if (parts.length !== 3) return failed("a token has three parts");
  const header = jsonOf(head);
  const claims = jsonOf(body);
  if (header === undefined) return failed("failed to parse JOSE headers");
  const reason = signatureProblem(header, `${head}.${body}`, signature, key);
  if (reason !== undefined) return failed(reason);
  if (claims === undefined) return failed("failed to parse token");
  const read = readClaims(claims);
  if (read instanceof CelError) return read;
  const values = new Map<string, CelValue>([
    ["Claims", asGoNumbers(read)],
    ["Valid", isCurrent(read, Math.floor(world.nowMs / 1_000))],
  ]);
  return new MessageValue(tokens, tokenName, values);
}

const base64 = (text: string): Buffer | undefined =>
  /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) ? Buffer.from(text, "base64url") : undefined;

function jsonOf(text: string): JsonObject | undefined {
  const parsed = parseJson(base64(text)?.toString("utf8") ?? "");
  return parsed.ok && isObject(parsed.value) ? parsed.value : undefined;
}

/** The one key of the set has no ID: a token that asks for one finds none. */
function signatureProblem(
  header: JsonObject,
  signed: string,
  signature: string,
  key: string,
): string | undefined {
  const kid = field(header, "kid");
  if (kid !== undefined && kid !== null) return "failed to find key with the token's key ID";
  const stated = field(header, "alg");
  const names = stated === undefined ? Object.keys(digests) : [stated];
  const given = base64(signature);
  for (const name of names) {
    const digest =
      typeof name === "string" && Object.hasOwn(digests, name) ? digests[name] : undefined;
    if (digest === undefined) {
      return "algorithm in the message does not match any of the inferred algorithms";
    }
    const expected = createHmac(digest, key).update(signed).digest();
    if (given?.length === expected.length && timingSafeEqual(given, expected)) return undefined;
  }
  return "could not verify message using any of the signatures or keys";
}

const times = ["exp", "iat", "nbf"];
const texts = ["iss", "jti", "sub"];

/** Registered claims have their types; times are whole seconds, and an audience cannot be shown by the reference. */
function readClaims(claims: JsonObject): JsonObject | CelError {
  const entries: [string, Json][] = [];
  for (const key of Object.keys(claims)) {
    const value = claims[key] ?? null;
    if (key === "aud") {
      return isArray(value) || typeof value === "string"
        ? new CelError("proto: invalid type: []string")
        : failed("invalid value for aud");
    }
    if (texts.includes(key) && typeof value !== "string") return failed(`invalid value for ${key}`);
    const seconds = times.includes(key) ? secondsOf(value) : value;
    if (seconds === undefined) return failed(`invalid value for ${key}`);
    entries.push([key, seconds]);
  }
  return Object.fromEntries(entries);
}

/** A NumericDate is a number of seconds, or a text that holds one or a time of RFC 3339; never before 1970. */
function secondsOf(value: Json): number | undefined {
  if (typeof value === "string" && !/^\d+(\.\d*)?$/.test(value)) {
    const nanos = parseTimestamp(value);
    return nanos === undefined ? undefined : Number(nanos / 1_000_000_000n);
  }
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && number >= 0 && number < 2 ** 63
    ? Math.floor(number)
    : undefined;
}

function isCurrent(claims: JsonObject, now: number): boolean {
  const at = (key: string): number | undefined => {
    const value = field(claims, key);
    return typeof value === "number" ? value : undefined;
  };
  const [expires, issued, notBefore] = [at("exp"), at("iat"), at("nbf")];
  return (
    (expires === undefined || now < expires) &&
    (issued === undefined || now >= issued) &&
    (notBefore === undefined || now >= notBefore)
  );
}

const cost = (_world: CelResult, token: CelResult): number =>
  typeof token === "string" ? traversal(token.length) : 0;

/** Kyverno's jwt library. Key sets come from the network, which nothing here asks. */
export const jwtLibrary: Library = {
  name: "kyverno.jwt",
  objectTypes: messageTypes(tokens),
  functions: [
    declare(
      "jwt.Decode",
      globalOverload("decode_string_string", [stringType, stringType], tokenType, decode, {
        implicit: worldKey,
        cost,
      }),
      globalOverload("decode_string_set", [stringType, setType], tokenType, () => noKeySets),
    ),
    declare(
      "jwks.Fetch",
      globalOverload("fetch_string", [stringType], setType, () => noKeySets),
    ),
  ],
};

const noKeySets = new CelError("jwks.Fetch: key sets are not fetched here", "unsupported");
