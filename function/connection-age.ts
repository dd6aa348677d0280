// SPDX-License-Identifier: Apache-2.0
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Http2Session, ServerHttp2Stream } from "node:http2";

/** Node tells of every call that comes (nodejs.org/api/diagnostics_channel.html). */
const streamCreated = "http2.server.stream.created";

/** How long calls may go on over a connection that was asked to end, in milliseconds. */
export const graceMs = 10 * 60_000;

/**
 * Ends connections to a port when their first call was this long ago, so that a client shows its certificate again. The
 * word of the end names the last call that was taken, so that a client whose next one was on its way makes it anew on
 * another connection (RFC 9113, 6.8). grpc-js names all calls there can be, and closes at once: then a client cannot
 * know whether its call was lost, and must not try it again. Ends with the function that it gives back.
 */
export function endByAge(port: number, ageMs: number): () => void {
  const seen = new WeakSet<Http2Session>();
  const onCreated = (message: unknown): void => {
    const session = isAboutStream(message) ? message.stream.session : undefined;
    if (session === undefined || session.destroyed || seen.has(session)) return;
    if (session.socket.localPort !== port) return;
    seen.add(session);
    const timer = setTimeout(() => end(session), ageMs).unref();
    session.once("close", () => clearTimeout(timer));
  };
  subscribe(streamCreated, onCreated);
  return () => unsubscribe(streamCreated, onCreated);
}

/** Calls under way are finished. */
function end(session: Http2Session): void {
  if (session.destroyed) return;
  session.close();
  const timer = setTimeout(() => session.destroy(), graceMs).unref();
  session.once("close", () => clearTimeout(timer));
}

const isAboutStream = (message: unknown): message is { readonly stream: ServerHttp2Stream } =>
  typeof message === "object" &&
  message !== null &&
  "stream" in message &&
  typeof message.stream === "object" &&
  message.stream !== null &&
  "session" in message.stream;
