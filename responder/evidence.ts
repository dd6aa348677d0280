// SPDX-License-Identifier: Apache-2.0
import type { Reply } from "#responder/cluster";

/** Where a bundle lies and what it hashes to. */
export type Kept = { readonly location: string; readonly sha256: string };

/**
 * Keeps evidence. A bundle that was kept is never overwritten: the first one shows the pod as it was. Implemented by
 * adapters/evidence-directory.ts; an object store fits behind the same two calls.
 */
export type EvidenceStore = {
  /** Undefined when nothing of that name is kept. */
  readonly find: (name: string) => Promise<Reply<Kept | undefined>>;
  readonly keep: (name: string, bundle: string) => Promise<Reply<Kept>>;
};
