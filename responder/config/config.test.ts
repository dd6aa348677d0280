// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readConfigFiles } from "#responder/adapters/config-files";
import { configSchema, environmentSettings, parseConfig } from "#responder/config/config";
import { settingsOf } from "#responder/config/settings";

const directory = mkdtempSync(join(tmpdir(), "parapet-config-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};

const sender = { intake: { tokens: [{ name: "a", value: "0123456789abcdef" }] } };

const faults = [
  {
    reason: "Every wrong value of a file, those in lists with their place.",
    file: {
      settle: "soon",
      intake: { listen: "here", tokens: [{ name: "a", value: "short" }] },
      queue: { concurrency: 0, redisUrl: "http://redis" },
    },
    problems: [
      /^intake\.listen: must be host:port/,
      /^intake\.tokens\.0\.value: /,
      /^intake\.tokens\.0: name exactly one|^intake\.tokens\.0\.value/,
      /^queue\.concurrency: /,
      /^queue\.redisUrl: /,
      /^settle: must be a duration/,
    ],
  },
  {
    reason: "Each misspelt setting by its own path, wherever it stands.",
    file: { ...sender, setle: "1s", queue: { nam: "x", redis: { tsl: {} } }, alertAge: "1s" },
    problems: [/^alertAge: is no setting/, /^queue\.nam: /, /^queue\.redis\.tsl: /, /^setle: /],
  },
  {
    reason: "A contradiction is told beside a wrong value elsewhere.",
    file: { settle: "soon", intake: { clientNames: ["a"] } },
    problems: [/^intake: name at least one/, /^intake\.clientNames: needs/, /^settle: /],
  },
  {
    reason: "Two ways to one Redis are none.",
    file: {
      ...sender,
      queue: {
        redisUrl: "redis://a:1",
        redis: { sentinel: { name: "m", nodes: ["a:1"] }, cluster: { nodes: ["a:1"] } },
      },
    },
    problems: [/^queue\.redis: name one of sentinel and cluster/],
  },
  {
    reason: "A password for a Redis that is nowhere.",
    file: { ...sender, queue: { redis: { password: { value: "x" } } } },
    problems: [/^queue\.redis: name queue\.redisUrl/],
  },
  {
    reason: "Half a client certificate.",
    file: {
      ...sender,
      queue: { redisUrl: "rediss://a:1", redis: { tls: { certFile: "/x" } } },
    },
    problems: [/^queue\.redis\.tls: name certFile and keyFile together/],
  },
  {
    reason: "Scraping Falco without a pause would be an attack.",
    file: { ...sender, lossDetection: { interval: "1ms", metricsUrls: ["ftp://a"] } },
    problems: [/^lossDetection\.metricsUrls\.0: /],
  },
] as const;

describe("a configuration with faults", () => {
  it.each(faults)("$reason", ({ file: content, problems }) => {
    const parsed = parseConfig(content, {});
    const told = parsed.ok ? [] : [...parsed.problems].sort();
    for (const problem of problems) {
      expect(
        told.filter((line) => problem.test(line)),
        `${String(problem)} in ${told.join("; ")}`,
      ).not.toEqual([]);
    }
  });

  it("names the variable that a wrong value came from, and not the value", () => {
    const parsed = parseConfig(sender, {
      PARAPET_REVIEW_LISTEN: "secret-nonsense",
      PARAPET_REDIS_PASSWORD: "a-password",
    });
    expect(parsed).toEqual({
      ok: false,
      problems: [
        "review.listen: must be host:port, such as 0.0.0.0:9801 (from PARAPET_REVIEW_LISTEN)",
        "queue.redis: name queue.redisUrl, queue.redis.sentinel or queue.redis.cluster",
      ],
    });
  });
});

describe("the files of a configuration", () => {
  const parse = (content: unknown) => {
    const parsed = parseConfig(content, {});
    if (!parsed.ok) throw new Error(parsed.problems.join("; "));
    return readConfigFiles(parsed.config);
  };

  it("that cannot be used are told all at once, by the settings that name them, without what stands in them", async () => {
    const missing = join(directory, "missing");
    const read = await parse({
      intake: {
        tokens: [{ name: "a", file: missing }],
        basic: [{ name: "b", user: "b", file: file("short", "too-short-words") }],
        tls: { certFile: missing, keyFile: missing, clientCaFile: missing },
      },
      review: { reviewers: [{ name: "r", file: file("blank", "with blanks and more") }] },
      notify: { destinations: [{ name: "n", urlFile: file("url", "token-but-no-address") }] },
      queue: {
        redisUrl: "rediss://redis:6379",
        redis: { password: { file: file("empty", "\n") }, tls: { caFile: missing } },
      },
    });
    expect(read).toEqual({
      ok: false,
      problems: [
        `intake.tokens.0.file: ${missing} cannot be read (ENOENT: it is not there)`,
        "intake.basic.0.file: is shorter than 16 characters",
        `intake.tls.certFile: ${missing} cannot be read (ENOENT: it is not there)`,
        `intake.tls.keyFile: ${missing} cannot be read (ENOENT: it is not there)`,
        `intake.tls.clientCaFile: ${missing} cannot be read (ENOENT: it is not there)`,
        "review.reviewers.0.file: has characters that no header can carry",
        "notify.destinations.0.urlFile: is no http address",
        "queue.redis.password: is empty",
        `queue.redis.tls.caFile: ${missing} cannot be read (ENOENT: it is not there)`,
      ],
    });
  });

  it("keep those who send apart from those who decide", async () => {
    const value = "one-secret-for-everything";
    const read = await parse({
      intake: { tokens: [{ name: "a", value }] },
      review: { reviewers: [{ name: "r", value }], sessionKey: { value } },
    });
    expect(read.ok ? [] : read.problems).toEqual([
      "review.reviewers.0: has the secret of a sender of the intake",
      "review.sessionKey: is the secret of a sender or a reviewer",
    ]);
  });

  it("give Redis its password and authority", async () => {
    const read = await parse({
      ...sender,
      queue: {
        redis: {
          username: "parapet",
          password: { file: file("password", "pw\n") },
          tls: { caFile: file("ca", "CA"), serverName: "redis.example" },
          sentinel: { name: "main", nodes: ["s1:26379", "[::1]:26380"], password: { value: "s" } },
          replicas: 1,
        },
      },
    });
    const redis = read.ok ? read.files.redis : undefined;
    const now = () => {
      const { password, tls } = redis ?? {};
      return {
        password: typeof password === "function" ? password() : password,
        tls: typeof tls === "function" ? tls() : tls,
      };
    };
    expect({ ...redis, ...now() }).toEqual({
      at: {
        kind: "sentinel",
        name: "main",
        nodes: [
          { host: "s1", port: 26379 },
          { host: "::1", port: 26380 },
        ],
        password: "s",
      },
      username: "parapet",
      password: "pw",
      tls: { ca: "CA", serverName: "redis.example" },
      replicas: 1,
      appendfsync: "always",
    });
    // Rotated; then gone and empty for a moment, as while somebody writes.
    file("password", "pw-2\n");
    file("ca", "CA 2");
    expect(now()).toMatchObject({ password: "pw-2", tls: { ca: "CA 2" } });
    file("password", "");
    rmSync(join(directory, "ca"));
    expect(now()).toMatchObject({ password: "pw-2", tls: { ca: "CA 2" } });
  });
});

describe("the list of settings", () => {
  it("has every setting that the environment can give, and those of lists and choices", () => {
    const paths = settingsOf(configSchema()).map((one) => one.path);
    for (const path of Object.values(environmentSettings)) expect(paths).toContain(path.join("."));
    expect(paths).toContain("intake.tokens[].file");
    expect(paths).toContain("queue.redis.sentinel.nodes[]");
    expect(new Set(paths).size).toBe(paths.length);
    expect(settingsOf(configSchema()).find((one) => one.path === "queue.embedded")?.kind).toBe(
      "auto|redis|pglite, auto unless given",
    );
  });
});
