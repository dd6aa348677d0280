// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: evidence on the disk.
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { failure, type Reply } from "#responder/cluster";
import type { EvidenceStore, Kept } from "#responder/evidence";
import { sha256 } from "#responder/finding";

/** Keeps each bundle as one JSON file that only this user can read, complete and on the disk before it has its name. */
export function makeEvidenceDirectory(directory: string): EvidenceStore {
  const pathOf = (name: string): string => join(directory, `${name}.json`);
  return {
    find: async (name) => {
      try {
        const bundle = await readFile(pathOf(name), "utf8");
        return { ok: true, value: { location: pathOf(name), sha256: sha256(bundle) } };
      } catch (error) {
        return isMissing(error) ? { ok: true, value: undefined } : failed(error);
      }
    },
    keep: async (name, bundle): Promise<Reply<Kept>> => {
      const path = pathOf(name);
      // Of this call alone: two that come at once must not write into one file.
      const draft = `${path}.${randomUUID()}.draft`;
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
        const file = await open(draft, "wx", 0o400);
        try {
          await file.writeFile(bundle);
          await file.sync();
        } finally {
          await file.close();
        }
        // A link fails where the name is taken, a rename would replace what was kept first.
        await link(draft, path);
        const folder = await open(directory, "r");
        try {
          await folder.sync();
        } finally {
          await folder.close();
        }
        return { ok: true, value: { location: path, sha256: sha256(bundle) } };
      } catch (error) {
        return failed(error);
      } finally {
        await rm(draft, { force: true });
      }
    },
  };
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT";

/** A full or missing disk may be put right: the action is tried again, and what follows waits for it. */
const failed = (error: unknown) =>
  failure("Unavailable", `evidence: ${error instanceof Error ? error.message : "failed"}`);
