// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const candidates = ["/usr/bin/chromium", "/usr/bin/google-chrome"];

/** Debian's Chromium, driven by playwright; undefined, with one loud line, where there is none; with CI=true that throws. */
export async function startBrowser(): Promise<Browser | undefined> {
  const executablePath =
    process.env["PARAPET_CHROMIUM"] ?? candidates.find((file) => existsSync(file));
  if (executablePath === undefined) {
    const message = "SKIPPED: no Chromium (Debian: apt-get install chromium); no browser tests";
    if (process.env["CI"] === "true") throw new Error(message);
    console.warn(message);
    return undefined;
  }
  return chromium.launch({
    executablePath,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  });
}
