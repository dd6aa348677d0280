// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "#test/support/shared";

/** The image's files, made by the commands of the Dockerfile itself, where no package lies beside or above them. In a folder of its own. */
export function buildResponderBundle(): string {
  const app = mkdtempSync(join(tmpdir(), "parapet-bundle-"));
  const text = readFileSync(join(repository, "Dockerfile"), "utf8").replaceAll("\\\n", " ");
  const stage = /^FROM packages AS responder-bundle\n([\s\S]*?)\n\n/m.exec(text)?.[1] ?? "";
  const dist = join(app, "dist");
  for (const [, command = ""] of stage.matchAll(/^RUN (.+)$/gm)) {
    const here = command
      .replace("npm exec -- rolldown", join(repository, "node_modules/.bin/rolldown"))
      .replaceAll("dist/responder", join(dist, "responder"));
    execFileSync("sh", ["-ec", here], { cwd: repository, stdio: "pipe" });
  }
  cpSync(join(repository, "package.json"), join(dist, "package.json"));
  return dist;
}
