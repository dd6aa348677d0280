// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { afterAll, expect, it } from "vitest";
import { readConfigFiles } from "#responder/adapters/config-files";
import { parseConfig } from "#responder/config/config";
import { authenticate } from "#responder/config/credentials";
import { listen } from "#responder/listener";
import type { Log } from "#responder/log";
import { makeMetrics } from "#responder/metrics";
import { makeRenewal } from "#responder/renewal";
import { makeAuthority } from "#test/support/certificates";

const directory = mkdtempSync(join(tmpdir(), "parapet-renewal-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it("a rotated certificate and token are in use without a restart; a pair that does not fit changes nothing", async () => {
  const authority = makeAuthority(join(directory, "ca"));
  const pairs = ["first", "second", "third"].map((name) =>
    authority.issue(name, { names: ["IP:127.0.0.1"] }),
  );
  const path = (name: string): string => join(directory, name);
  const files = { certFile: path("tls.crt"), keyFile: path("tls.key"), tokenFile: path("token") };
  const put = (cert: number, key: number, token: string): void => {
    copyFileSync(pairs[cert]?.certFile ?? "", files.certFile);
    copyFileSync(pairs[key]?.keyFile ?? "", files.keyFile);
    writeFileSync(files.tokenFile, `${token}\n`);
  };
  put(0, 0, "the-first-token-of-falco");
  const { certFile, keyFile } = files;
  const parsed = parseConfig(
    { intake: { tls: { certFile, keyFile }, tokens: [{ name: "f", file: files.tokenFile }] } },
    {},
  );
  if (!parsed.ok) throw new Error(parsed.problems.join("; "));
  const read = () => readConfigFiles(parsed.config);
  const first = await read();
  if (!first.ok) throw new Error(first.problems.join("; "));
  const door = await listen(
    { host: "127.0.0.1", port: 0 },
    first.files.intakeTls,
    () => Promise.resolve(),
    () => undefined,
  );
  const told: string[] = [];
  const metrics = makeMetrics();
  const log: Log = (level, message) => told.push(`${level}: ${message}`);
  const ports = { read, metrics, log, now: Date.now };
  const renewal = makeRenewal(first.files, ports, () => ({
    intakeTls: door.renew,
    reviewTls: () => undefined,
  }));
  /** Which pair is shown, and which token is known. */
  const seen = async () => {
    const raw = await new Promise<Buffer>((done, fail) => {
      const socket = connect(
        { host: "127.0.0.1", port: door.port, ca: readFileSync(authority.caFile) },
        () => {
          done(socket.getPeerCertificate().raw);
          socket.destroy();
        },
      );
      socket.once("error", fail);
    });
    const shown = new X509Certificate(raw).fingerprint256;
    const pair = pairs.findIndex(
      (one) => new X509Certificate(readFileSync(one.certFile)).fingerprint256 === shown,
    );
    const tokens = ["first", "second", "third"].filter((name) => {
      const bearer = `Bearer the-${name}-token-of-falco`;
      return authenticate(renewal.files().credentials, bearer, undefined) !== undefined;
    });
    return [pair, ...tokens];
  };
  expect(await seen()).toEqual([0, "first"]);
  put(1, 1, "the-second-token-of-falco");
  await renewal.look();
  expect(await seen()).toEqual([1, "second"]);
  // As seen between the writes of one file and the other.
  put(2, 1, "the-third-token-of-falco");
  await renewal.look();
  expect(await seen()).toEqual([1, "second"]);
  put(2, 2, "the-third-token-of-falco");
  await renewal.look();
  expect(await seen()).toEqual([2, "third"]);
  expect(told).toEqual([
    "info: a new certificate is in use",
    "info: new credentials are in use",
    "warn: files changed and cannot be used, the former ones stay",
    "info: a new certificate is in use",
    "info: new credentials are in use",
  ]);
  const expires = Date.parse(new X509Certificate(readFileSync(certFile)).validTo) / 1_000;
  expect(metrics.text()).toContain(
    `parapet_certificate_expires_seconds{listener="intake"} ${expires}`,
  );
  renewal.stop();
  await door.close();
});
