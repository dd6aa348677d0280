// SPDX-License-Identifier: Apache-2.0
import { quoteText } from "#policy/kubernetes/go-text";
import { formatIp, isMapped, parseAddress, type Address } from "#policy/kubernetes/ip";
import { parsed, unparsed, type Parsed } from "#policy/kubernetes/parsed";

/** A network: an address, whose host bits may be set, and the length of the prefix. */
export type Cidr = { readonly address: Address; readonly length: number };

/**
 * Reads a network as Kubernetes' CEL library does: Go's netip.ParsePrefix without mapped IPv4 addresses. Host bits
 * are kept. Never throws; the message is the reference's.
 */
export function parseCidr(text: string): Parsed<Cidr> {
  const prefix = parsePrefix(text);
  if (!prefix.ok) {
    return unparsed(`network address parse error during conversion from string: ${prefix.message}`);
  }
  if (isMapped(prefix.value.address)) {
    return unparsed(`IPv4-mapped IPv6 address ${quoteText(text)} is not allowed`);
  }
  return prefix;
}

export const formatCidr = (cidr: Cidr): string => `${formatIp(cidr.address)}/${cidr.length}`;

export const sameCidr = (a: Cidr, b: Cidr): boolean =>
  a.length === b.length &&
  a.address.family === b.address.family &&
  a.address.bits === b.address.bits;

/** The network with all host bits zero. */
export function maskedCidr(cidr: Cidr): Cidr {
  const host = hostBits(cidr);
  const bits = (cidr.address.bits >> host) << host;
  return { address: { family: cidr.address.family, bits }, length: cidr.length };
}

export function cidrContainsIp(cidr: Cidr, address: Address): boolean {
  const host = hostBits(cidr);
  return (
    cidr.address.family === address.family && cidr.address.bits >> host === address.bits >> host
  );
}

/** Whether every address of `inner` is in `outer`. */
export const cidrContainsCidr = (outer: Cidr, inner: Cidr): boolean =>
  outer.length <= inner.length && cidrContainsIp(outer, inner.address);

const width = (family: 4 | 6): number => (family === 4 ? 32 : 128);

const hostBits = (cidr: Cidr): bigint => BigInt(width(cidr.address.family) - cidr.length);

function parsePrefix(text: string): Parsed<Cidr> {
  const wrong = (message: string) => unparsed(`netip.ParsePrefix(${quoteText(text)}): ${message}`);
  const slash = text.lastIndexOf("/");
  if (slash === -1) return wrong("no '/'");
  const address = parseAddress(text.slice(0, slash));
  if (!address.ok) return wrong(address.message);
  const { zone, ...plain } = address.value;
  if (zone !== "") return wrong("IPv6 zones cannot be present in a prefix");
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]*)$/.test(digits) || digits.length > 18) {
    return wrong(`bad bits after slash: ${quoteText(digits)}`);
  }
  const length = Number(digits);
  if (length > width(plain.family)) return wrong("prefix length out of range");
  return parsed({ address: plain, length });
}
