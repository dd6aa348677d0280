// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Authority, makeAuthority } from "#test/support/certificates";
import { answers, type Child, eventually, freePort, start } from "#test/support/processes";

export type TestObjectStore = {
  readonly endpoint: string;
  readonly authority: Authority;
  /** Files with the two parts of the store's key, as a Secret is mounted. */
  readonly accessKeyIdFile: string;
  readonly secretAccessKeyFile: string;
  /** Where an object's bytes lie on the disk. */
  readonly fileOf: (location: string) => string;
  readonly freeze: () => Promise<void>;
  readonly thaw: () => void;
  readonly stop: () => Promise<void>;
};

export const accessKey = { id: "PARAPETTEST", secret: "a-secret-of-the-test-store" };

/** A real S3-compatible server over a folder, with TLS by a certificate authority of its own, on a free loopback port. */
export async function startObjectStore(program: string): Promise<TestObjectStore> {
  const folder = mkdtempSync(join(tmpdir(), "parapet-objects-"));
  const data = join(folder, "data");
  mkdirSync(data);
  // Metadata lies beside the data: not every filesystem has extended attributes.
  for (const name of ["meta", "versions"]) mkdirSync(join(folder, name));
  const authority = makeAuthority(join(folder, "ca"));
  const { certFile, keyFile } = authority.issue("store", { names: ["localhost", "IP:127.0.0.1"] });
  const port = await freePort();
  const child: Child = start(
    "versitygw",
    program,
    [
      ...["--port", `127.0.0.1:${port}`, "--cert", certFile, "--key", keyFile, "--quiet"],
      ...["posix", "--sidecar", join(folder, "meta")],
      ...["--versioning-dir", join(folder, "versions"), data],
    ],
    {
      logFile: join(folder, "store.log"),
      env: { ROOT_ACCESS_KEY_ID: accessKey.id, ROOT_SECRET_ACCESS_KEY: accessKey.secret },
    },
  );
  const accessKeyIdFile = join(folder, "access-key-id");
  const secretAccessKeyFile = join(folder, "secret-access-key");
  writeFileSync(accessKeyIdFile, `${accessKey.id}\n`);
  writeFileSync(secretAccessKeyFile, `${accessKey.secret}\n`);
  await eventually("the object store listens", () => answers(port));
  return {
    endpoint: `https://127.0.0.1:${port}`,
    authority,
    accessKeyIdFile,
    secretAccessKeyFile,
    fileOf: (location) => join(data, location.replace(/^s3:\/\//, "")),
    freeze: () => child.freeze(),
    thaw: () => child.thaw(),
    stop: async () => {
      await child.stop("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
