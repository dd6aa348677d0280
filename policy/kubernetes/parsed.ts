// SPDX-License-Identifier: Apache-2.0

/** What a parser of text answers: the value, or the reference's own words about what is wrong. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string };

export const parsed = <T>(value: T): Parsed<T> => ({ ok: true, value });

export const unparsed = (message: string): { readonly ok: false; readonly message: string } => ({
  ok: false,
  message,
});
