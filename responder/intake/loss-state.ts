// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Account, LossState } from "#responder/intake/loss-detection";

/** An older state says too little about now: an account of it would call lost what nobody remembers. */
const ageMsMax = 24 * 3_600_000;

const counted = z.number().nonnegative();
const schema = z.object({
  atMs: z.number(),
  hosts: z.array(
    z.object({
      host: z.string(),
      sinceMs: z.number(),
      drops: counted,
      rules: z.array(
        z.object({
          rule: z.string(),
          raw: counted,
          came: counted,
          said: counted,
          base: z.number(),
          told: counted,
        }),
      ),
    }),
  ),
});

/** The accounts as text, without their marks: after a restart the lateness begins anew. */
export const writeLossState = (state: LossState, atMs: number): string =>
  JSON.stringify({
    atMs,
    hosts: [...state].map(([host, { sinceMs, drops, rules }]) => ({
      host,
      sinceMs,
      drops,
      rules: [...rules].map(([rule, { raw, came, said, base, told }]) => ({
        ...{ rule, raw, came, said, base, told },
      })),
    })),
  });

/** The accounts of an earlier process; empty when there are none, or none that can be used. */
export function readLossState(text: string | undefined, nowMs: number): LossState {
  const state: LossState = new Map();
  const parsed = schema.safeParse(text === undefined ? undefined : parseJson(text));
  if (!parsed.success || Math.abs(nowMs - parsed.data.atMs) > ageMsMax) return state;
  for (const { host, rules, ...rest } of parsed.data.hosts) {
    const accounts = new Map<string, Account>();
    for (const { rule, ...account } of rules) accounts.set(rule, { ...account, marks: [] });
    state.set(host, { ...rest, rules: accounts });
  }
  return state;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
