// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: what has begun is counted in Redis, where all replicas count together.
import { randomUUID } from "node:crypto";
import type { Cluster as RedisCluster, Redis } from "ioredis";
import {
  type Ask,
  type Beginning,
  type Beginnings,
  type IsThere,
  keptMs,
  othersOf,
  writtenMs,
} from "#responder/beginnings";
import type { Allowance } from "#responder/budget";
import { failure, fromKey, keyOf, type Reply } from "#responder/cluster";
import {
  connectProducer,
  makeWaitForReplicas,
  type RedisTarget,
} from "#responder/adapters/redis-connection";

/** Rounds that other replicas may win before the count is given up for now; each of them counted something. */
const roundsMax = 50;

/** Redis' time, by which all replicas tell ages, and all fields of a policy's hash. */
const readScript = `
local time = redis.call('TIME')
return {time[1] * 1000 + math.floor(time[2] / 1000), redis.call('HGETALL', KEYS[1])}`;

/** Writes only onto what was read: ARGV is the version read, the new one, the time to keep it, how many to drop, those, and pairs to set. */
const writeScript = `
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
local drops = tonumber(ARGV[4])
for i = 5, 4 + drops do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 5 + drops, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`;

type Counted = Beginning & { readonly atMs: number };
type Read = {
  readonly version: string;
  readonly nowMs: number;
  readonly begun: readonly Counted[];
};
type Waiting = {
  readonly one: Beginning;
  readonly ask: Ask;
  readonly done: (reply: Reply<Allowance>) => void;
};

/**
 * One hash for each policy, beside the queue. Those who ask at once in this process are answered in one round: a read, the
 * questions, and one write that is refused when another replica wrote meanwhile. Each call ends within some seconds.
 */
export function makeRedisBeginnings(
  target: RedisTarget,
  queueName: string,
  ports: { readonly isThere: IsThere; readonly onError: (error: Error) => void },
): Beginnings {
  const connection = connectProducer(target);
  connection.on("error", ports.onError);
  // One slot for all of it, as the queue has.
  const prefix = `${target.at.kind === "cluster" ? "{bull}" : "bull"}:${queueName}-begun`;
  const confirm = makeWaitForReplicas(connection, target, prefix);
  const waiting = new Map<string, Waiting[]>();

  const work = async (policy: string): Promise<void> => {
    for (;;) {
      const batch = waiting.get(policy)?.splice(0) ?? [];
      // Nothing is awaited in between, so none can have come that nobody works on.
      if (batch.length === 0) {
        waiting.delete(policy);
        return;
      }
      const key = `${prefix}:${policy}`;
      const replies = await answer(batch, key).catch((error: unknown) =>
        batch.map(() => failure("Unavailable", `${uncounted}: ${textOf(error)}`)),
      );
      for (const [i, { done }] of batch.entries()) done(replies[i] ?? notNow);
    }
  };
  const answer = async (
    batch: readonly Waiting[],
    key: string,
  ): Promise<readonly Reply<Allowance>[]> => {
    for (let round = 0; round < roundsMax; round++) {
      const read = await readAll(connection, key);
      const gone = await goneOf(read, ports.isThere);
      const { begun, allowances, added } = decideAll(batch, read, gone);
      if (added.length > 0) {
        if (!(await write(connection, key, { read, begun, added }))) continue;
        await confirm();
      }
      return allowances.map((value) => ({ ok: true, value }));
    }
    return batch.map(() => notNow);
  };
  return {
    begin: (one, ask) =>
      new Promise((done) => {
        const others = waiting.get(one.policy);
        if (others !== undefined) others.push({ one, ask, done });
        else {
          waiting.set(one.policy, [{ one, ask, done }]);
          void work(one.policy);
        }
      }),
    close: () => connection.disconnect(),
  };
}

const uncounted = "limits are counted in Redis, and nothing is done while they cannot be";
const notNow = failure("Unavailable", `${uncounted}: other replicas count all the while`);

/** The questions one after the other, each with what those before it were allowed. */
function decideAll(batch: readonly Waiting[], read: Read, gone: ReadonlySet<Counted>) {
  const begun = read.begun.filter((one) => !gone.has(one));
  const added: Beginning[] = [];
  const allowances = batch.map(({ one, ask }) => {
    const allowance = ask(othersOf(one, [...begun, ...added]));
    if (allowance.mode === "Automatic") added.push(one);
    return allowance;
  });
  return { begun, allowances, added };
}

/** What is too old to count, and what a crash left without a record. */
async function goneOf({ begun, nowMs }: Read, isThere: IsThere): Promise<ReadonlySet<Counted>> {
  const gone = new Set<Counted>();
  for (const one of begun) {
    // Ahead of now: Redis' clock was set back.
    const ageMs = Math.abs(nowMs - one.atMs);
    if (ageMs > keptMs || (ageMs > writtenMs && !(await isThere(one.name)))) gone.add(one);
  }
  return gone;
}

async function readAll(connection: Redis | RedisCluster, key: string): Promise<Read> {
  const reply: unknown = await connection.eval(readScript, 1, key);
  const [nowMs, fields] = listOf(reply);
  const texts = listOf(fields);
  let version = "";
  const begun: Counted[] = [];
  const policy = key.slice(key.lastIndexOf(":") + 1);
  for (let i = 0; i + 1 < texts.length; i += 2) {
    const [field, text] = [String(texts[i]), String(texts[i + 1])];
    if (field === "version") version = text;
    else begun.push(toCounted(policy, field, text));
  }
  return { version, nowMs: Number(nowMs), begun };
}

const listOf = (reply: unknown): readonly unknown[] => (Array.isArray(reply) ? reply : []);

function toCounted(policy: string, field: string, text: string): Counted {
  const end = text.indexOf(" ");
  const atMs = Number(text.slice(0, end));
  return { policy, name: fromKey(field), workload: text.slice(end + 1), atMs };
}

/** False when somebody else wrote since the read. */
async function write(
  connection: Redis | RedisCluster,
  key: string,
  what: {
    readonly read: Read;
    readonly begun: readonly Counted[];
    readonly added: readonly Beginning[];
  },
): Promise<boolean> {
  const { read, begun, added } = what;
  const kept = new Set(begun);
  const drops = read.begun.filter((one) => !kept.has(one)).map((one) => keyOf(one.name));
  const pairs = added.flatMap((one) => [keyOf(one.name), `${read.nowMs} ${one.workload}`]);
  const written = await connection.eval(
    writeScript,
    1,
    key,
    ...[read.version, randomUUID(), `${2 * keptMs}`, `${drops.length}`, ...drops, ...pairs],
  );
  return written === 1;
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : "failed");
