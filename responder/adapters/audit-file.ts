// SPDX-License-Identifier: Apache-2.0
import { open } from "node:fs/promises";
import { isObject, textAt } from "#policy/json";
import { type AuditEntry, auditLine, genesis } from "#responder/audit";

export type AuditFile = {
  /** Resolves when the entry is on the disk. */
  readonly append: (entry: AuditEntry) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** More than the longest line, so that the last one is whole. */
const tailBytes = 256 * 1024;

/**
 * The audit log in a file of JSON lines, chained by hashes, appended to by one process. Half a line that a crash left at the end is
 * cut off; it was never acknowledged. Entries of one moment share one fsync.
 */
export async function openAuditFile(file: string, now: () => number): Promise<AuditFile> {
  const handle = await open(file, "a+", 0o600);
  const { size } = await handle.stat();
  const from = Math.max(0, size - tailBytes);
  const tail = Buffer.alloc(size - from);
  await handle.read(tail, 0, tail.length, from);
  const end = tail.lastIndexOf(0x0a) + 1;
  if (end < tail.length) await handle.truncate(from + end);
  let last = lastLine(tail.subarray(0, end).toString("utf8"));
  let pending: { readonly entry: AuditEntry; readonly done: PromiseWithResolvers<void> }[] = [];
  let writing: Promise<void> | undefined;

  const flush = async (): Promise<void> => {
    while (pending.length > 0) {
      const group = pending;
      pending = [];
      let text = "";
      let next = last;
      for (const { entry } of group) {
        const line = auditLine(next, entry, now());
        text += `${line.text}\n`;
        next = line;
      }
      try {
        await handle.appendFile(text);
        await handle.datasync();
        last = next;
        for (const one of group) one.done.resolve();
      } catch (error) {
        for (const one of group) one.done.reject(error);
      }
    }
    writing = undefined;
  };
  return {
    append: (entry) => {
      const done = Promise.withResolvers<void>();
      pending.push({ entry, done });
      writing ??= flush();
      return done.promise;
    },
    close: async () => {
      while (writing !== undefined) await writing;
      await handle.close();
    },
  };
}

function lastLine(text: string): { readonly hash: string; readonly number: number } {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  if (line === "") return { hash: genesis, number: 0 };
  const value: unknown = JSON.parse(line);
  if (!isObject(value)) throw new Error("the audit log's last line is damaged");
  return { hash: textAt(value, ["hash"]), number: Number(value["number"]) };
}
