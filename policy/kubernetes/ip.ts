// SPDX-License-Identifier: Apache-2.0
import { quoteText } from "#policy/kubernetes/go-text";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** An IP address without a zone. `bits` is the address as one number. */
export type Address = { readonly family: 4 | 6; readonly bits: bigint };

/** Longest text read as an address, zone included. */
export const addressLengthMax = 256;

/**
 * Reads an address as Kubernetes' CEL library does: Go's netip.ParseAddr, and then neither zones nor IPv4 addresses
 * mapped into IPv6. Never throws; the message is the reference's.
 */
export function parseIp(text: string): Parsed<Address> {
  const address = parseAddress(text);
  if (!address.ok) {
    return unparsed(
      `IP Address ${quoteText(text)} parse error during conversion from string: ${address.message}`,
    );
  }
  const { zone, ...plain } = address.value;
  if (zone !== "") {
    return unparsed(`IP address ${quoteText(text)} with zone value is not allowed`);
  }
  if (isMapped(plain)) {
    return unparsed(`IPv4-mapped IPv6 address ${quoteText(text)} is not allowed`);
  }
  return parsed(plain);
}

/** The canonical text: dotted IPv4, or RFC 5952's IPv6. */
export function formatIp(address: Address): string {
  if (address.family === 4) return dotted(address.bits);
  if (isMapped(address)) return `::ffff:${dotted(address.bits & 0xffffffffn)}`;
  const groups = Array.from({ length: 8 }, (_, index) => group(address.bits, index));
  const gap = longestZeroRun(groups);
  const hex = groups.map((value) => value.toString(16));
  if (gap.length < 2) return hex.join(":");
  return `${hex.slice(0, gap.start).join(":")}::${hex.slice(gap.start + gap.length).join(":")}`;
}

export const sameIp = (a: Address, b: Address): boolean =>
  a.family === b.family && a.bits === b.bits;

/** Whether the address is an IPv4 address written as IPv6, `::ffff:1.2.3.4`. */
export const isMapped = (address: Address): boolean =>
  address.family === 6 && address.bits >> 32n === 0xffffn;

export const isUnspecified = (address: Address): boolean => address.bits === 0n;

export const isLoopback = (address: Address): boolean =>
  address.family === 4 ? address.bits >> 24n === 127n : address.bits === 1n;

export const isLinkLocalMulticast = (address: Address): boolean =>
  address.family === 4
    ? address.bits >> 8n === 0xe00000n
    : ((address.bits >> 112n) & 0xff0fn) === 0xff02n;

export const isLinkLocalUnicast = (address: Address): boolean =>
  address.family === 4 ? address.bits >> 16n === 0xa9fen : address.bits >> 118n === 0x3fan;

/** As Go's IsGlobalUnicast: private ranges count as global. */
export const isGlobalUnicast = (address: Address): boolean =>
  !(address.family === 4 && address.bits === 0xffffffffn) &&
  !isUnspecified(address) &&
  !isLoopback(address) &&
  !isMulticast(address) &&
  !isLinkLocalUnicast(address);

const isMulticast = (address: Address): boolean =>
  address.family === 4 ? address.bits >> 28n === 0xen : address.bits >> 120n === 0xffn;

/** netip.ParseAddr: an address with its zone, which is '' for none. Messages are Go's. */
export function parseAddress(text: string): Parsed<Address & { readonly zone: string }> {
  const wrong = (message: string, rest = ""): { readonly ok: false; readonly message: string } =>
    unparsed(
      `ParseAddr(${quoteText(text)}): ${message}${rest === "" ? "" : ` (at ${quoteText(rest)})`}`,
    );
  if (text.length > addressLengthMax) return wrong("text too long");
  const mark = /[.:%]/.exec(text)?.[0];
  if (mark === undefined) return wrong("unable to parse IP");
  if (mark === "%") return wrong("missing IPv6 address");
  if (mark === ".") {
    const fields = parseDotted(text, wrong);
    return fields.ok ? parsed({ family: 4, bits: fields.value, zone: "" }) : fields;
  }
  const percent = text.indexOf("%");
  const zone = percent === -1 ? "" : text.slice(percent + 1);
  if (percent !== -1 && zone === "") return wrong("zone must be a non-empty string");
  const bits = parseGroups(percent === -1 ? text : text.slice(0, percent), wrong);
  return bits.ok ? parsed({ family: 6, bits: bits.value, zone }) : bits;
}

type Wrong = (message: string, rest?: string) => { readonly ok: false; readonly message: string };

function parseDotted(text: string, wrong: Wrong): Parsed<bigint> {
  let bits = 0n;
  let value = 0;
  let digits = 0;
  let dots = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character >= "0" && character <= "9") {
      if (digits === 1 && value === 0) return wrong("IPv4 field has octet with leading zero");
      value = value * 10 + Number(character);
      digits += 1;
      if (value > 255) return wrong("IPv4 field has value >255");
      continue;
    }
    if (character !== ".") return wrong("unexpected character", text.slice(index));
    if (digits === 0 || index === text.length - 1) {
      return wrong("IPv4 field must have at least one digit", text.slice(index));
    }
    if (dots === 3) return wrong("IPv4 address too long");
    bits = (bits << 8n) | BigInt(value);
    dots += 1;
    value = 0;
    digits = 0;
  }
  if (dots < 3) return wrong("IPv4 address too short");
  return parsed((bits << 8n) | BigInt(value));
}

/** The groups of an IPv6 address, with `::` and a dotted end. */
function parseGroups(text: string, wrong: Wrong): Parsed<bigint> {
  const groups: number[] = [];
  let gap = text.startsWith("::") ? 0 : -1;
  let rest = gap === 0 ? text.slice(2) : text;
  if (gap === 0 && rest === "") return parsed(0n);
  while (groups.length < 8) {
    const digits = /^[0-9a-fA-F]*/.exec(rest)?.[0] ?? "";
    if (digits.length > 4) return wrong("each group must have 4 or less digits", rest);
    if (digits === "") {
      return wrong("each colon-separated field must have at least one digit", rest);
    }
    if (rest.charAt(digits.length) === ".") {
      if (gap < 0 && groups.length !== 6) {
        const place = "embedded IPv4 address must replace the final 2 fields of the address";
        return wrong(place, rest);
      }
      if (groups.length > 6) {
        const room = "too many hex fields to fit an embedded IPv4 at the end of the address";
        return wrong(room, rest);
      }
      const end = parseDotted(rest, wrong);
      if (!end.ok) return end;
      groups.push(Number(end.value >> 16n), Number(end.value & 0xffffn));
      rest = "";
      break;
    }
    groups.push(Number.parseInt(digits, 16));
    rest = rest.slice(digits.length);
    if (rest === "") break;
    if (!rest.startsWith(":")) return wrong("unexpected character, want colon", rest);
    if (rest === ":") return wrong("colon must be followed by more characters", rest);
    rest = rest.slice(1);
    if (!rest.startsWith(":")) continue;
    if (gap >= 0) return wrong("multiple :: in address", rest);
    gap = groups.length;
    rest = rest.slice(1);
    if (rest === "") break;
  }
  if (rest !== "") return wrong("trailing garbage after address", rest);
  return expandGap(groups, gap, wrong);
}

function expandGap(groups: readonly number[], gap: number, wrong: Wrong): Parsed<bigint> {
  if (groups.length < 8 && gap < 0) return wrong("address string too short");
  if (groups.length === 8 && gap >= 0) {
    return wrong("the :: must expand to at least one field of zeros");
  }
  const zeros = Array.from({ length: 8 - groups.length }, () => 0);
  const full = gap < 0 ? groups : [...groups.slice(0, gap), ...zeros, ...groups.slice(gap)];
  return parsed(full.reduce((bits, value) => (bits << 16n) | BigInt(value), 0n));
}

const group = (bits: bigint, index: number): number =>
  Number((bits >> BigInt(112 - index * 16)) & 0xffffn);

const dotted = (bits: bigint): string =>
  [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 0xffn).join(".");

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let index = 0; index <= groups.length; index += 1) {
    if (groups[index] === 0) continue;
    if (index - start > best.length) best = { start, length: index - start };
    start = index + 1;
  }
  return best;
}
