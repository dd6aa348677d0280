// SPDX-License-Identifier: Apache-2.0

/** Does a part of the start; a failure of the system names the setting that it comes from and what to do about it. */
export async function starting<T>(
  setting: string,
  advice: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isSystem = error instanceof Error && "code" in error && "syscall" in error;
    if (!isSystem) throw error;
    throw new Error(`${setting}: ${error.message}; ${advice}`, { cause: error });
  }
}

/** For messages: who we are to the file system. */
export const ownUser = (): string => `user ${process.getuid?.() ?? "of this process"}`;
