// SPDX-License-Identifier: Apache-2.0
import { matchesWildcard } from "#policy/kubernetes/wildcard";

/** A kind of client by its authenticated users: GitOps controllers, AI agents, people, whatever a platform tells apart. */
export type Client = {
  readonly name: string;
  /** `*` and `?` are wildcards. */
  readonly users: readonly string[];
};

/** What kind of client a user is: the first that names it; `other` for none, `unknown` where the user is not known. */
export const clientOf = (clients: readonly Client[], user: string): string =>
  user === ""
    ? "unknown"
    : (clients.find((one) => one.users.some((pattern) => matchesWildcard(pattern, user)))?.name ??
      "other");
