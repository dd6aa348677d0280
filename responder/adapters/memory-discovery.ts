// SPDX-License-Identifier: Apache-2.0
import type { Cluster, ResourceType } from "#responder/cluster";
import { failure } from "#responder/cluster";

/** What a cluster in memory serves: the types that it was made with. */
export const makeDiscovery = (
  known: readonly ResourceType[],
): Pick<Cluster, "typeOf" | "typesIn"> => ({
  typeOf: (apiVersion, kind) => {
    const type = known.find((one) => one.apiVersion === apiVersion && one.kind === kind);
    return Promise.resolve(
      type === undefined
        ? failure("NotFound", `${apiVersion} serves no ${kind}`)
        : { ok: true, value: type },
    );
  },
  typesIn: (category) => {
    const value = known.filter((one) => one.categories?.includes(category) === true);
    return Promise.resolve({ ok: true, value });
  },
});
