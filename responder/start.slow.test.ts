// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { redisAdvice } from "#responder/adapters/redis-advice";
import { repository } from "#test/support/shared";

const directory = mkdtempSync(join(tmpdir(), "parapet-start-"));
const taken = createServer();
let port = 0;
beforeAll(async () => {
  await new Promise<void>((done) => taken.listen(0, "127.0.0.1", done));
  const address = taken.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterAll(() => {
  taken.close();
  rmSync(directory, { recursive: true, force: true });
});

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const kubeconfig = file(
  "kubeconfig",
  JSON.stringify({
    "current-context": "x",
    contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
    clusters: [{ name: "x", cluster: { server: "https://127.0.0.1:1" } }],
    users: [{ name: "x", user: { token: "x" } }],
  }),
);
const inUse = join(directory, "in-use");
mkdirSync(inUse);
writeFileSync(join(inUse, "parapet.pid"), `${process.pid}`);

type Row = {
  readonly reason: string;
  readonly env: () => Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly code: number;
  readonly says: RegExp;
};
const rows: readonly Row[] = [
  {
    reason: "The directory of the data is a file.",
    env: () => ({ PARAPET_DATA: file("no-directory", "x") }),
    code: 1,
    says: /^dataDirectory \S+no-directory: EEXIST.*; user \d+ must be able to write there/m,
  },
  {
    reason: "Another replica has it.",
    env: () => ({ PARAPET_DATA: inUse }),
    code: 1,
    says: /in-use is in use by process \d+: each replica needs a directory of its own/,
  },
  {
    reason: "The port is taken.",
    env: () => ({ PARAPET_INTAKE_LISTEN: `127.0.0.1:${port}` }),
    code: 1,
    says: /^intake\.listen: listen EADDRINUSE.*; choose another address or port/m,
  },
  {
    reason: "No such kubeconfig.",
    env: () => ({ PARAPET_KUBECONFIG: join(directory, "nowhere") }),
    code: 1,
    says: /^cluster\.kubeconfig: ENOENT.*nowhere'; name a kubeconfig that can be read/m,
  },
  {
    reason: "YAML that cannot be read is named by its place; what stands there may be secret.",
    env: () => ({}),
    args: ["--config", file("broken.yaml", "intake:\n  tokens: [a\n  hunter2-secret: 1\n")],
    code: 2,
    says: /^\S+broken\.yaml: (?![\s\S]*hunter2).*line \d+, column \d+$/m,
  },
];

describe("a start that cannot be says what to do", () => {
  it.each(rows)("$reason", ({ env, args = [], code, says }) => {
    const main = join(repository, "responder/main.ts");
    const ended = spawnSync("node", [main, ...args], {
      encoding: "utf8",
      env: {
        PATH: process.env["PATH"],
        PARAPET_DATA: mkdtempSync(join(directory, "data-")),
        PARAPET_INTAKE_TOKEN: "0123456789abcdef",
        PARAPET_INTAKE_LISTEN: "127.0.0.1:0",
        PARAPET_OPERATIONS_LISTEN: "127.0.0.1:0",
        PARAPET_KUBECONFIG: kubeconfig,
        PARAPET_REDIS_URL: "redis://127.0.0.1:1",
        ...env(),
      },
    });
    expect([ended.status, ended.stderr]).toEqual([code, expect.stringMatching(says)]);
  });

  it.each([
    ["WRONGPASS invalid username-password pair or user is disabled.", "queue.redis.password"],
    ["NOAUTH Authentication required.", "queue.redis.password"],
    ["NOPERM User parapet has no permissions to run the 'info' command", "intake.md"],
    ["OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"],
    ["connect ECONNREFUSED 127.0.0.1:6379", "whether Redis runs"],
    ["getaddrinfo ENOTFOUND redis.example", "the name"],
    ["unable to verify the first certificate", "caFile"],
    ["self-signed certificate in certificate chain", "caFile"],
    ["connect ETIMEDOUT", "rediss://"],
    ["something else", "see to Redis"],
  ])("%s", (message, words) => {
    expect(redisAdvice(new Error(message))).toContain(words);
  });
});
