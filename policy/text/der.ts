// SPDX-License-Identifier: Apache-2.0

/** One element of DER-encoded ASN.1. `content` and `raw` are views of the input. */
export type Der = {
  /** The whole tag byte: class, constructed bit and number. */
  readonly tag: number;
  readonly content: Uint8Array;
  readonly raw: Uint8Array;
};

export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Most elements read on one level: real certificates have a few dozen. */
const elementsMax = 10_000;

/** The elements that stand one after another in `bytes`; undefined when that is no DER. */
export function readAll(bytes: Uint8Array): readonly Der[] | undefined {
  const elements: Der[] = [];
  let position = 0;
  while (position < bytes.length) {
    const element = readOne(bytes, position);
    if (element === undefined || elements.length >= elementsMax) return undefined;
    elements.push(element);
    position += element.raw.length;
  }
  return elements;
}

/** The parts of a sequence or set, none when it is neither. */
export function partsOf(element: Der | undefined): readonly Der[] {
  return element === undefined ? [] : (readAll(element.content) ?? []);
}

function readOne(bytes: Uint8Array, start: number): Der | undefined {
  const tag = bytes[start];
  const first = bytes[start + 1];
  // Tags above 30 take several bytes and stand in no certificate.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  let length = first;
  let contentStart = start + 2;
  if (first >= 0x80) {
    const count = first - 0x80;
    if (count === 0 || count > 4) return undefined;
    length = 0;
    for (let index = 0; index < count; index += 1) {
      length = length * 256 + (bytes[contentStart + index] ?? 0);
    }
    contentStart += count;
  }
  const end = contentStart + length;
  if (end > bytes.length) return undefined;
  return { tag, content: bytes.subarray(contentStart, end), raw: bytes.subarray(start, end) };
}

/** A signed whole number. */
export function integerOf(element: Der | undefined): bigint {
  if (element === undefined || element.content.length === 0) return 0n;
  const magnitude = BigInt(`0x${Buffer.from(element.content).toString("hex")}`);
  return BigInt.asIntN(element.content.length * 8, magnitude);
}

/** The numbers of an object identifier. */
export function identifierOf(element: Der | undefined): readonly number[] {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of element?.content ?? []) {
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (numbers.length === 0) {
      const root = Math.min(Math.trunc(value / 40), 2);
      numbers.push(root, value - root * 40);
    } else {
      numbers.push(value);
    }
    value = 0;
  }
  return numbers;
}

/** The bytes of a bit string that fills whole bytes. */
export const bitsOf = (element: Der | undefined): Uint8Array =>
  element?.content.subarray(1) ?? new Uint8Array();

const utf16BigEndian = 0x1e;

export function textOfDer(element: Der | undefined): string {
  if (element === undefined) return "";
  if (element.tag !== utf16BigEndian) return Buffer.from(element.content).toString("utf8");
  return Buffer.from(element.content).swap16().toString("utf16le");
}

/** A UTCTime or GeneralizedTime as RFC 3339; '' when it is neither. */
export function timeOf(element: Der | undefined): string {
  const text = textOfDer(element);
  const short = /^([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z$/;
  const long = /^([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})Z$/;
  const found = (element?.tag === derTag.utcTime ? short : long).exec(text);
  if (found === null) return "";
  const [, year = "", month, day, hour, minute, second] = found;
  // X.509: two digits from 50 on belong to the last century.
  const century = year.length === 4 ? "" : Number(year) >= 50 ? "19" : "20";
  return `${century}${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}
