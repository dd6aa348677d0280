// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, mkdir, open, readdir, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { StoredAlert } from "#responder/intake/alert-queue";

/** The spool is full, or its disk is: the alert was not taken. */
export class SpoolFull extends Error {}

export type Spool = {
  /** Resolves when the alerts are on the disk, fsynced. Rejects with {@link SpoolFull} or the disk's error. */
  readonly append: (alerts: readonly StoredAlert[]) => Promise<void>;
  /** Hands the oldest alerts over, a batch at a time and in order, and forgets each batch that was taken. */
  readonly drain: (take: (alerts: readonly StoredAlert[]) => Promise<void>) => Promise<number>;
  readonly isEmpty: () => boolean;
  readonly bytes: () => number;
  /** Lines that could not be read back: cut by a crash before they were accepted, or damaged. */
  readonly damaged: () => number;
  readonly close: () => Promise<void>;
};

const stored = z.object({
  fingerprint: z.string(),
  receivedAtMs: z.number(),
  sender: z.string(),
  priority: z.string(),
  text: z.string(),
  bytes: z.string().exactOptional(),
});

/** A segment is closed at this size and goes when all of it was taken. */
const segmentBytesMax = 4 * 1024 * 1024;
const batchMax = 200;

type Segment = { readonly file: string; bytes: number };

/**
 * Alerts in files of JSON lines, in the order they were accepted. All appends of one moment share one fsync. A segment that was
 * taken only in part before a crash is handed over again as a whole: the queue knows what it has.
 */
export async function openSpool(directory: string, bytesMax: number): Promise<Spool> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const segments: Segment[] = [];
  for (const name of (await readdir(directory)).filter((one) => one.endsWith(".ndjson")).sort()) {
    const file = join(directory, name);
    segments.push({ file, bytes: (await stat(file)).size });
  }
  return new FileSpool(directory, bytesMax, segments);
}

type Writer = { readonly segment: Segment; readonly handle: FileHandle };

class FileSpool implements Spool {
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #segments: Segment[];
  #number: number;
  #damaged = 0;
  #writer: Writer | undefined;
  #pending: { readonly lines: string; readonly done: PromiseWithResolvers<void> }[] = [];
  #writing: Promise<void> | undefined;
  #draining = false;

  constructor(directory: string, bytesMax: number, segments: Segment[]) {
    this.#directory = directory;
    this.#bytesMax = bytesMax;
    this.#segments = segments;
    this.#number = Number(/(\d+)\.ndjson$/.exec(segments.at(-1)?.file ?? "")?.[1] ?? "0");
  }

  append(alerts: readonly StoredAlert[]): Promise<void> {
    const lines = alerts.map((alert) => `${JSON.stringify(alert)}\n`).join("");
    if (this.bytes() + Buffer.byteLength(lines) > this.#bytesMax) {
      return Promise.reject(new SpoolFull("the spool is full"));
    }
    const done = Promise.withResolvers<void>();
    this.#pending.push({ lines, done });
    this.#writing ??= this.#flush();
    return done.promise;
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const group = this.#pending;
      this.#pending = [];
      try {
        const text = group.map((one) => one.lines).join("");
        const writer = await this.#writerFor();
        await writer.handle.appendFile(text);
        await writer.handle.datasync();
        writer.segment.bytes += Buffer.byteLength(text);
        for (const one of group) one.done.resolve();
      } catch (error) {
        // The segment may end in half a line now: what follows goes to a new one.
        this.#writer = undefined;
        for (const one of group) one.done.reject(error);
      }
    }
    this.#writing = undefined;
  }

  async #writerFor(): Promise<Writer> {
    if (this.#writer !== undefined && this.#writer.segment.bytes <= segmentBytesMax) {
      return this.#writer;
    }
    await this.#writer?.handle.close();
    this.#number += 1;
    const file = join(this.#directory, `${String(this.#number).padStart(12, "0")}.ndjson`);
    const handle = await open(file, "a", 0o600);
    // The name must survive too, or the lines are in a file that nobody finds.
    const folder = await open(this.#directory, "r");
    await folder.sync();
    await folder.close();
    const segment = { file, bytes: 0 };
    this.#segments.push(segment);
    this.#writer = { segment, handle };
    return this.#writer;
  }

  async drain(take: (alerts: readonly StoredAlert[]) => Promise<void>): Promise<number> {
    if (this.#draining) return 0;
    this.#draining = true;
    try {
      let taken = 0;
      while (this.#segments[0] !== undefined) {
        while (this.#writing !== undefined) await this.#writing;
        const [segment] = this.#segments;
        // Detached before anything else runs, so that what is accepted from now on goes to the next segment.
        const writer = segment === this.#writer?.segment ? this.#writer : undefined;
        if (writer !== undefined) this.#writer = undefined;
        await writer?.handle.close();
        taken += await this.#takeSegment(segment, take);
      }
      return taken;
    } finally {
      this.#draining = false;
    }
  }

  async #takeSegment(
    segment: Segment,
    take: (alerts: readonly StoredAlert[]) => Promise<void>,
  ): Promise<number> {
    const lines = (await readFile(segment.file, "utf8")).split("\n").filter((line) => line !== "");
    const alerts = lines.flatMap((line) => readLine(line) ?? []);
    for (let from = 0; from < alerts.length; from += batchMax) {
      await take(alerts.slice(from, from + batchMax));
    }
    this.#damaged += lines.length - alerts.length;
    await unlink(segment.file);
    this.#segments.splice(this.#segments.indexOf(segment), 1);
    return alerts.length;
  }

  isEmpty(): boolean {
    return this.#segments.length === 0 && this.#pending.length === 0;
  }

  bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  damaged(): number {
    return this.#damaged;
  }

  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    await this.#writer?.handle.close();
    this.#writer = undefined;
  }
}

function readLine(line: string): StoredAlert | undefined {
  try {
    const parsed = stored.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
