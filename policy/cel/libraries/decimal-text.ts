// SPDX-License-Identifier: Apache-2.0

/** The digits of a number: `0.digits * 10^point`. `digits` is '' for zero and has no zeros at its ends. */
type Digits = { readonly digits: string; readonly point: number };

/** A finite number with `precision` digits after the point, the exact value rounded half to even, as Go's `%.Nf`. */
export function fixedText(value: number, precision: number): string {
  return withSign(value, fixedDigits(exactDigits(Math.abs(value)), precision));
}

/** A finite number as mantissa with `precision` decimals and an exponent of two digits or more, as Go's `%.Ne`. */
export function scientificText(value: number, precision: number): string {
  const { mantissa, exponent } = scientificParts(exactDigits(Math.abs(value)), precision);
  const sign = exponent < 0 ? "-" : "+";
  return withSign(value, `${mantissa}e${sign}${exponentDigits(exponent)}`);
}

/** The shortest digits that read back as the number, never with an exponent, as Go's FormatFloat(v, 'f', -1, 64). */
export function shortestText(value: number): string {
  const { digits, point } = shortestDigits(Math.abs(value));
  return withSign(value, fixedDigits({ digits, point }, Math.max(0, digits.length - point)));
}

/** A finite number as golang.org/x/text prints `%.Nf` for en_US: with the digits in groups of three. */
export function groupedFixedText(value: number, precision: number): string {
  const [whole = "", fraction] = fixedDigits(exactDigits(Math.abs(value)), precision).split(".");
  const grouped = whole.replace(/\B(?=(?:\d{3})+$)/g, ",");
  return withSign(value, fraction === undefined ? grouped : `${grouped}.${fraction}`);
}

/** A finite number as golang.org/x/text prints `%e` for en_US: six decimals and `×10` with a raised exponent. */
export function raisedScientificText(value: number): string {
  const { mantissa, exponent } = scientificParts(exactDigits(Math.abs(value)), 6);
  const raised = exponentDigits(exponent).replace(/\d/g, (digit) =>
    raisedDigits.charAt(Number(digit)),
  );
  return withSign(value, `${mantissa}\u00d710${exponent < 0 ? "\u207b" : ""}${raised}`);
}

const raisedDigits = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079";

const exponentDigits = (exponent: number): string => String(Math.abs(exponent)).padStart(2, "0");

const withSign = (value: number, text: string): string =>
  value < 0 || Object.is(value, -0) ? `-${text}` : text;

function fixedDigits(number: Digits, precision: number): string {
  const { digits, point } = rounded(number, number.point + precision);
  const whole = point <= 0 ? "0" : digits.slice(0, point).padEnd(point, "0");
  if (precision === 0) return whole;
  const fraction = point <= 0 ? "0".repeat(-point) + digits : digits.slice(point);
  return `${whole}.${fraction.padEnd(precision, "0").slice(0, precision)}`;
}

function scientificParts(
  number: Digits,
  precision: number,
): { mantissa: string; exponent: number } {
  const { digits, point } = rounded(number, precision + 1);
  const filled = digits.padEnd(precision + 1, "0");
  const mantissa = precision === 0 ? filled : `${filled.charAt(0)}.${filled.slice(1)}`;
  return { mantissa, exponent: digits === "" ? 0 : point - 1 };
}

/** The number with at most `keep` digits, half to even. */
function rounded(number: Digits, keep: number): Digits {
  const { digits, point } = number;
  if (keep >= digits.length) return number;
  if (keep < 0) return { digits: "", point: 0 };
  const kept = digits.slice(0, keep);
  const next = digits.charAt(keep);
  const odd = keep > 0 && Number(digits.charAt(keep - 1)) % 2 === 1;
  const up = next > "5" || (next === "5" && (digits.length > keep + 1 || odd));
  if (!up) return trimmed(kept, point);
  const raised = (BigInt(`0${kept}`) + 1n).toString().padStart(keep, "0");
  return trimmed(raised, point + raised.length - keep);
}

function trimmed(digits: string, point: number): Digits {
  const short = digits.replace(/0+$/, "");
  return short === "" ? { digits: "", point: 0 } : { digits: short, point };
}

/** All digits of a double: it is a whole number divided by a power of two, so they end. */
function exactDigits(value: number): Digits {
  if (value === 0) return { digits: "", point: 0 };
  let mantissa = value;
  let halvings = 0;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    halvings += 1;
  }
  // value = mantissa / 2^h = mantissa * 5^h / 10^h
  const digits = (BigInt(mantissa) * 5n ** BigInt(halvings)).toString();
  return trimmed(digits, digits.length - halvings);
}

function shortestDigits(value: number): Digits {
  if (value === 0) return { digits: "", point: 0 };
  const [mantissa = "", exponent = "0"] = value.toExponential().split("e");
  return trimmed(mantissa.replace(".", ""), Number(exponent) + 1);
}
