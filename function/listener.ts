// SPDX-License-Identifier: Apache-2.0
import { createServer, type TLSSocket } from "node:tls";
import { dnsNames, type CertificateFiles, type Tls } from "./credentials.ts";

export type Listener = {
  /** The port that was bound, also where port 0 was asked for. */
  readonly port: number;
  /** Takes no new connections; those that are open stay. */
  readonly close: () => void;
};

/** Most open connections: Crossplane has one or two, and each costs memory. */
const connectionsMax = 1024;
/** How long a client may take to prove who it is, in milliseconds. */
const handshakeMsMax = 10_000;

export type Caller = {
  readonly socket: TLSSocket;
  /** DNS names in its certificate. */
  readonly names: readonly string[];
};

/**
 * Accepts TLS connections of clients with a certificate of the authority, and hands them on with the names in it: looked
 * up once per connection, since reading a certificate costs as much as a small call. Rejects when it cannot bind.
 */
export function listenTls(
  address: string,
  tls: Tls,
  onConnection: (caller: Caller) => void,
): Promise<Listener> {
  const server = createServer({
    ...contextOf(tls.files()),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ["h2"],
    handshakeTimeout: handshakeMsMax,
  });
  server.maxConnections = connectionsMax;
  tls.onChange((files) => server.setSecureContext(contextOf(files)));
  server.on("secureConnection", (socket) => {
    // A connection that breaks is its client's affair; without a listener it would end the process.
    socket.on("error", () => undefined);
    const subject = socket.getPeerCertificate().subjectaltname ?? "";
    onConnection({ socket, names: dnsNames(subject) });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(addressOf(address), () => {
      server.removeListener("error", reject);
      server.on("error", () => undefined);
      const bound = server.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : 0;
      resolve({ port, close: () => server.close() });
    });
  });
}

const contextOf = ({ authority, certificate, privateKey }: CertificateFiles) => ({
  ca: authority,
  cert: certificate,
  key: privateKey,
});

/** Host and port of `HOST:PORT`; without a host all addresses of the machine. */
export function addressOf(address: string): { readonly host?: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  return host === "" ? { port } : { host, port };
}
