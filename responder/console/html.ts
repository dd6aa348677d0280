// SPDX-License-Identifier: Apache-2.0
import { showControls } from "#policy/text/controls";

/** Text that is HTML already. Only {@link html} makes it, so nothing from outside reaches a page unescaped. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Html[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * A template whose values are escaped, for element content and quoted attributes alike; lists of Html are joined.
 * Marks that turn the direction of writing are written out: text of an alert must not rearrange the words around it.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const text = strings.map((string, index) => {
    const part = parts[index];
    return part === undefined ? string : string + toText(part);
  });
  return new Html(text.join(""));
}

/** Nothing, where a page has an optional part. */
export const nothing = new Html("");

function toText(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === "object") return part.map((one) => one.text).join("");
  const shown = showControls(String(part), "\n\t");
  return shown.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "");
}
