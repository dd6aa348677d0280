// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:http";
import { addressOf } from "./listener.ts";

export type MetricsServer = { readonly port: number; readonly stop: () => void };

export type Figures = {
  readonly text: () => string;
  /** false from the moment on that the function takes no new calls. */
  readonly isServing: () => boolean;
};

/**
 * Serves GET /metrics in plain text, /healthz, and /readyz for probes: those that Kubernetes makes over gRPC know no TLS,
 * and the function's own port wants a certificate. Rejects when it cannot bind.
 */
export function startMetricsServer(address: string, figures: Figures): Promise<MetricsServer> {
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000 },
    (request, response) => {
      const isRead = request.method === "GET" || request.method === "HEAD";
      const [code, text] = isRead ? pageAt(request.url ?? "", figures) : [405, ""];
      response.writeHead(code, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      response.end(request.method === "HEAD" ? "" : text);
    },
  );
  // Anybody in the cluster may reach this port; it must not take what the function's own needs.
  server.maxConnections = 32;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(addressOf(address), () => {
      server.removeListener("error", reject);
      server.on("error", () => undefined);
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : 0;
      // Never a reason for the process to stay.
      server.unref();
      resolve({
        port,
        stop: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

function pageAt(url: string, { text, isServing }: Figures): readonly [number, string] {
  switch (url.split("?")[0] ?? "") {
    case "/metrics":
      return [200, text()];
    case "/healthz":
      return [200, "ok\n"];
    case "/readyz":
      return isServing() ? [200, "ok\n"] : [503, "draining\n"];
    default:
      return [404, ""];
  }
}
