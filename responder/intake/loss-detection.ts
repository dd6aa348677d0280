// SPDX-License-Identifier: Apache-2.0
import { type Priority, priorities } from "#responder/intake/alert";
import type { FalcoFigures } from "#responder/intake/falco-metrics";

/** One host and rule. */
export type LossKey = { readonly host: string; readonly rule: string };

/** As text, so that two replicas count under one name. */
export const lossKey = ({ host, rule }: LossKey): string =>
  JSON.stringify([host.slice(0, 253), rule.slice(0, 256)]);

/** Alerts that came, by {@link lossKey}, since anybody counts. */
export type Received = ReadonlyMap<string, number>;

/** What is known of one host and rule between two looks. */
export type Account = {
  /** Falco's counter as it stood last. */
  raw: number;
  /** Received as it stood last, to see that the count began anew. */
  came: number;
  /** What Falco said since the beginning, over its restarts. */
  said: number;
  /** Received at the beginning. */
  base: number;
  /** Of what is missing, how much was told. */
  told: number;
  /** What it had said when; the oldest one is as old as the lateness. */
  readonly marks: { readonly atMs: number; readonly said: number }[];
};

export type Host = { sinceMs: number; drops: number; readonly rules: Map<string, Account> };

export type LossState = Map<string, Host>;

export type LossRules = {
  /** How late an alert may come until it counts as lost, in milliseconds. */
  readonly latenessMs: number;
  /** Less urgent ones are filtered by the senders. */
  readonly minimumPriority: Priority;
  readonly ignoreRules: readonly string[];
};

export type Loss =
  | {
      readonly kind: "missing";
      readonly host: string;
      readonly rule: string;
      /** Since the beginning, as far as it should have come by now. */
      readonly said: number;
      readonly received: number;
      /** Not told before. */
      readonly missing: number;
      readonly sinceMs: number;
    }
  | {
      readonly kind: "recovered";
      readonly host: string;
      readonly rule: string;
      readonly count: number;
    }
  | { readonly kind: "dropped"; readonly host: string; readonly count: number };

/** Hosts and rules that are looked after; more are left out, which {@link compareLosses} says. */
export const accountsMax = 20_000;

/**
 * Compares what Falco counted with what came. `received` must have been read before Falco was asked: then a count above Falco's own
 * means copies or a restart that swallowed a part, and is no credit for later. A host's first look only begins its account: what was
 * before is not known. Counters that fall begin anew (Falco restarted). Changes `state`. `isBehind`: alerts wait on our own side, so
 * nothing is called missing yet.
 */
export function compareLosses(
  state: LossState,
  look: {
    readonly atMs: number;
    readonly received: Received;
    /** Received at the look before; undefined at the first one of a process. */
    readonly before: Received | undefined;
    readonly falcos: readonly FalcoFigures[];
    readonly isBehind: boolean;
  },
  rules: LossRules,
): readonly Loss[] {
  const losses: Loss[] = [];
  for (const falco of look.falcos) {
    const known = state.get(falco.hostname);
    const host = known ?? {
      sinceMs: look.atMs,
      drops: falco.queueDrops,
      rules: new Map<string, Account>(),
    };
    state.set(falco.hostname, host);
    const dropped = rise(host.drops, falco.queueDrops);
    host.drops = falco.queueDrops;
    if (dropped > 0) losses.push({ kind: "dropped", host: falco.hostname, count: dropped });
    for (const [rule, { count, priority }] of falco.matches) {
      if (!isWanted(rules, rule, priority)) continue;
      const key = lossKey({ host: falco.hostname, rule });
      const came = look.received.get(key) ?? 0;
      let account = host.rules.get(rule);
      if (account === undefined) {
        if (accountsOf(state) >= accountsMax) continue;
        const isNew = known === undefined || look.before === undefined;
        account = isNew ? open(count, came, came) : open(0, came, look.before.get(key) ?? 0);
        host.rules.set(rule, account);
      }
      losses.push(...settle(account, { ...look, count, came, host, rule }, falco.hostname, rules));
    }
  }
  return losses;
}

const isWanted = (rules: LossRules, rule: string, priority: Priority): boolean =>
  !rules.ignoreRules.includes(rule) &&
  (priority === "Unknown" ||
    priorities.indexOf(priority) <= priorities.indexOf(rules.minimumPriority));

/**
 * Of a host or a process that is new, what was before is not known and not set off against what follows. A rule that shows up at a
 * host that was looked at before matched for the first time since: Falco leaves out what is 0.
 */
const open = (raw: number, came: number, base: number): Account => ({
  raw,
  came,
  said: 0,
  base,
  told: 0,
  marks: [],
});

const rise = (before: number, now: number): number => (now >= before ? now - before : now);

const accountsOf = (state: LossState): number =>
  [...state.values()].reduce((sum, host) => sum + host.rules.size, 0);

function settle(
  account: Account,
  look: {
    readonly atMs: number;
    readonly count: number;
    readonly came: number;
    readonly host: Host;
    readonly rule: string;
    readonly isBehind: boolean;
  },
  host: string,
  rules: LossRules,
): readonly Loss[] {
  const { rule } = look;
  // Our own count began anew: what had come until then stays as it was.
  if (look.came < account.came) account.base -= account.came - look.came;
  account.came = look.came;
  account.said += rise(account.raw, look.count);
  account.raw = look.count;
  account.marks.push({ atMs: look.atMs, said: account.said });
  const due = account.marks.findLastIndex((mark) => mark.atMs <= look.atMs - rules.latenessMs);
  if (due > 0) account.marks.splice(0, due);
  const losses: Loss[] = [];
  const excess = look.came - account.base + account.told - account.said;
  if (excess > 0) {
    const count = Math.min(excess, account.told);
    account.told -= count;
    account.base += excess - count;
    if (count > 0) losses.push({ kind: "recovered", host, rule, count });
  }
  const received = look.came - account.base;
  const said = due < 0 ? 0 : (account.marks[0]?.said ?? 0);
  const missing = said - received - account.told;
  if (missing > 0 && !look.isBehind) {
    account.told += missing;
    losses.push({
      kind: "missing",
      host,
      rule,
      said,
      received,
      missing,
      sinceMs: look.host.sinceMs,
    });
  }
  return losses;
}

/** For people: who says how much, and how much there is. */
export function lossText(loss: Loss): string {
  switch (loss.kind) {
    case "missing":
      return `Falco on ${loss.host} says ${loss.said} of "${loss.rule}" since ${new Date(loss.sinceMs).toISOString()}, we have ${loss.received}: ${loss.missing} more are missing`;
    case "recovered":
      return `${loss.count} of "${loss.rule}" that were missing from Falco on ${loss.host} came late`;
    case "dropped":
      return `Falco on ${loss.host} dropped ${loss.count} alert(s) since its output queue was full (outputs_queue.capacity)`;
    default:
      return loss satisfies never;
  }
}
