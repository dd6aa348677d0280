// SPDX-License-Identifier: Apache-2.0

/** Durations and quantities start with a digit, a sign or a point: most texts need no parser to be neither. */
export function mayBeAmount(text: string): boolean {
  const first = text.charCodeAt(0);
  return (first >= 0x30 && first <= 0x39) || first === 0x2b || first === 0x2d || first === 0x2e;
}

/** A duration ends with a unit (`h`, `m`, or some kind of `s`), unless it is zero. */
export function mayBeDuration(text: string): boolean {
  if (!mayBeAmount(text)) return false;
  const last = text.charAt(text.length - 1);
  return last === "s" || last === "m" || last === "h" || (last === "0" && text.length <= 2);
}
