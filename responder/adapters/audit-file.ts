// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: the audit log on the disk.
import { type FileHandle, open, readdir, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  type AuditEntry,
  auditLine,
  type ChainEnd,
  chainStart,
  endOfLine,
} from "#responder/record/audit";

export type AuditFile = {
  /** Resolves when the entry is on the disk. */
  readonly append: (entry: AuditEntry) => Promise<void>;
  /** Where the chain stands: noted elsewhere, it shows a log that was cut off. */
  readonly end: () => ChainEnd;
  readonly close: () => Promise<void>;
};

/** More than the longest line, so that the last one is whole. */
const tailBytes = 256 * 1024;
/** A file that has reached this size is put aside, and a new one continues its chain. */
const fileBytesMax = 64 * 1024 * 1024;
/** Digits of a line's number in the name of a file that was put aside, so that names sort as the lines do. */
const digits = 12;

/**
 * The audit log in files of JSON lines, chained by hashes from file to file, appended to by one process. Half a line that a crash left at the
 * end is cut off; it was never acknowledged. Entries of one moment share one fsync. A file put aside is called after its last line's number.
 * Throws when the newest file's last line is damaged: whoever continued it would hide that.
 */
export async function openAuditFile(
  file: string,
  now: () => number,
  bytesMax = fileBytesMax,
): Promise<AuditFile> {
  const opened = await openLast(file);
  let { handle, size } = opened;
  let last = opened.end ?? (await endOfNewestAside(file)) ?? chainStart;
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
        next = { hash: line.hash, number: line.number };
      }
      try {
        if (size >= bytesMax) {
          handle = await putAside(file, handle, last);
          size = 0;
        }
        await handle.appendFile(text);
        await handle.datasync();
        size += Buffer.byteLength(text);
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
    end: () => last,
    close: async () => {
      while (writing !== undefined) await writing;
      await handle.close();
    },
  };
}

type Opened = {
  readonly handle: FileHandle;
  readonly size: number;
  readonly end: ChainEnd | undefined;
};

async function openLast(file: string): Promise<Opened> {
  const handle = await open(file, "a+", 0o600);
  const { size } = await handle.stat();
  const from = Math.max(0, size - tailBytes);
  const tail = Buffer.alloc(size - from);
  await handle.read(tail, 0, tail.length, from);
  const end = tail.lastIndexOf(0x0a) + 1;
  if (end < tail.length) await handle.truncate(from + end);
  return { handle, size: from + end, end: lastLine(tail.subarray(0, end).toString("utf8")) };
}

function lastLine(text: string): ChainEnd | undefined {
  const line = text.trimEnd().split("\n").at(-1) ?? "";
  if (line === "") return undefined;
  const end = endOfLine(line);
  if (end === undefined) throw new Error("the audit log's last line is damaged");
  return end;
}

/** `audit.jsonl` -> `audit.000000001234.jsonl`, in one step: a crash leaves either all of it or nothing done. */
async function putAside(file: string, handle: FileHandle, last: ChainEnd): Promise<FileHandle> {
  const stem = basename(file, ".jsonl");
  const name = `${stem}.${`${last.number}`.padStart(digits, "0")}.jsonl`;
  const next = join(dirname(file), name);
  await handle.close();
  await rename(file, next);
  return open(file, "a+", 0o600);
}

/** After a crash between putting one aside and beginning the next, and after somebody moved the present file away. */
async function endOfNewestAside(file: string): Promise<ChainEnd | undefined> {
  const stem = basename(file, ".jsonl");
  const pattern = new RegExp(`^${stem.replaceAll(/[^\w-]/g, "\\$&")}\\.\\d{${digits}}\\.jsonl$`);
  const names = (await readdir(dirname(file))).filter((name) => pattern.test(name)).sort();
  const newest = names.at(-1);
  if (newest === undefined) return undefined;
  const { handle, end } = await openLast(join(dirname(file), newest));
  await handle.close();
  return end;
}
