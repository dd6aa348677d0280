// SPDX-License-Identifier: Apache-2.0
import type { Reply } from "#responder/cluster";
import type { HistoryEntry } from "#responder/remediation";

/** Where a bundle lies and what it hashes to. */
export type Kept = { readonly location: string; readonly sha256: string };

/**
 * Keeps evidence. A bundle that was kept is never overwritten: the first one shows the pod as it was. Implemented by
 * adapters/evidence-directory.ts and adapters/evidence-s3.ts, both held to one contract suite.
 */
export type EvidenceStore = {
  /** Undefined when nothing of that name is kept. The hash is of the bytes that lie there now. */
  readonly find: (name: string) => Promise<Reply<Kept | undefined>>;
  /** Unavailable when another bundle of that name is kept. */
  readonly keep: (name: string, bundle: string) => Promise<Reply<Kept>>;
};

/** How history and audit log name a bundle: its hash makes a later change of it visible. */
export const keptText = ({ location, sha256 }: Kept): string =>
  `evidence sha256:${sha256} in ${location}`;

const keptPattern = /\bevidence sha256:([0-9a-f]{64}) in ([^\s;]{1,1024})/g;

/** The bundles that a text names, each once. */
export function keptIn(text: string): readonly Kept[] {
  const found = [...text.matchAll(keptPattern)].map(([, sha256 = "", location = ""]) => ({
    location,
    sha256,
  }));
  return found.filter((one, i) => found.findIndex((other) => isSame(one, other)) === i);
}

const isSame = (a: Kept, b: Kept): boolean => a.location === b.location && a.sha256 === b.sha256;

/** The bundles that a remediation's history names. */
export const keptOf = (history: readonly HistoryEntry[]): readonly Kept[] =>
  keptIn(history.map((one) => one.message).join("\n"));
