// SPDX-License-Identifier: Apache-2.0

/** Where a message stands: what comes right before and after it. */
export type Frame = { readonly prefix: string; readonly suffix: string };

/**
 * The message of a policy that looks at the time: what was told before where only numbers in it differ. A condition that
 * differs in nothing else would be written again, and wake the composite again, without end. `told` is the text in which
 * the message stood; what stands around it must be the very same.
 */
export function steadyMessage(message: string, { prefix, suffix }: Frame, told: string): string {
  const parts = message.split(/[0-9]+/);
  if (parts.length === 1) return message;
  const first = `${prefix}${parts[0]}`;
  let start = told.indexOf(first);
  while (start >= 0) {
    const end = endOf(parts, told, start + first.length);
    if (end >= 0 && told.startsWith(suffix, end)) return told.slice(start + prefix.length, end);
    start = told.indexOf(first, start + 1);
  }
  return message;
}

/** Where a text ends that has numbers of any size between the parts behind the first one; below 0 when it is another. */
function endOf(parts: readonly string[], text: string, from: number): number {
  let end = from;
  for (const part of parts.slice(1)) {
    const digits = digitsAt(text, end);
    if (digits === 0 || !text.startsWith(part, end + digits)) return -1;
    end += digits + part.length;
  }
  return end;
}

function digitsAt(text: string, from: number): number {
  let end = from;
  while (/[0-9]/.test(text.charAt(end))) end++;
  return end - from;
}
