// SPDX-License-Identifier: Apache-2.0

// HTTP/2 frames by hand (RFC 9113), for what no well-behaved client sends.

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export const frameTypes = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6 } as const;
export const flagEndStream = 1;
export const flagEndHeaders = 4;

export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Headers of a gRPC call, as HPACK literals without indexing (RFC 7541, 6.2.2); `more` are further ones. */
export function callHeaders(
  path: string,
  more: readonly (readonly [string, string])[] = [],
): Buffer {
  const all = [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", path],
    [":authority", "localhost"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
    ...more,
  ] as const;
  return Buffer.concat(all.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));
}

/** A string without Huffman coding; its length has a prefix of seven bits. */
function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** A gRPC message with its prefix; `length` lies about its size. */
export function message(body: Buffer, length = body.length, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, body]);
}
