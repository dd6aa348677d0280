// SPDX-License-Identifier: Apache-2.0
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

/** Node tells of every call that comes (nodejs.org/api/diagnostics_channel.html). */
const streamCreated = "http2.server.stream.created";

/**
 * Calls `visit` with each connection to a port when its first call comes: grpc-js gives nobody its sessions. Where Node
 * does not tell of calls, nothing is visited. `visit` must not throw, as Node makes that an uncaught exception. Ends with
 * the function that it gives back.
 */
export function onFirstCall(
  port: number,
  visit: (session: ServerHttp2Session) => void,
): () => void {
  const seen = new WeakSet<ServerHttp2Session>();
  const onCreated = (message: unknown): void => {
    const session = isAboutStream(message) ? message.stream.session : undefined;
    if (session === undefined || session.destroyed || seen.has(session)) return;
    if (session.socket.localPort !== port) return;
    seen.add(session);
    visit(session);
  };
  subscribe(streamCreated, onCreated);
  return () => unsubscribe(streamCreated, onCreated);
}

type ServerStream = Omit<ServerHttp2Stream, "session"> & {
  readonly session?: ServerHttp2Session;
};

const isAboutStream = (message: unknown): message is { readonly stream: ServerStream } =>
  typeof message === "object" &&
  message !== null &&
  "stream" in message &&
  typeof message.stream === "object" &&
  message.stream !== null &&
  "session" in message.stream;
