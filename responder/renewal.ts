// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: a timer.
import { X509Certificate } from "node:crypto";
import type { ConfigFiles, ReadConfigFiles } from "#responder/adapters/config-files";
import type { TlsFiles } from "#responder/listener";
import { type Log, quieten } from "#responder/log";
import type { Metrics } from "#responder/metrics";

/** How soon what a Secret holds now is in use; kubelets take about as long to bring it. */
const lookMs = 30_000;
const complaintMs = 10 * 60_000;

export type Renewal = {
  /** As they were read last and could be used. */
  readonly files: () => ConfigFiles;
  /** Reads them again. Never rejects: what cannot be used is told, and what was read before stays in use. */
  readonly look: () => Promise<void>;
  readonly stop: () => void;
};

type Doors = { readonly [name in "intakeTls" | "reviewTls"]: (tls: TlsFiles) => void };

/** Certificates and credentials are rotated while we run: an expired one would keep Falco's alerts out. */
export function makeRenewal(
  first: ConfigFiles,
  ports: {
    readonly read: () => Promise<ReadConfigFiles>;
    readonly metrics: Metrics;
    readonly log: Log;
    readonly now: () => number;
  },
  /** Told of new certificates. */
  doors: () => Doors,
): Renewal {
  let files = first;
  const complain = quieten(ports.log, complaintMs, ports.now);
  const look = async (): Promise<void> => {
    const read = await ports.read();
    if (!read.ok) {
      const { problems } = read;
      complain("warn", "files changed and cannot be used, the former ones stay", { problems });
      return;
    }
    for (const name of ["intakeTls", "reviewTls"] as const) {
      const tls = read.files[name];
      if (tls === undefined || JSON.stringify(tls) === JSON.stringify(files[name])) continue;
      doors()[name](tls);
      ports.log("info", "a new certificate is in use", { listener: name.replace("Tls", "") });
    }
    if (secretsOf(read.files) !== secretsOf(files)) ports.log("info", "new credentials are in use");
    files = read.files;
  };
  ports.metrics.gauges(
    "parapet_certificate_expires_seconds",
    "When the certificate of a listener runs out, in seconds since 1970.",
    () => [...expiry("intake", files.intakeTls), ...expiry("review", files.reviewTls)],
  );
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look()
      .catch((error: unknown) =>
        complain("error", "new files cannot be used", {
          error: error instanceof Error ? error.message : "failed",
        }),
      )
      .finally(() => {
        looking = false;
      });
  }, lookMs);
  return { files: () => files, look, stop: () => clearInterval(timer) };
}

const secretsOf = ({ credentials, auditTokens, reviewers }: ConfigFiles): string =>
  JSON.stringify([credentials, auditTokens, reviewers]);

function expiry(
  listener: string,
  tls: TlsFiles | undefined,
): readonly (readonly [{ readonly listener: string }, number])[] {
  if (tls === undefined) return [];
  return [[{ listener }, Date.parse(new X509Certificate(tls.cert).validTo) / 1_000]];
}
