// SPDX-License-Identifier: Apache-2.0
import type { Http2Session } from "node:http2";

/** How long calls may go on over a connection that was asked to end, in milliseconds. */
export const graceMs = 10 * 60_000;

/**
 * Ends a connection after this time, so that its client shows a certificate again. The word of the end names the last
 * call that was taken, so that a client whose next one was on its way makes it anew on another connection (RFC 9113,
 * 6.8). grpc-js names all calls there can be, and closes at once: then a client cannot know whether its call was lost,
 * and must not try it again.
 */
export function endByAge(session: Http2Session, ageMs: number): void {
  const timer = setTimeout(() => end(session), ageMs).unref();
  session.once("close", () => clearTimeout(timer));
}

/** Calls under way are finished. */
function end(session: Http2Session): void {
  if (session.destroyed) return;
  session.close();
  const timer = setTimeout(() => session.destroy(), graceMs).unref();
  session.once("close", () => clearTimeout(timer));
}
