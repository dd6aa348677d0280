// SPDX-License-Identifier: Apache-2.0
import type { FunctionDeclaration, Library } from "#policy/cel/library";
import { boolType, intType, opaqueOf, stringType, typeOfType } from "#policy/cel/types";
import {
  formatIp,
  isGlobalUnicast,
  isLinkLocalMulticast,
  isLinkLocalUnicast,
  isLoopback,
  isUnspecified,
  parseIp,
  sameIp,
  type Address,
} from "#policy/kubernetes/ip";
import { TypeValue, type CelResult } from "#policy/cel/values";
import { declare, globalOverload, memberOverload, Opaque, orError } from "./declare.ts";

export const ipType = opaqueOf("net.IP");

export type IpValue = Opaque<Address>;

export const boxIp = (address: Address): IpValue => new Opaque(ipType, address, sameIp);

/** The address of a text, or the error that the reference gives. */
export const readIp = (text: string): CelResult => orError(parseIp(text), boxIp);

const test = (
  name: string,
  id: string,
  holds: (address: Address) => boolean,
): FunctionDeclaration =>
  declare(
    name,
    memberOverload(id, [ipType], boolType, (ip: IpValue) => holds(ip.held)),
  );

/** Kubernetes' IP library. */
export const ipLibrary: Library = {
  name: "kubernetes.net.ip",
  constants: [{ name: "net.IP", type: typeOfType(ipType), value: new TypeValue(ipType) }],
  functions: [
    declare("ip", globalOverload("string_to_ip", [stringType], ipType, readIp)),
    declare(
      "isIP",
      globalOverload("is_ip", [stringType], boolType, (text: string) => parseIp(text).ok),
    ),
    declare(
      "ip.isCanonical",
      globalOverload("ip_is_canonical", [stringType], boolType, (text: string) =>
        orError(parseIp(text), (address) => formatIp(address) === text),
      ),
    ),
    declare(
      "family",
      memberOverload("ip_family", [ipType], intType, (ip: IpValue) => ip.held.family),
    ),
    test("isUnspecified", "ip_is_unspecified", isUnspecified),
    test("isLoopback", "ip_is_loopback", isLoopback),
    test("isLinkLocalMulticast", "ip_is_link_local_multicast", isLinkLocalMulticast),
    test("isLinkLocalUnicast", "ip_is_link_local_unicast", isLinkLocalUnicast),
    test("isGlobalUnicast", "ip_is_global_unicast", isGlobalUnicast),
    declare(
      "string",
      globalOverload("ip_to_string", [ipType], stringType, (ip: IpValue) => formatIp(ip.held)),
    ),
  ],
};
