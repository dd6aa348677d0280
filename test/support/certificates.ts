// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type Certificate = { readonly certFile: string; readonly keyFile: string };
export type Authority = {
  readonly caFile: string;
  /** Signs a pair; `names` are DNS names or, with the prefix `IP:`, addresses. `days` below 0 makes an expired one. */
  readonly issue: (
    name: string,
    spec: {
      readonly names?: readonly string[];
      readonly organization?: string;
      readonly days?: number;
    },
  ) => Certificate;
  /** A folder with `tls.crt`, `tls.key`, `ca.crt`, as Crossplane and Kubernetes mount them. */
  readonly folder: (name: string, names: readonly string[]) => string;
};

const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { stdio: "pipe" });

/** A certificate authority of its own in `dir`, elliptic keys, made by openssl. */
export function makeAuthority(dir: string, commonName = "parapet-test-ca"): Authority {
  mkdirSync(dir, { recursive: true });
  const caFile = join(dir, "ca.crt");
  const caKey = join(dir, "ca.key");
  key(caKey);
  openssl(
    "req",
    "-x509",
    "-new",
    "-key",
    caKey,
    "-subj",
    `/CN=${commonName}`,
    "-days",
    "30",
    "-out",
    caFile,
  );
  const issue: Authority["issue"] = (name, spec) => {
    const base = join(dir, name.replaceAll(/[^a-z0-9-]/gi, "_"));
    const pair = { certFile: `${base}.crt`, keyFile: `${base}.key` };
    key(pair.keyFile);
    const organization = spec.organization === undefined ? "" : `/O=${spec.organization}`;
    openssl(
      "req",
      "-new",
      "-key",
      pair.keyFile,
      "-subj",
      `${organization}/CN=${name}`,
      "-out",
      `${base}.csr`,
    );
    writeFileSync(`${base}.ext`, extensions(spec.names ?? []));
    const validity =
      (spec.days ?? 30) >= 0
        ? ["-days", String(spec.days ?? 30)]
        : ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"];
    sign(base, pair.certFile, caFile, caKey, validity);
    return pair;
  };
  return {
    caFile,
    issue,
    folder: (name, names) => {
      const pair = issue(name, { names });
      const folder = join(dir, `${name}-tls`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "tls.crt"), readFileSync(pair.certFile));
      writeFileSync(join(folder, "tls.key"), readFileSync(pair.keyFile));
      writeFileSync(join(folder, "ca.crt"), readFileSync(caFile));
      return folder;
    },
  };
}

function key(file: string): void {
  openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file);
}

function extensions(names: readonly string[]): string {
  const lines = ["extendedKeyUsage=serverAuth,clientAuth", "basicConstraints=CA:FALSE"];
  if (names.length > 0) {
    const list = names.map((name) => (name.startsWith("IP:") ? name : `DNS:${name}`));
    lines.push(`subjectAltName=${list.join(",")}`);
  }
  return `${lines.join("\n")}\n`;
}

function sign(
  base: string,
  certFile: string,
  caFile: string,
  caKey: string,
  validity: readonly string[],
): void {
  if (validity[0] === "-days") {
    openssl(
      ...["x509", "-req", "-in", `${base}.csr`, "-CA", caFile, "-CAkey", caKey, "-CAcreateserial"],
      ...["-extfile", `${base}.ext`, ...validity, "-out", certFile],
    );
    return;
  }
  // Only `openssl ca` of Debian 12's version 3.0 takes a past validity, and it wants a small database.
  const config = `${base}.cnf`;
  writeFileSync(`${base}.db`, "");
  writeFileSync(`${base}.serial`, "01\n");
  writeFileSync(
    config,
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${base}.db\nserial=${base}.serial\nnew_certs_dir=${join(base, "..")}\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\norganizationName=optional\n`,
  );
  const [, from, , to] = validity;
  if (from === undefined || to === undefined) throw new Error("no validity");
  openssl(
    ...[
      "ca",
      "-batch",
      "-config",
      config,
      "-in",
      `${base}.csr`,
      "-cert",
      caFile,
      "-keyfile",
      caKey,
    ],
    ...["-startdate", from, "-enddate", to, "-extfile", `${base}.ext`, "-notext", "-out", certFile],
  );
}
