// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Html } from "#responder/console/html";

/** Longest body of a form, in bytes. */
const bodyBytesMax = 8 * 1024;

/** The fields of a form; undefined when it is larger than {@link bodyBytesMax}. */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) return undefined;
    bytes += chunk.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

export const sendPage = (reply: ServerResponse, status: number, body: Html): void =>
  send(reply, status, "text/html", body.text);

export function send(
  reply: ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
): void {
  reply.writeHead(status, headers(`${type}; charset=utf-8`));
  reply.end(body);
}

export function redirect(reply: ServerResponse, to: string, cookie?: string): void {
  reply.writeHead(303, {
    ...headers("text/plain"),
    location: to,
    ...(cookie === undefined ? {} : { "set-cookie": cookie }),
  });
  reply.end();
}

/** Only our own files, no frames, nothing kept by caches: the pages show evidence. */
export const headers = (type: string) => ({
  "content-type": type,
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
});

/** Whether a browser says that a page of somebody else sent this; one that says nothing is judged by the form's own token. */
export const isFromElsewhere = (request: IncomingMessage): boolean =>
  !["same-origin", "none", undefined].includes(request.headers["sec-fetch-site"]?.toString());

/** A path of the console to go to after a login; anything else leads to the list. */
export const safePath = (to: string): string =>
  /^\/console(?:[/?][\w\-./?=&%+~]*)?$/.test(to) && to.length <= 1_000 ? to : "/console";
