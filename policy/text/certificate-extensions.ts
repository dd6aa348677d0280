// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import {
  bitsOf,
  derTag,
  identifierOf,
  integerOf,
  partsOf,
  readAll,
  textOfDer,
  type Der,
} from "#policy/text/der";
import { formatIp } from "#policy/kubernetes/ip";

export type Extension = {
  readonly identifier: string;
  readonly value: Uint8Array;
  /** As Go's pkix.Extension prints it. */
  readonly json: Json;
};

export function parseExtensions(list: Der | undefined): readonly Extension[] {
  return partsOf(list).map((element) => {
    const [identifier, second, third] = partsOf(element);
    const critical = second?.tag === derTag.boolean && second.content[0] !== 0;
    const value = (third ?? second)?.content ?? new Uint8Array();
    const numbers = identifierOf(identifier);
    return {
      identifier: numbers.join("."),
      value,
      json: { Id: numbers, Critical: critical, Value: Buffer.from(value).toString("base64") },
    };
  });
}

/** What a certificate without extensions says of them. */
export const noExtensionFields: JsonObject = {
  KeyUsage: 0,
  ExtKeyUsage: null,
  UnknownExtKeyUsage: null,
  BasicConstraintsValid: false,
  IsCA: false,
  MaxPathLen: 0,
  MaxPathLenZero: false,
  SubjectKeyId: null,
  AuthorityKeyId: null,
  OCSPServer: null,
  IssuingCertificateURL: null,
  DNSNames: null,
  EmailAddresses: null,
  IPAddresses: null,
  URIs: null,
  PermittedDNSDomainsCritical: false,
  PermittedDNSDomains: null,
  ExcludedDNSDomains: null,
  PermittedIPRanges: null,
  ExcludedIPRanges: null,
  PermittedEmailAddresses: null,
  ExcludedEmailAddresses: null,
  PermittedURIDomains: null,
  ExcludedURIDomains: null,
  CRLDistributionPoints: null,
  PolicyIdentifiers: null,
  Policies: null,
  InhibitAnyPolicy: 0,
  InhibitAnyPolicyZero: false,
  InhibitPolicyMapping: 0,
  InhibitPolicyMappingZero: false,
  RequireExplicitPolicy: 0,
  RequireExplicitPolicyZero: false,
  PolicyMappings: null,
};

/** The fields that known extensions set. */
export function extensionFields(extensions: readonly Extension[]): JsonObject {
  const fields: [string, Json][] = [];
  for (const { identifier, value } of extensions) {
    const read = Object.hasOwn(readers, identifier) ? readers[identifier] : undefined;
    const [first] = readAll(value) ?? [];
    if (read !== undefined && first !== undefined) fields.push(...Object.entries(read(first)));
  }
  return Object.fromEntries(fields);
}

const readers: Readonly<Record<string, (value: Der) => JsonObject>> = {
  "2.5.29.14": (value) => ({ SubjectKeyId: Buffer.from(value.content).toString("base64") }),
  "2.5.29.15": (value) => ({ KeyUsage: keyUsage(value) }),
  "2.5.29.17": subjectNames,
  "2.5.29.19": basicConstraints,
  "2.5.29.31": (value) => ({ CRLDistributionPoints: locations(value) }),
  "2.5.29.32": (value) => {
    const identifiers = partsOf(value).map((policy) => identifierOf(partsOf(policy)[0]));
    return {
      PolicyIdentifiers: identifiers,
      Policies: identifiers.map((numbers) => numbers.join(".")),
    };
  },
  "2.5.29.35": (value) => {
    const keyId = partsOf(value).find(({ tag }) => tag === 0x80);
    return keyId === undefined
      ? {}
      : { AuthorityKeyId: Buffer.from(keyId.content).toString("base64") };
  },
  "2.5.29.37": extendedKeyUsage,
  "1.3.6.1.5.5.7.1.1": authorityAccess,
};

function keyUsage(value: Der): number {
  let usage = 0;
  for (const [index, byte] of bitsOf(value).entries()) {
    for (let bit = 0; bit < 8; bit += 1) {
      if ((byte & (0x80 >> bit)) !== 0) usage |= 1 << (index * 8 + bit);
    }
  }
  return usage;
}

function basicConstraints(value: Der): JsonObject {
  const parts = partsOf(value);
  const authority = parts.some(({ tag, content }) => tag === derTag.boolean && content[0] !== 0);
  const length = parts.find(({ tag }) => tag === derTag.integer);
  const maximum = length === undefined ? -1 : Number(integerOf(length));
  return {
    BasicConstraintsValid: true,
    IsCA: authority,
    MaxPathLen: maximum,
    MaxPathLenZero: maximum === 0,
  };
}

/** Kinds of GeneralName by their tag. */
const nameKinds: Readonly<Record<number, string>> = {
  0x81: "EmailAddresses",
  0x82: "DNSNames",
  0x86: "URIs",
  0x87: "IPAddresses",
};

function subjectNames(value: Der): JsonObject {
  const lists = new Map<string, Json[]>();
  for (const name of partsOf(value)) {
    const kind = nameKinds[name.tag];
    if (kind === undefined) continue;
    const shown = kind === "IPAddresses" ? addressText(name.content) : shownName(kind, name);
    if (shown !== undefined) lists.set(kind, [...(lists.get(kind) ?? []), shown]);
  }
  return Object.fromEntries(lists);
}

function shownName(kind: string, name: Der): Json {
  const text = textOfDer(name);
  if (kind !== "URIs") return text;
  const [, scheme = "", host = "", path = ""] = /^([^:]*):(?:\/\/([^/?#]*))?(.*)$/.exec(text) ?? [];
  return {
    Scheme: scheme,
    Opaque: "",
    User: null,
    Host: host,
    Path: path,
    RawPath: "",
    OmitHost: false,
    ForceQuery: false,
    RawQuery: "",
    Fragment: "",
    RawFragment: "",
  };
}

function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined;
  const bits = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
  return formatIp({ family: bytes.length === 4 ? 4 : 6, bits });
}

/** Go's x509.ExtKeyUsage by object identifier. */
const extendedUsages: Readonly<Record<string, number>> = {
  "2.5.29.37.0": 0,
  "1.3.6.1.5.5.7.3.1": 1,
  "1.3.6.1.5.5.7.3.2": 2,
  "1.3.6.1.5.5.7.3.3": 3,
  "1.3.6.1.5.5.7.3.4": 4,
  "1.3.6.1.5.5.7.3.5": 5,
  "1.3.6.1.5.5.7.3.6": 6,
  "1.3.6.1.5.5.7.3.7": 7,
  "1.3.6.1.5.5.7.3.8": 8,
  "1.3.6.1.5.5.7.3.9": 9,
};

function extendedKeyUsage(value: Der): JsonObject {
  const identifiers = partsOf(value).map(identifierOf);
  const known = identifiers.flatMap((numbers) => extendedUsages[numbers.join(".")] ?? []);
  const unknown = identifiers.filter((numbers) => extendedUsages[numbers.join(".")] === undefined);
  return {
    ExtKeyUsage: known.length === 0 ? null : known,
    UnknownExtKeyUsage: unknown.length === 0 ? null : unknown,
  };
}

/** The URIs anywhere in a list of distribution points. */
function locations(value: Der): Json {
  const found = partsOf(value)
    .flatMap((point) => partsOf(partsOf(point)[0]))
    .flatMap((names) => partsOf(names))
    .filter(({ tag }) => tag === 0x86)
    .map(textOfDer);
  return found.length === 0 ? null : found;
}

function authorityAccess(value: Der): JsonObject {
  const by = (method: string): Json => {
    const found = partsOf(value)
      .map(partsOf)
      .filter(([identifier]) => identifierOf(identifier).join(".") === method)
      .flatMap(([, location]) => (location?.tag === 0x86 ? [textOfDer(location)] : []));
    return found.length === 0 ? null : found;
  };
  return { OCSPServer: by("1.3.6.1.5.5.7.48.1"), IssuingCertificateURL: by("1.3.6.1.5.5.7.48.2") };
}
