// SPDX-License-Identifier: Apache-2.0
import { showControls } from "#policy/text/controls";

/** Rows as aligned columns; the last column is as wide as it is. Control characters are shown, not sent to a terminal. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = [head, ...rows].map((row) => row.map((cell) => showControls(cell)));
  const widths = head.map((_, column) =>
    clean.reduce((widest, row) => Math.max(widest, (row[column] ?? "").length), 0),
  );
  const last = head.length - 1;
  return clean
    .map((row) =>
      row
        .map((cell, column) => (column === last ? cell : cell.padEnd(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** `1 file`, `2 files`: for words whose plural ends so. */
export const countText = (count: number, one: string): string =>
  `${count} ${one}${count === 1 ? "" : "s"}`;
