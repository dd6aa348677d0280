// SPDX-License-Identifier: Apache-2.0

/** `unscaled * 10^scale`, exactly. */
export type Amount = { readonly unscaled: bigint; readonly scale: number };

/** The largest int64 of Go and CEL. */
export const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);
/** Whether Go's int64, and so CEL's int, holds the value. */
export const fitsInt64 = (value: bigint): boolean => value >= int64Min && value <= int64Max;

/** The two amounts over one power of ten. Scales are bounded by parsing and by addition, so the power is too. */
export function aligned(a: Amount, b: Amount): readonly [bigint, bigint] {
  const scale = Math.min(a.scale, b.scale);
  return [a.unscaled * 10n ** BigInt(a.scale - scale), b.unscaled * 10n ** BigInt(b.scale - scale)];
}

/** Negative, 0 or positive as the amount is below, equal to or above the whole number. */
export function compareTo(amount: Amount, whole: bigint): number {
  const [left, right] = aligned(amount, { unscaled: whole, scale: 0 });
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** The amount at `scale`, rounded away from zero when digits are lost; unchanged when it is coarser already. */
export function rescaledUp(unscaled: bigint, scale: number, to: number): Amount {
  if (scale >= to) return { unscaled: unscaled * 10n ** BigInt(scale - to), scale: to };
  const drop = to - scale;
  const negative = unscaled < 0n;
  const magnitude = negative ? -unscaled : unscaled;
  // More digits dropped than there are: the quotient is 0, and 10^drop need not be computed.
  const divisor = drop > magnitude.toString().length ? undefined : 10n ** BigInt(drop);
  const whole = divisor === undefined ? 0n : magnitude / divisor;
  const exact = divisor === undefined ? magnitude === 0n : magnitude % divisor === 0n;
  const rounded = exact ? whole : whole + 1n;
  return { unscaled: negative ? -rounded : rounded, scale: to };
}

/** `value` divided by `factor` as often as nothing is lost, and how often that was. */
export function withoutFactors(value: bigint, factor: bigint): { value: bigint; times: number } {
  let rest = value;
  let times = 0;
  while (rest !== 0n && rest % factor === 0n) {
    rest /= factor;
    times += 1;
  }
  return { value: rest, times };
}

/** 10^n as Go's math.Pow10 computes it: from two tables, so that the last bit agrees. */
export function powerOfTen(exponent: number): number {
  if (exponent < -323) return 0;
  if (exponent > 308) return Infinity;
  const size = Math.abs(exponent);
  const coarse = Math.trunc(size / 32) * 32;
  const fine = Number(`1e${size % 32}`);
  return exponent < 0 ? Number(`1e-${coarse}`) / fine : Number(`1e${coarse}`) * fine;
}
