// SPDX-License-Identifier: Apache-2.0
import type { Library } from "#policy/cel/library";
import { boolType, intType, opaqueOf, stringType, typeOfType } from "#policy/cel/types";
import { CelError, TypeValue, type CelResult } from "#policy/cel/values";
import {
  cidrContainsCidr,
  cidrContainsIp,
  formatCidr,
  maskedCidr,
  parseCidr,
  sameCidr,
  type Cidr,
} from "#policy/kubernetes/cidr";
import { parseIp } from "#policy/kubernetes/ip";
import { declare, globalOverload, memberOverload, Opaque, orError } from "./declare.ts";
import { boxIp, ipType, type IpValue } from "./ip.ts";

const cidrType = opaqueOf("net.CIDR");

type CidrValue = Opaque<Cidr>;

const box = (cidr: Cidr): CidrValue => new Opaque(cidrType, cidr, sameCidr);

/** The reference wraps the message of a message. */
const prefix = "network address parse error during conversion from string: ";

function containsIpText(cidr: CidrValue, text: string): CelResult {
  const address = parseIp(text);
  // The reference drops the message of a text that is no address; not that of one that is no network.
  if (!address.ok) return new CelError("no such overload");
  return cidrContainsIp(cidr.held, address.value);
}

function containsCidrText(cidr: CidrValue, text: string): CelResult {
  const inner = parseCidr(text);
  if (!inner.ok) return new CelError(prefix + inner.message);
  return cidrContainsCidr(cidr.held, inner.value);
}

const c = cidrType;

/** Kubernetes' CIDR library; it needs the IP library for its type. */
export const cidrLibrary: Library = {
  name: "kubernetes.net.cidr",
  constants: [{ name: "net.CIDR", type: typeOfType(cidrType), value: new TypeValue(cidrType) }],
  functions: [
    declare(
      "cidr",
      globalOverload("string_to_cidr", [stringType], c, (text: string) =>
        orError(parseCidr(text), box, prefix),
      ),
    ),
    declare(
      "isCIDR",
      globalOverload("is_cidr", [stringType], boolType, (text: string) => parseCidr(text).ok),
    ),
    declare(
      "containsIP",
      memberOverload("cidr_contains_ip_string", [c, stringType], boolType, containsIpText),
      memberOverload("cidr_contains_ip_ip", [c, ipType], boolType, (a: CidrValue, b: IpValue) =>
        cidrContainsIp(a.held, b.held),
      ),
    ),
    declare(
      "containsCIDR",
      memberOverload("cidr_contains_cidr_string", [c, stringType], boolType, containsCidrText),
      memberOverload("cidr_contains_cidr", [c, c], boolType, (a: CidrValue, b: CidrValue) =>
        cidrContainsCidr(a.held, b.held),
      ),
    ),
    declare(
      "ip",
      memberOverload("cidr_ip", [c], ipType, (cidr: CidrValue) => boxIp(cidr.held.address)),
    ),
    declare(
      "masked",
      memberOverload("cidr_masked", [c], c, (cidr: CidrValue) => box(maskedCidr(cidr.held))),
    ),
    declare(
      "prefixLength",
      memberOverload("cidr_prefix_length", [c], intType, (cidr: CidrValue) => cidr.held.length),
    ),
    declare(
      "string",
      globalOverload("cidr_to_string", [c], stringType, (cidr: CidrValue) => formatCidr(cidr.held)),
    ),
  ],
};
