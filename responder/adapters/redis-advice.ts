// SPDX-License-Identifier: Apache-2.0

/** What to look at for each kind of failure, by the words of Redis, TLS and the system. */
const advice: readonly (readonly [RegExp, string])[] = [
  [
    /^(?:WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/,
    "see to queue.redis.username and queue.redis.password: its file is read again for each connection",
  ],
  [/^NOPERM/, "the user lacks a right: package/install/intake.md has the ACL that is needed"],
  [/^OOM/, "Redis has no memory left: raise its maxmemory"],
  [/^(?:MISCONF|READONLY|LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN)/, "see to Redis itself"],
  [/ENOTFOUND|EAI_AGAIN/, "see to the name in queue.redisUrl (or queue.redis)"],
  [/ECONNREFUSED/, "see whether Redis runs at queue.redisUrl (or queue.redis)"],
  [
    /certificate|altname|self.signed|issuer|ERR_TLS/i,
    "see to queue.redis.tls: caFile must have the authority that signed Redis' certificate, serverName the name in it",
  ],
  [
    /ETIMEDOUT|ECONNRESET|EPROTO|wrong version|Connection is closed|Socket closed/i,
    "see whether queue.redisUrl has the right port and scheme (rediss:// is TLS, redis:// is not), and network policies",
  ],
];

/** What somebody who operates Redis can do about an error; alerts are kept on the disk meanwhile. */
export const redisAdvice = ({ message }: Error): string =>
  advice.find(([words]) => words.test(message))?.[1] ?? "see to Redis at queue.redisUrl";
