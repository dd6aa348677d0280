// SPDX-License-Identifier: Apache-2.0

/** Edits between two words: insertions, deletions, replacements and swaps of neighbours. */
export function editDistance(left: string, right: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const here = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      const choices = [
        (last[column] ?? 0) + 1,
        (here[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        ...(row > 1 && column > 1 && swapped ? [(beforeLast[column - 2] ?? 0) + 1] : []),
      ];
      here.push(Math.min(...choices));
    }
    beforeLast = last;
    last = here;
  }
  return last[right.length] ?? 0;
}

/** The known word that was probably meant, undefined when none is near. */
export function suggest(given: string, known: readonly string[]): string | undefined {
  // Longer input is no slip of the finger, and the distance costs the product of the lengths.
  if (given.length > 40) return undefined;
  const near = known
    .map((word) => ({ word, distance: distanceOf(given, word) }))
    .filter(({ word, distance }) => distance <= Math.max(1, Math.floor(word.length / 3)))
    .sort((left, right) => left.distance - right.distance);
  return near[0]?.word;
}

/** A beginning of a word, as in `--res`, is nearer than its distance says. */
const distanceOf = (given: string, word: string): number =>
  given.length >= 2 && word.startsWith(given) ? 1 : editDistance(given, word);
