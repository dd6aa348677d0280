// SPDX-License-Identifier: Apache-2.0
import type { ServerHttp2Session } from "node:http2";

/**
 * How far ahead of what was read a client may send, per call and per connection, in bytes. HTTP/2 begins with 64 KiB, so
 * that a request of a megabyte stops fifteen times for word from the server; the largest usual request fits in this.
 */
const windowBytes = 4 * 1024 * 1024;

/** Widens the windows of a connection, for which grpc-js has no setting on a server's side. */
export function widenWindows(session: ServerHttp2Session): void {
  session.setLocalWindowSize(windowBytes);
  session.settings({ initialWindowSize: windowBytes });
}
