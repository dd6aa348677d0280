// SPDX-License-Identifier: Apache-2.0

export type DiffLine = { readonly kind: "same" | "added" | "removed"; readonly text: string };
/** Lines that belong together; `skipped`: unchanged ones left out before it. */
export type Hunk = { readonly skipped: number; readonly lines: readonly DiffLine[] };

/** Cells of the comparison; beyond it all of the middle counts as replaced, which is still true, only longer. */
const cellsMax = 4_000_000;

/** The difference of two texts by lines: as few as possible are taken away and added. */
export function diffLines(before: readonly string[], after: readonly string[]): DiffLine[] {
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head++;
  let tail = 0;
  while (
    tail < Math.min(before.length, after.length) - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  )
    tail++;
  const same = (text: string): DiffLine => ({ kind: "same", text });
  return [
    ...before.slice(0, head).map(same),
    ...middle(before.slice(head, before.length - tail), after.slice(head, after.length - tail)),
    ...before.slice(before.length - tail).map(same),
  ];
}

/** By the longest common subsequence: `longest[i][j]` of what follows i and j. */
function middle(before: readonly string[], after: readonly string[]): DiffLine[] {
  const removed = (text: string): DiffLine => ({ kind: "removed", text });
  const added = (text: string): DiffLine => ({ kind: "added", text });
  const width = after.length + 1;
  if ((before.length + 1) * width > cellsMax) return [...before.map(removed), ...after.map(added)];
  const longest = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => longest[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      longest[i * width + j] =
        before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    const [left, right] = [before[i], after[j]];
    if (left !== undefined && left === right) {
      lines.push({ kind: "same", text: left });
      i++;
      j++;
    } else if (left !== undefined && (right === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(removed(left));
      i++;
    } else if (right !== undefined) {
      lines.push(added(right));
      j++;
    }
  }
  return lines;
}

/** Only what changes, with `context` unchanged lines around it. */
export function hunksOf(lines: readonly DiffLine[], context: number): readonly Hunk[] {
  const isShown = lines.map((_, index) =>
    lines
      .slice(Math.max(0, index - context), index + context + 1)
      .some((one) => one.kind !== "same"),
  );
  const hunks: { skipped: number; lines: DiffLine[] }[] = [];
  let skipped = 0;
  for (const [index, line] of lines.entries()) {
    if (isShown[index] !== true) {
      skipped++;
      continue;
    }
    const isNew = index === 0 || isShown[index - 1] !== true;
    if (isNew) hunks.push({ skipped, lines: [] });
    hunks.at(-1)?.lines.push(line);
    skipped = 0;
  }
  return hunks;
}
