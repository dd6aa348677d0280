// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it runs openssl and writes files.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";

export type DemoCertificates = {
  /** tls.crt, tls.key and ca.crt, as Crossplane mounts them into a function's pod. */
  readonly serverDirectory: string;
  readonly clientCert: string;
  readonly clientKey: string;
  readonly authority: string;
};

/**
 * An authority of the demo's own with a pair for the function and one for its caller, valid for a day.
 * @throws when openssl is not on PATH: Node can read certificates, but not make them.
 */
export function makeDemoCertificates(directory: string): DemoCertificates {
  const file = (name: string) => join(directory, name);
  mkdirSync(file("server"), { recursive: true });
  const pair = (name: string) => ["-keyout", file(`${name}.key`), "-out", file(`${name}.crt`)];
  const common = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1".split(" ");
  const program = process.env["PARAPET_OPENSSL"] ?? "openssl";
  const openssl = (args: readonly string[]) => execFileSync(program, args, { stdio: "pipe" });
  openssl([...common, "-subj", "/CN=parapet-demo-ca", ...pair("ca")]);
  for (const [name, subject] of [
    ["server", "function-parapet"],
    ["client", "crossplane.crossplane-system"],
  ] as const) {
    openssl([
      ...[...common, "-CA", file("ca.crt"), "-CAkey", file("ca.key"), "-subj", `/CN=${subject}`],
      ...["-addext", `subjectAltName=DNS:localhost,DNS:${subject}`, ...pair(name)],
    ]);
  }
  copyFileSync(file("server.crt"), file("server/tls.crt"));
  copyFileSync(file("server.key"), file("server/tls.key"));
  copyFileSync(file("ca.crt"), file("server/ca.crt"));
  return {
    serverDirectory: file("server"),
    clientCert: file("client.crt"),
    clientKey: file("client.key"),
    authority: file("ca.crt"),
  };
}
