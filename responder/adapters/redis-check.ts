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

type Settings = ReadonlyMap<string, string>;

/** Lines of INFO, or the same facts by CONFIG GET under INFO's names; empty when neither may be asked. */
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
  if (settings.has("aof_enabled") && settings.has("maxmemory_policy")) return settings;
  const config = await allowed(node.config("GET", "appendonly", "maxmemory-policy"));
  const pairs: readonly unknown[] = Array.isArray(config) ? config : [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    if (pairs[i] === "appendonly") settings.set("aof_enabled", pairs[i + 1] === "yes" ? "1" : "0");
    if (pairs[i] === "maxmemory-policy") settings.set("maxmemory_policy", String(pairs[i + 1]));
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
  const replicas = Number(settings.get("connected_slaves") ?? target.replicas);
  if (replicas < target.replicas) {
    problems.push({
      code: "TooFewReplicas",
      message: `${replicas} of ${target.replicas} replicas are connected: alerts go to the spool until they are`,
    });
  }
  return problems;
}
