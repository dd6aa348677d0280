// SPDX-License-Identifier: Apache-2.0
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ServerHttp2Stream } from "node:http2";

/**
 * How far ahead of what was read a client may send, per call and per connection, in bytes. HTTP/2 begins with 64 KiB, so
 * that a request of a megabyte stops fifteen times for word from the server; the largest usual request fits in this.
 */
const windowBytes = 4 * 1024 * 1024;

/** Node tells of every call that comes (nodejs.org/api/diagnostics_channel.html). */
const streamCreated = "http2.server.stream.created";

/**
 * Widens the windows of connections when their first call comes, since grpc-js has no setting for a server's. Where Node
 * does not tell of calls, they stay as narrow as they were. Ends with the function that it gives back.
 */
export function widenWindows(): () => void {
  const seen = new WeakSet();
  const onCreated = (message: unknown): void => {
    const session = isAboutStream(message) ? message.stream.session : undefined;
    if (session === undefined || seen.has(session) || session.destroyed) return;
    seen.add(session);
    session.setLocalWindowSize(windowBytes);
    session.settings({ initialWindowSize: windowBytes });
  };
  subscribe(streamCreated, onCreated);
  return () => unsubscribe(streamCreated, onCreated);
}

const isAboutStream = (message: unknown): message is { readonly stream: ServerHttp2Stream } =>
  typeof message === "object" &&
  message !== null &&
  "stream" in message &&
  typeof message.stream === "object" &&
  message.stream !== null &&
  "session" in message.stream;
