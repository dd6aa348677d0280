// SPDX-License-Identifier: Apache-2.0
import { createHash, timingSafeEqual } from "node:crypto";

/** Who may send alerts, and how they show it. Names appear in records; secrets never do. */
export type Credentials = {
  readonly tokens: readonly { readonly name: string; readonly token: string }[];
  readonly basic: readonly {
    readonly name: string;
    readonly user: string;
    readonly password: string;
  }[];
  /** Subject alternative names (or common names) of client certificates; empty: any that the CA signed. */
  readonly certificateNames: readonly string[];
  /** Whether client certificates count at all. */
  readonly certificates: boolean;
};

/** A client certificate as TLS verified it; undefined when there is none or it is not valid now. */
export type ClientCertificate = { readonly names: readonly string[] };

/** Name of the sender, undefined for nobody. Compares every secret, in the same time whatever is sent. */
export function authenticate(
  credentials: Credentials,
  authorization: string | undefined,
  certificate: ClientCertificate | undefined,
): string | undefined {
  const bearer = /^bearer ([\x21-\x7e]{1,4096})$/i.exec(authorization ?? "")?.[1];
  const basic = decodeBasic(authorization);
  let sender: string | undefined;
  for (const one of credentials.tokens) {
    if (isSame(bearer ?? "", one.token) && bearer !== undefined) sender = one.name;
  }
  for (const one of credentials.basic) {
    if (isSame(basic ?? "", `${one.user}:${one.password}`) && basic !== undefined)
      sender = one.name;
  }
  if (sender !== undefined) return sender;
  if (!credentials.certificates || certificate === undefined) return undefined;
  const { certificateNames } = credentials;
  if (certificateNames.length === 0) return `certificate ${certificate.names[0] ?? ""}`.trim();
  const name = certificate.names.find((one) => certificateNames.includes(one));
  return name === undefined ? undefined : `certificate ${name}`;
}

function decodeBasic(authorization: string | undefined): string | undefined {
  const encoded = /^basic ([A-Za-z0-9+/=]{1,8192})$/i.exec(authorization ?? "")?.[1];
  return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8");
}

/** Hashes first, so that neither length nor content shows in the time. */
function isSame(given: string, stored: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(stored));
}
