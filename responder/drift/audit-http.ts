// SPDX-License-Identifier: Apache-2.0
import { authenticate, type Credentials } from "#responder/config/credentials";
import { type AuditedWrite, readAuditBatch } from "#responder/drift/audit";
import { readBody, send } from "#responder/http";
import type { Handle } from "#responder/listener";
import type { Metrics } from "#responder/metrics";

/** Larger than the API server's largest batch (10 MB, --audit-webhook-truncate-max-batch-size). */
const bodyBytesMaxDefault = 12 * 1024 * 1024;
/** Batches that are read at one time; an API server sends them one after the other. */
const underWayMax = 4;

const nobody: Credentials = { tokens: [], basic: [], certificateNames: [], certificates: false };

/** Where the API server posts its audit events; a path of the intake with credentials of its own. */
export const auditPath = "/audit";

/**
 * Takes batches of the API server's audit webhook. Who can send them can blame others, so Falco's credentials do not open this door. What
 * is taken is kept in memory alone: lost, it makes an author unknown, never wrong. 429 when more come at once than are read:
 * the API server sends them again.
 */
export function makeAuditHandler(options: {
  readonly tokens: Credentials["tokens"];
  readonly take: (writes: readonly AuditedWrite[]) => void;
  readonly metrics: Metrics;
  readonly bodyBytesMax?: number;
}): Handle {
  const batches = options.metrics.counter(
    "parapet_audit_batches_total",
    "Batches of the API server's audit webhook, by answer.",
  );
  const writes = options.metrics.counter("parapet_audit_writes_total", "Writes that they told.");
  let underWay = 0;
  return async (request, response) => {
    const answer = (status: number, body: object): void => {
      batches.add({ status: `${status}` });
      if (!request.complete) response.setHeader("connection", "close");
      send(response, status, body);
    };
    // Taken from the options each time: tokens are rotated.
    const credentials = { ...nobody, tokens: options.tokens };
    if (authenticate(credentials, request.headers.authorization, undefined) === undefined) {
      batches.add({ status: "401" });
      response.writeHead(401, { connection: "close" });
      response.end();
      return;
    }
    if (request.method !== "POST") return answer(405, { problems: ["batches are sent by POST"] });
    if (underWay >= underWayMax) return answer(429, { problems: ["too many at once"] });
    underWay += 1;
    try {
      const body = await readBody(request, options.bodyBytesMax ?? bodyBytesMaxDefault);
      if (body === "large") return answer(413, { problems: ["the batch is too large"] });
      if (body === "cut") return answer(408, { problems: ["the batch did not come to its end"] });
      const read = readAuditBatch(body);
      if (!read.ok) return answer(400, { problems: [read.problem] });
      options.take(read.writes);
      writes.add({}, read.writes.length);
      answer(200, { taken: read.writes.length });
    } finally {
      underWay -= 1;
    }
  };
}
