// SPDX-License-Identifier: Apache-2.0

/** Whether a condition holds; `maybe` where that cannot be known from what is at hand. */
export type Match = "yes" | "no" | "maybe";

export const matchOf = (holds: boolean): Match => (holds ? "yes" : "no");

export const not = (match: Match): Match =>
  match === "yes" ? "no" : match === "no" ? "yes" : "maybe";

/** All hold; of nothing that is yes. */
export function every<T>(items: Iterable<T>, test: (item: T) => Match): Match {
  let found: Match = "yes";
  for (const item of items) {
    const match = test(item);
    if (match === "no") return "no";
    if (match === "maybe") found = "maybe";
  }
  return found;
}

/** At least one holds; of nothing that is no. */
export function some<T>(items: Iterable<T>, test: (item: T) => Match): Match {
  let found: Match = "no";
  for (const item of items) {
    const match = test(item);
    if (match === "yes") return "yes";
    if (match === "maybe") found = "maybe";
  }
  return found;
}

export const both = (a: Match, b: Match): Match => every([a, b], (match) => match);
