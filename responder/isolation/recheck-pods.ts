// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import type { Cluster } from "#responder/cluster";
import { keyOf, nameOf, types } from "#responder/cluster";

/** A label key that nothing bears: what is listed by it is empty, and says from where to watch. */
const nothing = "parapet.dev/none";
const pauseMs = 1_000;

/**
 * Follows the pods of the cluster without keeping any: `onPod` gets those that are asked for. After a gap `onGap` is told, since what
 * happened in it is unknown.
 */
export function followPods(options: {
  readonly cluster: Cluster;
  readonly isWanted: (key: string) => boolean;
  readonly onPod: (key: string, pod: JsonObject | undefined) => void;
  readonly onGap: () => void;
  readonly onFailure: (message: string) => void;
}): { readonly stop: () => Promise<void> } {
  const { cluster } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    let version = "";
    while (!signal.aborted) {
      if (version === "") {
        const listed = await cluster.list(types.pod, { labelSelector: nothing });
        if (listed.ok) version = listed.value.resourceVersion;
        else options.onFailure(`list of pods: ${listed.code}: ${listed.message}`);
        options.onGap();
      }
      const reply = await follow(version);
      version = reply.version;
      if (!reply.ok) await pause(signal);
    }
  };
  const follow = async (
    from: string,
  ): Promise<{ readonly ok: boolean; readonly version: string }> => {
    if (from === "") return { ok: false, version: "" };
    let version = from;
    const reply = await cluster.watch(
      types.pod,
      { resourceVersion: from },
      ({ type, object }) => {
        version = textAt(object, ["metadata", "resourceVersion"]);
        const key = keyOf(nameOf(object));
        if (type === "BOOKMARK" || !options.isWanted(key)) return;
        options.onPod(key, type === "DELETED" ? undefined : object);
      },
      signal,
    );
    if (reply.ok) return { ok: true, version };
    if (reply.code !== "Gone") options.onFailure(`watch of pods: ${reply.code}: ${reply.message}`);
    return { ok: reply.code === "Gone", version: reply.code === "Gone" ? "" : version };
  };
  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, pauseMs);
    timer.unref();
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
