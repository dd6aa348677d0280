// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  quantityAsFloat,
  quantityAsInteger,
  quantityAsScaled,
  subtractQuantities,
  type Quantity,
} from "./quantity.ts";

function read(text: string): Quantity {
  const quantity = parseQuantity(text);
  if (!quantity.ok) throw new Error(`${text}: ${quantity.message}`);
  return quantity.value;
}

/** The canonical text made anew, where a parsed text is kept as it was written. */
const remade = (quantity: Quantity): string => formatQuantity({ ...quantity, text: "" });

const canonical: readonly (readonly [text: string, want: string, reason: string])[] = [
  ["0", "0", "zero has no suffix"],
  ["0Ki", "0", "zero has no suffix, whatever was written"],
  ["1.5", "1500m", "no fraction is ever printed"],
  ["1.5Gi", "1536Mi", "the largest binary suffix that loses nothing"],
  ["1024Ki", "1Mi", "binary suffixes go up in steps of 1024"],
  ["1023", "1023", "below 1024 there is no binary suffix"],
  ["1000m", "1", "decimal suffixes go up in steps of 1000"],
  ["100m", "100m", "the CPU of most containers"],
  ["0.1m", "100u", "smaller suffixes exist"],
  ["0.0000000001", "1n", "what is below a nano is rounded up, not away"],
  ["-0.0000000001", "-1n", "and away from zero for negative ones"],
  ["12e6", "12e6", "the exponent form is kept"],
  ["12E6", "12e6", "in lower case"],
  ["1e4", "10e3", "exponents are multiples of three"],
  ["1E", "1E", "E alone is exa"],
  ["1Ei", "1Ei", "the largest binary suffix"],
  ["16Ei", "9223372036854775807", "binary amounts are capped at int64"],
  ["0.5Ki", "512", "a binary amount below 1024 is printed without a suffix"],
  ["0.001Ki", "1024m", "a fractional binary amount falls back to the decimal form"],
  ["+5", "5", "a sign may stand"],
  ["1.", "1", "the point may stand last"],
  [".5", "500m", "or first"],
  ["-", "0", "the reference reads a lone sign as zero"],
  ["1000000000000000000000", "1", "beyond E there is no name, and the reference prints none"],
];

test.each(canonical)("%s is %s: %s", (text, want) => {
  expect(remade(read(text))).toBe(want);
});

test.each([
  ["", "quantities must match the regular expression", "empty"],
  ["1 Gi", "quantities must match the regular expression", "a space"],
  ["1Gi ", "quantities must match the regular expression", "a space at the end"],
  ["1..5", "quantities must match the regular expression", "two points"],
  ["1Kii", "unable to parse quantity's suffix", "an unknown suffix"],
  ["1K", "unable to parse quantity's suffix", "kilo is a small k"],
  ["1e", "unable to parse quantity's suffix", "an exponent without digits"],
  [
    "1e99999",
    "unable to parse quantity's suffix",
    "an exponent that takes minutes in the reference",
  ],
  [".Ei", "unable to parse numeric part of quantity", "no digits, slow path"],
  ["9".repeat(2_000), "unable to parse numeric part of quantity", "longer than any real one"],
])("%s is refused: %s (%s)", (text, message) => {
  const quantity = parseQuantity(text);
  expect(quantity.ok ? "" : quantity.message).toContain(message);
});

test.each([
  ["1Gi", "1G", 1],
  ["1000m", "1", 0],
  ["0.1", "100m", 0],
  ["-1", "1n", -1],
  ["9223372036854775807", "9223372036854775808", -1],
  ["1e1000", "1e999", 1],
] as const)("%s compared to %s is %i", (a, b, want) => {
  expect(compareQuantities(read(a), read(b))).toBe(want);
  expect(compareQuantities(read(b), read(a))).toBe(0 - want);
});

test("isInteger looks at how the amount is held, as the reference does", () => {
  expect(quantityAsInteger(read("10k"))).toBe(10_000n);
  expect(quantityAsInteger(read("1000m"))).toBeUndefined();
  expect(quantityAsInteger(read("1.0"))).toBeUndefined();
  expect(quantityAsInteger(read("10E"))).toBeUndefined();
});

test("the approximate double has the bits of the reference", () => {
  expect(quantityAsFloat(read("1500m"))).toBe(1.5);
  expect(quantityAsFloat(read("0.1"))).toBe(0.1);
  expect(quantityAsFloat(read("1e308"))).toBe(1e308);
});

test("scaling rounds away from zero", () => {
  expect(quantityAsScaled(read("1500m"), 0)).toBe(2n);
  expect(quantityAsScaled(read("1.5"), -3)).toBe(1_500n);
});

test("zero takes the other's format when adding", () => {
  expect(formatQuantity(addQuantities(read("0"), read("1Gi")))).toBe("1Gi");
  expect(formatQuantity(subtractQuantities(read("0"), read("1Ki")))).toBe("-1Ki");
});

/** The value of a text by plain rational arithmetic: numerator over 10^30. */
function rational(text: string): bigint {
  const match = /^([+-]?)(\d*)\.?(\d*)([a-zA-Z]*)(-?\d*)$/.exec(text);
  const [, sign = "", whole = "", fraction = "", suffix = "", exponent = ""] = match ?? [];
  const decimal: Readonly<Record<string, number>> = {
    n: -9,
    u: -6,
    m: -3,
    "": 0,
    k: 3,
    M: 6,
    G: 9,
  };
  const binary: Readonly<Record<string, bigint>> = { Ki: 1024n, Mi: 1024n ** 2n, Gi: 1024n ** 3n };
  const power = suffix === "e" ? Number(exponent) : (decimal[suffix] ?? 0);
  const digits = BigInt(`${whole}${fraction}` || "0") * (binary[suffix] ?? 1n);
  const value = digits * 10n ** BigInt(30 - fraction.length + power);
  return sign === "-" ? -value : value;
}

function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomText(random: () => number): string {
  const pick = (from: readonly string[]): string => from[Math.floor(random() * from.length)] ?? "";
  const digits = (max: number): string => String(Math.floor(random() * 10 ** max));
  const fraction = pick(["", `.${digits(3)}`, `.${digits(6)}`]);
  const suffixes = ["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-3", "e6"];
  const suffix = pick(fraction.length > 4 ? ["", "k", "Ki", "Gi", "e3"] : suffixes);
  return `${pick(["", "-"])}${digits(Math.ceil(random() * 6))}${suffix === "n" ? "" : fraction}${suffix}`;
}

test("comparison, sums and texts agree with rational arithmetic", () => {
  const random = makeRandom(7);
  for (let round = 0; round < 3_000; round += 1) {
    const [a, b] = [randomText(random), randomText(random)];
    if (/\.\d{4,}.*[um]$/.test(a + b)) continue;
    const [x, y] = [read(a), read(b)];
    const [p, q] = [rational(a), rational(b)];
    expect([a, b, compareQuantities(x, y)]).toEqual([a, b, p < q ? -1 : Number(p > q)]);
    expect([a, b, rational(remade(addQuantities(x, y)))]).toEqual([a, b, p + q]);
    expect([a, b, rational(remade(subtractQuantities(x, y)))]).toEqual([a, b, p - q]);
    expect(remade(read(remade(x)))).toBe(remade(x));
  }
});
