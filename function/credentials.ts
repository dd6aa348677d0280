// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "./log.ts";

/** The three files that Crossplane mounts into a function's pod. */
export type CertificateFiles = {
  readonly certificate: Buffer;
  readonly privateKey: Buffer;
  readonly authority: Buffer;
};

export type ReadCertificates =
  | { readonly ok: true; readonly files: CertificateFiles }
  | { readonly ok: false; readonly problem: string };

/** How often the folder is looked at for new certificates, in milliseconds; kubelet itself needs up to a minute. */
const rotationPeriodMs = 10_000;

/** Reads and checks the pair and the authority: present, well-formed, belonging together, not expired. */
export function readCertificates(dir: string, now: Date): ReadCertificates {
  try {
    const files = {
      certificate: readFileSync(join(dir, "tls.crt")),
      privateKey: readFileSync(join(dir, "tls.key")),
      authority: readFileSync(join(dir, "ca.crt")),
    };
    const problem = checkFiles(files, now);
    return problem === undefined ? { ok: true, files } : { ok: false, problem };
  } catch (error) {
    const code =
      error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
    const reason = code === "" ? "not readable as certificate and key" : code;
    return { ok: false, problem: `tls.crt, tls.key and ca.crt in ${dir}: ${reason}` };
  }
}

function checkFiles(files: CertificateFiles, now: Date): string | undefined {
  const certificate = new X509Certificate(files.certificate);
  const authority = new X509Certificate(files.authority);
  if (!certificate.checkPrivateKey(createPrivateKey(files.privateKey))) {
    return "tls.key is not the key of tls.crt";
  }
  for (const [file, each] of [
    ["tls.crt", certificate],
    ["ca.crt", authority],
  ] as const) {
    if (new Date(each.validTo) < now) return `${file} expired on ${each.validTo}`;
  }
  return undefined;
}

/** What connections are made with now, and from a change of the files on. */
export type Tls = {
  readonly files: () => CertificateFiles;
  readonly onChange: (tell: (files: CertificateFiles) => void) => void;
};

export type RotatingCredentials = { readonly credentials: Tls; readonly stop: () => void };

/**
 * Certificates that take over new files without a restart: connections that are open stay, new ones get the new
 * certificate. Files that cannot be used are logged and the last good ones stay.
 */
export function rotatingCredentials(
  dir: string,
  first: CertificateFiles,
  log: Logger,
  periodMs: number = rotationPeriodMs,
): RotatingCredentials {
  let files = first;
  let lastProblem = "";
  const listeners: ((files: CertificateFiles) => void)[] = [];
  const look = () => {
    const read = readCertificates(dir, new Date());
    if (!read.ok) {
      if (read.problem !== lastProblem)
        log("error", "new certificates are not usable", { problem: read.problem });
      lastProblem = read.problem;
      return;
    }
    lastProblem = "";
    if (sameFiles(read.files, files)) return;
    files = read.files;
    for (const tell of listeners) tell(files);
    log("info", "certificates replaced");
  };
  const timer = setInterval(look, periodMs);
  timer.unref();
  const credentials = {
    files: () => files,
    onChange: (tell: (files: CertificateFiles) => void) => listeners.push(tell),
  };
  return { credentials, stop: () => clearInterval(timer) };
}

const sameFiles = (a: CertificateFiles, b: CertificateFiles): boolean =>
  a.certificate.equals(b.certificate) &&
  a.privateKey.equals(b.privateKey) &&
  a.authority.equals(b.authority);

/** The DNS names in an X.509 subjectAltName as OpenSSL prints it, e.g. `DNS:a, DNS:b, IP Address:127.0.0.1`. */
export function dnsNames(subjectAltName: string): readonly string[] {
  return subjectAltName
    .split(", ")
    .filter((name) => name.startsWith("DNS:"))
    .map((name) => name.slice("DNS:".length));
}
