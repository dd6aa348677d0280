// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import { versionOf } from "#responder/cluster";
import type { Known } from "#responder/reconcile";
import { isFinal, states } from "#responder/remediation";

export type KnownVersions = Known & {
  /** Takes a version in that a watch brought; false when this process wrote it, or a newer one, itself. */
  readonly isNews: (key: string, object: JsonObject) => boolean;
};

/** Remembers the newest version of each remediation that is not closed, so that a step need not read what is known. */
export function makeKnown(): KnownVersions {
  const newest = new Map<string, JsonObject>();
  const keep = (key: string, object: JsonObject): void => {
    const state = states.find((one) => one === textAt(object, ["status", "state"]));
    // Closed ones are many and seldom looked at: they are read when needed.
    if (state !== undefined && isFinal(state)) newest.delete(key);
    else newest.set(key, object);
  };
  return {
    get: (key) => newest.get(key),
    wrote: keep,
    forget: (key) => newest.delete(key),
    isNews: (key, object) => {
      const known = newest.get(key);
      if (known !== undefined && numberOf(object) <= numberOf(known)) return false;
      keep(key, object);
      return true;
    },
  };
}

/** Resource versions of one kind are ordered numbers (Kubernetes: KEP-5504); anything else counts as news. */
function numberOf(object: JsonObject): bigint {
  const version = versionOf(object);
  return /^\d{1,20}$/.test(version) ? BigInt(version) : 2n ** 70n;
}
