// SPDX-License-Identifier: Apache-2.0
import type { Json } from "#policy/json";
import { field } from "#policy/json";

/** The two forms of a label selector in a query that the responder uses: `key` (exists) and `key=value`, joined by commas. */
export function parseLabelSelectorText(text: string): (labels: Json | undefined) => boolean {
  const requirements = text
    .split(",")
    .filter((part) => part !== "")
    .map((part) => part.split("="));
  return (labels) =>
    requirements.every(([key, value]) => {
      const found = field(labels, key ?? "");
      return value === undefined ? found !== undefined : found === value;
    });
}
