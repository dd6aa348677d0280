// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:http";

export type MetricsServer = { readonly port: number; readonly stop: () => void };

/** Serves GET /metrics in plain text, and nothing else. Rejects when it cannot bind. */
export function startMetricsServer(address: string, text: () => string): Promise<MetricsServer> {
  const server = createServer(
    { requestTimeout: 5000, headersTimeout: 5000 },
    (request, response) => {
      if (request.url?.split("?")[0] !== "/metrics") {
        response.writeHead(404).end();
        return;
      }
      if (request.method !== "GET" && request.method !== "HEAD") {
        response.writeHead(405, { allow: "GET, HEAD" }).end();
        return;
      }
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      response.end(request.method === "HEAD" ? "" : text());
    },
  );
  // Anybody in the cluster may reach this port; it must not take what the function's own needs.
  server.maxConnections = 32;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listenOptions(address), () => {
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

/** Without a host all addresses of the machine. */
function listenOptions(address: string): { readonly host?: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  return host === "" ? { port } : { host, port };
}
