// SPDX-License-Identifier: Apache-2.0
import { cursorAt, readField, WireError, type Slice, type WireField } from "../wire/reader.ts";
import { decodeKey, structAt } from "../wire/struct.ts";

/**
 * What tells the composite of a request from others, so that its calls meet the worker that remembers the last one: its
 * uid, or its name where it has none yet. Only the bytes on the way there are looked at. '' where there is no composite,
 * or where the bytes are malformed: whoever decodes them all says so.
 */
export function routeOf(bytes: Buffer): string {
  try {
    const whole: Slice = { bytes, start: 0, end: bytes.length };
    const observed = firstField(whole, 2) ?? firstField(whole, 3);
    const composite = observed && firstField(observed, 1);
    const resource = composite && firstField(composite, 1);
    const metadata = resource && structAt(resource, "metadata");
    if (metadata === undefined) return "";
    const uid = decodeKey(metadata, "uid");
    if (typeof uid === "string" && uid !== "") return uid;
    const parts = ["namespace", "name"].map((key) => decodeKey(metadata, key));
    return parts.map((part) => (typeof part === "string" ? part : "")).join("/");
  } catch (error) {
    if (error instanceof WireError) return "";
    throw error;
  }
}

/** The message in the first field of a number: encoders write a composite before the map of resources. */
function firstField({ bytes, start, end }: Slice, number: number): Slice | undefined {
  const cursor = cursorAt(bytes, start);
  while (cursor.pos < end) {
    const field: WireField = readField(cursor, end);
    if (field.number === number && field.wireType === 2) {
      return { bytes, start: field.start, end: field.end };
    }
  }
  return undefined;
}

/** The worker of `count` where a composite's calls should meet: the same as long as their number is. */
export function homeOf(route: string, count: number): number {
  let hash = 0;
  for (let i = 0; i < route.length; i++) hash = (Math.imul(hash, 31) + route.charCodeAt(i)) | 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % count;
}
