// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";

/**
 * Takes a directory for this process alone: PGlite takes no lock of its own, and two of them on one directory lose rows silently.
 * A lock whose process is gone is taken over. Throws when another process has it. Returns the release.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = join(directory, "parapet.pid");
  for (let tries = 0; tries < 3; tries++) {
    try {
      const handle = await open(file, "wx", 0o600);
      await handle.writeFile(`${process.pid}`);
      await handle.close();
      return () => unlink(file).catch(() => undefined);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const holder = Number(await readFile(file, "utf8").catch(() => "0"));
    if (holder > 0 && holder !== process.pid && isAlive(holder)) {
      throw new Error(
        `${directory} is in use by process ${holder}: each replica needs a directory of its own (dataDirectory); if process ${holder} is no responder, delete ${file}`,
      );
    }
    await unlink(file).catch(() => undefined);
  }
  throw new Error(`${directory} cannot be locked`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
