// SPDX-License-Identifier: Apache-2.0
import {
  appendFileSync,
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { StoredAlert } from "#responder/intake/alert-queue";
import { openAuditFile } from "#responder/adapters/audit-file";
import { makeEvidenceDirectory } from "#responder/adapters/evidence-directory";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import { lockDirectory } from "#responder/adapters/pid-lock";
import { openSpool, SpoolFull } from "#responder/adapters/spool";
import { verifyAudit } from "#responder/record/audit";
import { evidenceContract } from "#test/support/evidence-contract";

const root = mkdtempSync(join(tmpdir(), "parapet-files-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const folder = (): string => mkdtempSync(join(root, "x-"));

const alert = (n: number): StoredAlert => ({
  fingerprint: `f${n}`,
  receivedAtMs: n,
  sender: "falco",
  priority: "Notice",
  text: `{"rule":"r\\n","n":${n}}`,
});

describe("the spool", () => {
  it("gives back what was appended, in order, and is empty after", async () => {
    const spool = await openSpool(folder(), 1 << 20);
    await Promise.all(Array.from({ length: 500 }, (_, i) => spool.append([alert(i)])));
    const got: StoredAlert[] = [];
    const count = await spool.drain((alerts) => {
      got.push(...alerts);
      return Promise.resolve();
    });
    expect([count, spool.isEmpty(), spool.bytes()]).toEqual([500, true, 0]);
    expect(got).toEqual(Array.from({ length: 500 }, (_, i) => alert(i)));
    await spool.close();
  });

  it("keeps everything over the end of its process, half a line less", async () => {
    const directory = folder();
    const first = await openSpool(directory, 1 << 20);
    await first.append([alert(1), alert(2)]);
    // The process is killed in the middle of the next write: the line has no end, and was never acknowledged.
    const [file] = readdirSync(directory);
    appendFileSync(join(directory, file ?? ""), JSON.stringify(alert(3)).slice(0, 20));
    const second = await openSpool(directory, 1 << 20);
    await second.append([alert(4)]);
    const got: number[] = [];
    await second.drain((alerts) => {
      got.push(...alerts.map((one) => one.receivedAtMs));
      return Promise.resolve();
    });
    expect([got, second.damaged(), readdirSync(directory)]).toEqual([[1, 2, 4], 1, []]);
    await second.close();
    await first.close();
  });

  it("loses nothing that is appended while it drains, nor when the queue fails again", async () => {
    const spool = await openSpool(folder(), 1 << 20);
    await spool.append(Array.from({ length: 450 }, (_, i) => alert(i)));
    const got = new Set<number>();
    let batches = 0;
    const take = async (alerts: readonly StoredAlert[]): Promise<void> => {
      batches += 1;
      if (batches === 2) throw new Error("away again");
      for (const one of alerts) got.add(one.receivedAtMs);
      await spool.append([alert(1_000 + batches)]);
    };
    await expect(spool.drain(take)).rejects.toThrow("away again");
    expect(spool.isEmpty()).toBe(false);
    batches = 10;
    await spool.drain((alerts) => {
      for (const one of alerts) got.add(one.receivedAtMs);
      return Promise.resolve();
    });
    expect(got.size).toBe(451);
    expect(spool.isEmpty()).toBe(true);
    await spool.close();
  });

  it("takes no more than it may", async () => {
    const spool = await openSpool(folder(), 500);
    await spool.append([alert(1)]);
    await expect(
      spool.append(Array.from({ length: 10 }, (_, i) => alert(i))),
    ).rejects.toBeInstanceOf(SpoolFull);
    await spool.append([alert(2)]);
    await spool.close();
  });
});

describe("evidence in a directory", () => {
  evidenceContract(
    () => Promise.resolve(makeEvidenceDirectory(join(folder(), "evidence"))),
    (location, text) => {
      chmodSync(location, 0o600);
      writeFileSync(location, text);
    },
  );
});

describe("the audit log", () => {
  const entry = (what: string) => ({ what, who: "jane", remediation: "shop/x", detail: { a: 1 } });

  it("is one chain over restarts, and half a line is cut off", async () => {
    const file = join(folder(), "audit.jsonl");
    const first = await openAuditFile(file, () => 0);
    await Promise.all(["a", "b", "c"].map((what) => first.append(entry(what))));
    await first.close();
    appendFileSync(file, '{"number":4,"at"');
    const second = await openAuditFile(file, () => 1);
    await second.append(entry("d"));
    await second.close();
    expect(verifyAudit(readFileSync(file, "utf8"))).toMatchObject({ ok: true, lines: 4 });
  });

  it("is one chain over files that were put aside as they grew, and over a crash between two", async () => {
    const directory = folder();
    const file = join(directory, "audit.jsonl");
    const log = await openAuditFile(file, () => 0, 2_000);
    for (let i = 0; i < 30; i++) await log.append(entry(`step ${i}`));
    expect(log.end().number).toBe(30);
    await log.close();
    const names = readdirSync(directory).sort();
    expect(names.length).toBeGreaterThan(3);
    expect(names.at(-1)).toBe("audit.jsonl");
    for (const name of names.slice(0, -1)) expect(name).toMatch(/^audit\.\d{12}\.jsonl$/);
    // As a crash leaves it after the rename: the present file is not there.
    renameSync(file, join(directory, "audit.000000000030.jsonl"));
    const again = await openAuditFile(file, () => 1, 2_000);
    await again.append(entry("after"));
    await again.close();
    const all = readdirSync(directory).sort();
    const text = all.map((name) => readFileSync(join(directory, name), "utf8")).join("");
    expect(verifyAudit(text)).toMatchObject({ ok: true, lines: 31 });
  });

  it("is not continued where its last line is damaged: that would hide it", async () => {
    const file = join(folder(), "audit.jsonl");
    writeFileSync(file, "rubbish\n");
    await expect(openAuditFile(file, () => 0)).rejects.toThrow("damaged");
  });

  it.each([
    {
      reason: "A changed word.",
      change: (lines: string[]) =>
        lines.map((line, i) => (i === 1 ? line.replace("jane", "joe") : line)),
      line: 2,
    },
    {
      reason: "A line left out.",
      change: (lines: string[]) => lines.filter((_, i) => i !== 1),
      line: 2,
    },
    { reason: "A line put in.", change: (lines: string[]) => [lines[0] ?? "", ...lines], line: 2 },
    { reason: "The beginning left out.", change: (lines: string[]) => lines.slice(1), line: 1 },
    { reason: "No JSON.", change: (lines: string[]) => [...lines, "x"], line: 4 },
  ])("shows where it was tampered with: $reason", async ({ change, line }) => {
    const file = join(folder(), "audit.jsonl");
    const log = await openAuditFile(file, () => 0);
    for (const what of ["a", "b", "c"]) await log.append(entry(what));
    await log.close();
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    expect(verifyAudit(change(lines).join("\n"))).toMatchObject({ ok: false, line });
  });
});

describe("the data directory", () => {
  it("belongs to one process, and that of a dead one is taken over", async () => {
    const directory = folder();
    writeFileSync(join(directory, "parapet.pid"), "1");
    await expect(lockDirectory(directory)).rejects.toThrow("in use by process 1");
    writeFileSync(join(directory, "parapet.pid"), "999999999");
    const release = await lockDirectory(directory);
    expect(readFileSync(join(directory, "parapet.pid"), "utf8")).toBe(`${process.pid}`);
    await release();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe("a kubeconfig", () => {
  const write = (config: object): string => {
    const file = join(folder(), "config");
    writeFileSync(file, JSON.stringify(config));
    return file;
  };
  const config = {
    "current-context": "a",
    contexts: [
      { name: "a", context: { cluster: "c", user: "u" } },
      { name: "b", context: { cluster: "c", user: "certificate" } },
    ],
    clusters: [
      {
        name: "c",
        cluster: {
          server: "https://x:6443",
          "certificate-authority-data": Buffer.from("CA").toString("base64"),
        },
      },
    ],
    users: [
      { name: "u", user: { token: "secret" } },
      {
        name: "certificate",
        user: {
          "client-certificate": "crt.pem",
          "client-key-data": Buffer.from("KEY").toString("base64"),
        },
      },
    ],
  };

  it("gives server, authority and token of its current context", async () => {
    const connection = await fromKubeconfig(write(config));
    expect(connection).toMatchObject({ server: "https://x:6443", ca: "CA", verify: true });
    expect(await connection.token()).toBe("secret");
  });

  it("finds certificate files beside itself", async () => {
    const file = write(config);
    writeFileSync(join(file, "../crt.pem"), "CRT");
    expect(await fromKubeconfig(file, "b")).toMatchObject({ cert: "CRT", key: "KEY" });
  });

  it("without the context says so", async () => {
    await expect(fromKubeconfig(write(config), "nothing")).rejects.toThrow('context "nothing"');
    await expect(fromKubeconfig(write([]))).rejects.toThrow("no kubeconfig");
  });
});
