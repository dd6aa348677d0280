// SPDX-License-Identifier: Apache-2.0

/**
 * Milliseconds that this thread has worked, from any fixed moment. Unlike a clock it stands still while other processes
 * have the machine: what costs too much shows, and what had to wait does not.
 */
export function workedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
