// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: asks Redis for its settings.
import { Cluster, type Redis } from "ioredis";
import type { QueueProblem } from "#responder/intake/alert-queue";
import type { RedisTarget } from "#responder/adapters/redis-connection";

/**
 * What stands in the way of Redis keeping what it accepted: every master is asked. `INFO` first, since managed services and
 * ACLs often forbid `CONFIG`; where both are forbidden the answer says so. Rejects when Redis does not answer.
 */
export async function checkRedis(
  connection: Redis | Cluster,
  target: RedisTarget,
): Promise<readonly QueueProblem[]> {
  const nodes = connection instanceof Cluster ? connection.nodes("master") : [connection];
  if (nodes.length === 0) throw new Error("no node of the cluster is known");
  const found = await Promise.all(nodes.map(async (node) => judge(await settingsOf(node), target)));
  const byCode = new Map(found.flat().map((problem) => [problem.code, problem]));
  return [...byCode.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** Part of `maxmemory` from which somebody should act. */
const nearlyFullFrom = 0.8;

type Settings = ReadonlyMap<string, string>;

/** Lines of INFO with `appendfsync`, which is in none; the rest by CONFIG GET under INFO's names where INFO may not be asked. */
async function settingsOf(node: Redis): Promise<Settings> {
  const info = await Promise.all(
    (["persistence", "memory", "replication"] as const).map((section) =>
      allowed(node.info(section)),
    ),
  );
  const lines = info.flatMap((text) => (text ?? "").split(/\r?\n/));
  const settings = new Map(
    lines.flatMap((line): [string, string][] => {
      const at = line.indexOf(":");
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
    }),
  );
  const config = await allowed(node.config("GET", "appendonly", "maxmemory-policy", "appendfsync"));
  const pairs: readonly unknown[] = Array.isArray(config) ? config : [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [name, value] = [String(pairs[i]), String(pairs[i + 1])];
    if (name === "appendonly") settings.set("aof_enabled", value === "yes" ? "1" : "0");
    else settings.set(name.replace("-", "_"), value);
  }
  return settings;
}

/** undefined where an ACL or the service forbids the command (NOPERM, or unknown for a renamed one). */
async function allowed<T>(reply: Promise<T>): Promise<T | undefined> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof Error && /^(?:NOPERM|ERR unknown)/.test(error.message)) return undefined;
    throw error;
  }
}

function judge(settings: Settings, target: RedisTarget): readonly QueueProblem[] {
  const problems: QueueProblem[] = [];
  const append = settings.get("aof_enabled");
  const policy = settings.get("maxmemory_policy");
  if (append === undefined || policy === undefined) {
    problems.push({
      code: "CannotCheck",
      message:
        "whether Redis keeps what it accepts could not be checked: allow the user INFO (or CONFIG GET), or see to appendonly yes and maxmemory-policy noeviction",
    });
  }
  if (append === "0") {
    problems.push({
      code: "AppendOnlyOff",
      message:
        "appendonly is no: accepted alerts are lost when Redis ends; set appendonly yes (CONFIG SET appendonly yes, and in redis.conf)",
    });
  }
  if (append === "1" && settings.get("aof_last_write_status") === "err") {
    problems.push({
      code: "AppendOnlyFails",
      message: "Redis cannot write its append-only file: look at its disk",
    });
  }
  if (policy !== undefined && policy !== "noeviction") {
    problems.push({
      code: "Evicts",
      message: `maxmemory-policy is ${policy}: Redis may throw accepted alerts away; set maxmemory-policy noeviction`,
    });
  }
  if (append === "1") problems.push(...judgeSync(settings.get("appendfsync"), target));
  const [used, most] = ["used_memory", "maxmemory"].map((name) => Number(settings.get(name) ?? 0));
  if (used !== undefined && most !== undefined && most > 0 && used > nearlyFullFrom * most) {
    problems.push({
      code: "NearlyFull",
      message: `Redis uses ${Math.round((100 * used) / most)} % of its maxmemory: when it is full alerts go to the spool, and what waits is handled slowly; raise maxmemory, or see to why alerts wait (parapet_queue_alerts)`,
    });
  }
  const replicas = Number(settings.get("connected_slaves") ?? target.replicas);
  if (replicas < target.replicas) {
    problems.push({
      code: "TooFewReplicas",
      message: `${replicas} of ${target.replicas} replicas are connected: alerts go to the spool until they are`,
    });
  }
  return problems;
}

/** When what Redis has accepted is on its disk. A replica that has it too makes up for a machine that loses its power. */
function judgeSync(sync: string | undefined, target: RedisTarget): readonly QueueProblem[] {
  if (target.replicas > 0 || sync === "always") return [];
  const accepts = target.appendfsync === "everysec";
  if (sync === "no") {
    const message =
      "appendfsync is no: the system writes when it likes, and a power cut may lose half a minute of alerts that were answered with 202; set appendfsync always (CONFIG SET appendfsync always, and in redis.conf)";
    return [{ code: "FsyncOff", message }];
  }
  if (accepts) return [];
  if (sync === "everysec") {
    const message =
      "appendfsync is everysec: a power cut may lose the last second of alerts that were answered with 202; set appendfsync always (CONFIG SET appendfsync always, and in redis.conf) or queue.redis.replicas, or accept it by queue.redis.appendfsync: everysec";
    return [{ code: "FsyncEverySecond", message }];
  }
  const message =
    "whether Redis syncs each write to its disk could not be checked: allow the user CONFIG GET (+config|get) and set appendfsync always, or accept a second's loss at a power cut by queue.redis.appendfsync: everysec";
  return [{ code: "CannotCheck", message }];
}
