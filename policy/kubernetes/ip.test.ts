// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIPv4, isIPv6 } from "node:net";
import { expect, test } from "vitest";
import {
  cidrContainsCidr,
  cidrContainsIp,
  formatCidr,
  maskedCidr,
  parseCidr,
  type Cidr,
} from "./cidr.ts";
import {
  formatIp,
  isGlobalUnicast,
  isLinkLocalMulticast,
  isLinkLocalUnicast,
  isLoopback,
  isUnspecified,
  parseIp,
  type Address,
} from "./ip.ts";

function ip(text: string): Address {
  const address = parseIp(text);
  if (!address.ok) throw new Error(address.message);
  return address.value;
}

function cidr(text: string): Cidr {
  const network = parseCidr(text);
  if (!network.ok) throw new Error(network.message);
  return network.value;
}

test.each([
  ["192.168.0.1", "192.168.0.1", "dotted"],
  ["2001:DB8:0:0:0:0:0:1", "2001:db8::1", "lower case and the longest run of zeros"],
  ["1:0:0:2:0:0:0:3", "1:0:0:2::3", "the longest run"],
  ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4", "the first of equal runs"],
  ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7", "one zero is not shortened"],
  ["::", "::", "all zeros"],
  ["::1.2.3.4", "::102:304", "a dotted end that is not mapped"],
])("%s is written %s: %s", (text, want) => {
  expect(formatIp(ip(text))).toBe(want);
});

test.each([
  ["1.2.3", 'ParseAddr("1.2.3"): IPv4 address too short'],
  ["1.2.3.4.5", 'ParseAddr("1.2.3.4.5"): IPv4 address too long'],
  ["01.2.3.4", "IPv4 field has octet with leading zero"],
  ["1.2.3.256", "IPv4 field has value >255"],
  ["1.2..4", 'IPv4 field must have at least one digit (at ".4")'],
  ["x", "unable to parse IP"],
  ["%x", "missing IPv6 address"],
  [":::", "each colon-separated field must have at least one digit"],
  ["1:2", "address string too short"],
  ["1::2::3", "multiple :: in address"],
  ["1:2:3:4:5:6:7:8:9", 'trailing garbage after address (at "9")'],
  ["1:2:3:4:5:6:7::8", "the :: must expand to at least one field of zeros"],
  ["12345::", "each group must have 4 or less digits"],
  ["fe80::1%eth0", 'IP address "fe80::1%eth0" with zone value is not allowed'],
  ["::ffff:1.2.3.4", 'IPv4-mapped IPv6 address "::ffff:1.2.3.4" is not allowed'],
])("%s is refused: %s", (text, message) => {
  const address = parseIp(text);
  expect(address.ok ? "" : address.message).toContain(message);
});

test.each([
  ["127.9.9.9", ["loopback"]],
  ["::1", ["loopback"]],
  ["0.0.0.0", ["unspecified"]],
  ["::", ["unspecified"]],
  ["224.0.0.1", ["linkLocalMulticast"]],
  ["ff02::1", ["linkLocalMulticast"]],
  ["ff12::1", ["linkLocalMulticast"]],
  ["ff05::1", []],
  ["169.254.1.1", ["linkLocalUnicast"]],
  ["fe80::1", ["linkLocalUnicast"]],
  ["febf::1", ["linkLocalUnicast"]],
  ["fec0::1", ["globalUnicast"]],
  ["255.255.255.255", []],
  ["239.1.1.1", []],
  ["10.0.0.1", ["globalUnicast"]],
  ["fd00::1", ["globalUnicast"]],
])("%s is %j", (text, want) => {
  const address = ip(text);
  const found = Object.entries({
    unspecified: isUnspecified(address),
    loopback: isLoopback(address),
    linkLocalMulticast: isLinkLocalMulticast(address),
    linkLocalUnicast: isLinkLocalUnicast(address),
    globalUnicast: isGlobalUnicast(address),
  }).flatMap(([name, holds]) => (holds ? [name] : []));
  expect(found).toEqual(want);
});

test.each([
  ["1.2.3.4", "no '/'"],
  ["1.2.3.4/33", "prefix length out of range"],
  ["1.2.3.4/08", 'bad bits after slash: "08"'],
  ["1.2.3.4/+8", 'bad bits after slash: "+8"'],
  ["1.2.3.4/", 'bad bits after slash: ""'],
  ["::1%eth0/64", "IPv6 zones cannot be present in a prefix"],
  ["::ffff:1.2.3.4/96", "IPv4-mapped IPv6 address"],
])("the network %s is refused: %s", (text, message) => {
  const network = parseCidr(text);
  expect(network.ok ? "" : network.message).toContain(message);
});

test("host bits are kept until masked", () => {
  expect(formatCidr(cidr("192.168.0.1/24"))).toBe("192.168.0.1/24");
  expect(formatCidr(maskedCidr(cidr("192.168.0.1/24")))).toBe("192.168.0.0/24");
  expect(formatCidr(maskedCidr(cidr("2001:db8::ff/64")))).toBe("2001:db8::/64");
});

test("a network holds itself and smaller ones of its family", () => {
  expect(cidrContainsCidr(cidr("10.0.0.0/8"), cidr("10.1.0.0/16"))).toBe(true);
  expect(cidrContainsCidr(cidr("10.1.0.0/16"), cidr("10.0.0.0/8"))).toBe(false);
  expect(cidrContainsCidr(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
});

/** Addresses near each other, so that networks hold some and miss others. */
function makeAddresses(): readonly string[] {
  const four = [0, 1, 2, 3].flatMap((a) => [0, 127, 128, 255].map((b) => `10.${a}.${b}.${b}`));
  const six = [0, 1, 0xff, 0xffff].map((a) => `2001:db8:${a.toString(16)}::${a.toString(16)}`);
  return [...four, ...six];
}

test("membership agrees with Node's block list for every prefix length", () => {
  const addresses = makeAddresses();
  for (const base of addresses) {
    const family = isIPv4(base) ? "ipv4" : "ipv6";
    for (let length = 0; length <= (family === "ipv4" ? 32 : 128); length += 1) {
      const list = new BlockList();
      list.addSubnet(base, length, family);
      const network = cidr(`${base}/${length}`);
      for (const other of addresses.filter((text) => isIPv4(text) === (family === "ipv4"))) {
        const want = list.check(other, family);
        expect([base, length, other, cidrContainsIp(network, ip(other))]).toEqual([
          base,
          length,
          other,
          want,
        ]);
      }
    }
  }
});

test("texts are accepted as Node accepts them, zones and mapped addresses apart", () => {
  const pieces = [
    "0",
    "1",
    "ff",
    "2001",
    "",
    ":",
    "::",
    "1.2.3.4",
    "255.0.0.1",
    "g",
    "00",
    "12345",
  ];
  let state = 11;
  for (let round = 0; round < 5_000; round += 1) {
    let text = "";
    for (let piece = 0; piece < 6; piece += 1) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      text += `${pieces[(state >>> 8) % pieces.length] ?? ""}${state % 3 === 0 ? ":" : ""}`;
    }
    if (/ffff:/i.test(text)) continue;
    expect([text, parseIp(text).ok]).toEqual([text, isIPv4(text) || isIPv6(text)]);
  }
});
