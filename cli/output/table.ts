// SPDX-License-Identifier: Apache-2.0

/** Rows as aligned columns; the last column is as wide as it is. Control characters are shown, not sent to a terminal. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = [head, ...rows].map((row) => row.map(showControls));
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

/** Names come from files: an escape sequence in one must not steer the terminal of who reads it. */
export function showControls(text: string): string {
  // Line breaks inside messages are shown as such, so that a row stays a row.
  return text.replace(/\p{Cc}/gu, (character) =>
    character === "\n" ? "\\n" : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
