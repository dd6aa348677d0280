// SPDX-License-Identifier: Apache-2.0
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { isArray, parseJson } from "#policy/json";

/** Somebody who may see remediations and, unless the role is `view`, decide on them. Its token is a secret of at least 16 characters. */
export type Reviewer = {
  readonly name: string;
  readonly token: string;
  readonly role?: "view" | "review" | undefined;
};

export type Session = { readonly reviewer: string; readonly expiresAtMs: number };

/** A working day; after it a reviewer logs in again. */
export const sessionMs = 8 * 60 * 60 * 1000;

export const cookieName = "parapet_session";

/** Compares secrets of any length without telling by time how much of them agrees. */
export function sameSecret(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** The reviewer of that name and token; every reviewer is compared, so that time does not tell which names exist. */
export function findReviewer(
  reviewers: readonly Reviewer[],
  name: string,
  token: string,
): Reviewer | undefined {
  return reviewers.filter((reviewer) =>
    sameSecret(`${reviewer.name}\n${reviewer.token}`, `${name}\n${token}`),
  )[0];
}

/** A session as a cookie value: what it says and a signature by `key`. */
export function sealSession(session: Session, key: string): string {
  const payload = Buffer.from(JSON.stringify([session.reviewer, session.expiresAtMs])).toString(
    "base64url",
  );
  return `${payload}.${sign(payload, key)}`;
}

/** The session of a cookie value; undefined when it is not ours, was changed, or is over. */
export function openSession(value: string, key: string, nowMs: number): Session | undefined {
  const [payload, signature, ...rest] = value.split(".");
  if (payload === undefined || signature === undefined || rest.length > 0) return undefined;
  if (!sameSecret(signature, sign(payload, key))) return undefined;
  // Signed by us, so the text inside is ours.
  const content = parseJson(Buffer.from(payload, "base64url").toString("utf8"));
  if (!isArray(content)) return undefined;
  const [reviewer, expiresAtMs] = content;
  if (typeof reviewer !== "string" || typeof expiresAtMs !== "number" || nowMs >= expiresAtMs)
    return undefined;
  return { reviewer, expiresAtMs };
}

/** A value that only a page of this session can carry: a form without it came from somewhere else. */
export const formToken = (session: Session, key: string): string =>
  sign(`form ${session.reviewer} ${session.expiresAtMs}`, key);

/** The session cookie's value in a Cookie header. */
export function cookieOf(header: string | undefined): string | undefined {
  const pairs = (header ?? "").split(";").map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1);
}

/**
 * Lax, so that a link in a message leads to its page: reading changes nothing, and what changes something carries the session's own token.
 * `Secure` is left out only where the console itself is served without TLS.
 */
export function setCookie(value: string, maxAgeSeconds: number, secure: boolean): string {
  const flags = ["Path=/console", "HttpOnly", "SameSite=Lax", `Max-Age=${maxAgeSeconds}`];
  return [`${cookieName}=${value}`, ...flags, ...(secure ? ["Secure"] : [])].join("; ");
}

const sign = (text: string, key: string): string =>
  createHmac("sha256", key).update(text).digest("base64url");
