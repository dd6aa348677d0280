// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: asks Falco for its metrics.
import { lookup } from "node:dns/promises";
import { type FalcoFigures, parseFalcoMetrics } from "#responder/intake/falco-metrics";

export type ScrapeTargets = {
  readonly metricsUrls: readonly string[];
  /** A headless Service: each of its addresses is a Falco. */
  readonly service: { readonly host: string; readonly port: number } | undefined;
  readonly path: string;
};

export type Scraped = {
  readonly falcos: readonly FalcoFigures[];
  /** Of those that gave no figures, where and why. */
  readonly failures: readonly { readonly url: string; readonly why: string }[];
};

export const scrapeLimits = {
  timeoutMs: 5_000,
  bytesMax: 4 * 1024 * 1024,
  targetsMax: 2_000,
  atOnce: 8,
};

/** Asks all of them, some at a time. No redirects, bounded in size and time. Never rejects. */
export async function scrapeFalcos(
  targets: ScrapeTargets,
  limits: typeof scrapeLimits = scrapeLimits,
): Promise<Scraped> {
  const failures: { url: string; why: string }[] = [];
  const urls = [...targets.metricsUrls];
  if (targets.service !== undefined) {
    const { host, port } = targets.service;
    try {
      const addresses = await lookup(host, { all: true });
      urls.push(
        ...addresses.map(
          ({ address, family }) =>
            `http://${family === 6 ? `[${address}]` : address}:${port}${targets.path}`,
        ),
      );
    } catch (error) {
      failures.push({ url: `${host}:${port}`, why: reasonOf(error) });
    }
  }
  const waiting = [...new Set(urls)].sort().slice(0, limits.targetsMax);
  const falcos: FalcoFigures[] = [];
  const lane = async (): Promise<void> => {
    for (let url = waiting.shift(); url !== undefined; url = waiting.shift()) {
      const figures = await scrape(url, limits);
      if (typeof figures === "string") failures.push({ url: withoutSecrets(url), why: figures });
      else falcos.push(figures);
    }
  };
  await Promise.all(Array.from({ length: limits.atOnce }, lane));
  failures.sort((a, b) => (a.url < b.url ? -1 : 1));
  return { falcos: inOrder(falcos), failures };
}

const inOrder = (falcos: readonly FalcoFigures[]): readonly FalcoFigures[] =>
  [...falcos].sort((a, b) => (a.hostname < b.hostname ? -1 : 1));

/** The figures, or why there are none. */
async function scrape(url: string, limits: typeof scrapeLimits): Promise<FalcoFigures | string> {
  try {
    const response = await fetch(url, {
      redirect: "error",
      signal: AbortSignal.timeout(limits.timeoutMs),
    });
    if (!response.ok) {
      await response.body?.cancel();
      return `answered ${response.status}`;
    }
    const text = await readText(response, limits.bytesMax);
    if (text === undefined) return `more than ${limits.bytesMax} bytes`;
    const figures = parseFalcoMetrics(text);
    if (figures === undefined) return "none of Falco's metrics are there";
    // Without a name of its own it is called as it was asked.
    return figures.hostname === "" ? { ...figures, hostname: new URL(url).hostname } : figures;
  } catch (error) {
    return reasonOf(error);
  }
}

async function readText(response: Response, bytesMax: number): Promise<string | undefined> {
  if (response.body === null) return "";
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body) {
    if (!(part instanceof Uint8Array)) continue;
    bytes += part.byteLength;
    if (bytes > bytesMax) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** No more than the kind of failure: messages may hold addresses with credentials. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError") return "did not answer in time";
  const { cause } = error;
  const code =
    cause instanceof Error && "code" in cause ? cause.code : "code" in error ? error.code : "";
  return typeof code === "string" && code !== "" ? code : "not reached";
}

function withoutSecrets(url: string): string {
  const parsed = new URL(url);
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}
