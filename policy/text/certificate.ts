// SPDX-License-Identifier: Apache-2.0
import type { Json, JsonObject } from "#policy/json";
import {
  extensionFields,
  noExtensionFields,
  parseExtensions,
  type Extension,
} from "#policy/text/certificate-extensions";
import {
  bitsOf,
  identifierOf,
  integerOf,
  partsOf,
  readAll,
  textOfDer,
  timeOf,
  type Der,
} from "#policy/text/der";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** Longest PEM text, in characters. */
export const pemLengthMax = 262_144;

/**
 * A PEM certificate or certificate request as Kyverno's `x509_decode` shows it: the JSON of Go's x509.Certificate,
 * with the key as `{N, E}`; RSA only, as there. Never throws.
 */
export function decodeCertificate(pem: string): Parsed<Json> {
  const block = pem.length > pemLengthMax ? undefined : readPem(pem);
  if (block === undefined) return unparsed("failed to decode PEM block");
  if (block.type !== "CERTIFICATE" && block.type !== "CERTIFICATE REQUEST") {
    return unparsed("PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST");
  }
  const [outer] = readAll(block.bytes) ?? [];
  const [toBeSigned, algorithm, signature] = partsOf(outer);
  if (outer === undefined || toBeSigned === undefined || signature === undefined) {
    return unparsed("x509: malformed certificate");
  }
  const common: JsonObject = {
    Raw: base64(outer.raw),
    Signature: base64(bitsOf(signature)),
    SignatureAlgorithm: signatureAlgorithm(algorithm),
    PublicKeyAlgorithm: 1,
  };
  return block.type === "CERTIFICATE"
    ? readCertificate(toBeSigned, common)
    : readRequest(toBeSigned, common);
}

function readPem(text: string): { readonly type: string; readonly bytes: Uint8Array } | undefined {
  const found = /-----BEGIN ([^-\n]*)-----\s*([^-]*)-----END ([^-\n]*)-----/.exec(text);
  if (found === null || found[1] !== found[3]) return undefined;
  const body = (found[2] ?? "").replaceAll(/\s/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(body)) return undefined;
  return { type: found[1] ?? "", bytes: Buffer.from(body, "base64") };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

const explicit = (number: number): number => 0xa0 + number;

function readCertificate(toBeSigned: Der, common: JsonObject): Parsed<Json> {
  const all = partsOf(toBeSigned);
  const version = all[0]?.tag === explicit(0) ? partsOf(all[0])[0] : undefined;
  const parts = version === undefined ? all : all.slice(1);
  const [serial, , issuer, validity, subject, keyInfo] = parts;
  const key = readKey(keyInfo);
  if (!key.ok) return key;
  const [from, until] = partsOf(validity);
  const [list] = partsOf(parts.find((part) => part.tag === explicit(3)));
  const extensions = parseExtensions(list);
  return parsed({
    ...common,
    RawTBSCertificate: base64(toBeSigned.raw),
    RawSubjectPublicKeyInfo: rawText(keyInfo),
    RawSubject: rawText(subject),
    RawIssuer: rawText(issuer),
    PublicKey: key.value,
    Version: Number(integerOf(version)) + 1,
    SerialNumber: Number(integerOf(serial)),
    Issuer: readName(issuer),
    Subject: readName(subject),
    NotBefore: timeOf(from),
    NotAfter: timeOf(until),
    Extensions: listOrNull(extensions.map(({ json }) => json)),
    ExtraExtensions: null,
    UnhandledCriticalExtensions: null,
    ...noExtensionFields,
    ...extensionFields(extensions),
  });
}

function readRequest(toBeSigned: Der, common: JsonObject): Parsed<Json> {
  const [version, subject, keyInfo, attributes] = partsOf(toBeSigned);
  const key = readKey(keyInfo);
  if (!key.ok) return key;
  const requested = partsOf(attributes).find(
    (attribute) => identifierOf(partsOf(attribute)[0]).join(".") === extensionRequest,
  );
  const [list] = partsOf(partsOf(requested)[1]);
  const extensions = parseExtensions(list);
  const names = extensionFields(extensions);
  return parsed({
    ...common,
    RawTBSCertificateRequest: base64(toBeSigned.raw),
    RawSubjectPublicKeyInfo: rawText(keyInfo),
    RawSubject: rawText(subject),
    PublicKey: key.value,
    Version: Number(integerOf(version)),
    Subject: readName(subject),
    Attributes: requested === undefined ? null : [requestedAttribute(extensions)],
    Extensions: listOrNull(extensions.map(({ json }) => json)),
    ExtraExtensions: null,
    DNSNames: names["DNSNames"] ?? null,
    EmailAddresses: names["EmailAddresses"] ?? null,
    IPAddresses: names["IPAddresses"] ?? null,
    URIs: names["URIs"] ?? null,
  });
}

/** PKCS #9 extensionRequest. */
const extensionRequest = "1.2.840.113549.1.9.14";

/** The requested extensions once more, as Go shows attributes. */
function requestedAttribute(extensions: readonly Extension[]): Json {
  const type = extensionRequest.split(".").map(Number);
  const shown = extensions.map(({ identifier, value }) => ({
    Type: identifier.split(".").map(Number),
    Value: base64(value),
  }));
  return { Type: type, Value: [shown] };
}

const rsaEncryption = "1.2.840.113549.1.1.1";

const rawText = (element: Der | undefined): Json =>
  element === undefined ? null : base64(element.raw);

const listOrNull = (items: readonly Json[]): Json => (items.length === 0 ? null : items);

function readKey(keyInfo: Der | undefined): Parsed<Json> {
  const [algorithm, bits] = partsOf(keyInfo);
  if (identifierOf(partsOf(algorithm)[0]).join(".") !== rsaEncryption) {
    return unparsed("certificate should use rsa algorithm");
  }
  const [modulus, exponent] = partsOf(readAll(bitsOf(bits))?.[0]);
  if (modulus === undefined || exponent === undefined) {
    return unparsed("failed to parse subject public key info");
  }
  return parsed({ N: integerOf(modulus).toString(), E: Number(integerOf(exponent)) });
}

/** Go's x509.SignatureAlgorithm by object identifier. */
const signatureAlgorithms: Readonly<Record<string, number>> = {
  "1.2.840.113549.1.1.4": 2,
  "1.2.840.113549.1.1.5": 3,
  "1.2.840.113549.1.1.11": 4,
  "1.2.840.113549.1.1.12": 5,
  "1.2.840.113549.1.1.13": 6,
  "1.2.840.10045.4.1": 9,
  "1.2.840.10045.4.3.2": 10,
  "1.2.840.10045.4.3.3": 11,
  "1.2.840.10045.4.3.4": 12,
  "1.3.101.112": 16,
};

const signatureAlgorithm = (algorithm: Der | undefined): number =>
  signatureAlgorithms[identifierOf(partsOf(algorithm)[0]).join(".")] ?? 0;

/** Lists of pkix.Name by the last number of 2.5.4.N. */
const nameLists: Readonly<Record<number, string>> = {
  6: "Country",
  7: "Locality",
  8: "Province",
  9: "StreetAddress",
  10: "Organization",
  11: "OrganizationalUnit",
  17: "PostalCode",
};

function readName(element: Der | undefined): Json {
  const lists = new Map<string, string[]>();
  const names: Json[] = [];
  let commonName = "";
  let serialNumber = "";
  for (const attribute of partsOf(element).flatMap(partsOf)) {
    const [type, text] = partsOf(attribute);
    const identifier = identifierOf(type);
    const value = textOfDer(text);
    names.push({ Type: identifier, Value: value });
    if (identifier.slice(0, 3).join(".") !== "2.5.4" || identifier.length !== 4) continue;
    const last = identifier[3] ?? 0;
    if (last === 3) commonName = value;
    if (last === 5) serialNumber = value;
    const list = nameLists[last];
    if (list !== undefined) lists.set(list, [...(lists.get(list) ?? []), value]);
  }
  return {
    ...Object.fromEntries(
      Object.values(nameLists).map((list): [string, Json] => [list, lists.get(list) ?? null]),
    ),
    SerialNumber: serialNumber,
    CommonName: commonName,
    Names: listOrNull(names),
    ExtraNames: null,
  };
}
