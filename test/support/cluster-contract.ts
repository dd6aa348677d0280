// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { at, type JsonObject, textAt } from "#policy/json";
import {
  type Cluster,
  nameOf,
  type Reply,
  types,
  uidOf,
  versionOf,
  type WatchEvent,
} from "#responder/cluster";
import { holds, managersOf } from "#responder/drift/ownership";
import { eventually } from "#test/support/processes";

const configMap = { apiVersion: "v1", kind: "ConfigMap", resource: "configmaps", namespaced: true };

/** The value of a reply that must be good. */
export function good<T>(reply: Reply<T>): T {
  if (!reply.ok) throw new Error(`${reply.code}: ${reply.message}`);
  return reply.value;
}

const codeOf = (reply: Reply<unknown>): string => (reply.ok ? "ok" : reply.code);

/**
 * What every Cluster must do, in memory or behind a real API server. `client` gives one that writes as a manager; the namespace
 * `contract` exists.
 */
export function clusterContract(client: (manager: string) => Cluster): void {
  let number = 0;
  const fresh = (data: JsonObject, more: JsonObject = {}): JsonObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: `c-${(number += 1)}`, namespace: "contract", ...more },
    data,
  });

  it("creates, reads, refuses a second and knows what is not there", async () => {
    const cluster = client("one");
    const object = fresh({ a: "1" });
    const made = good(await cluster.create(configMap, object));
    expect(uidOf(made)).not.toBe("");
    expect(good(await cluster.get(configMap, nameOf(object)))["data"]).toEqual({ a: "1" });
    expect(codeOf(await cluster.create(configMap, object))).toBe("AlreadyExists");
    const nowhere = { namespace: "contract", name: "nowhere" };
    expect(codeOf(await cluster.get(configMap, nowhere))).toBe("NotFound");
    expect(codeOf(await cluster.patch(configMap, nowhere, []))).toBe("NotFound");
    expect(codeOf(await cluster.remove(configMap, nowhere, "x"))).toBe("NotFound");
  });

  it("changes nothing in a dry run", async () => {
    const cluster = client("one");
    const object = fresh({ a: "1" });
    good(await cluster.create(configMap, object, { dryRun: true }));
    expect(codeOf(await cluster.get(configMap, nameOf(object)))).toBe("NotFound");
    const made = good(await cluster.create(configMap, object));
    const steps = [{ op: "add", path: "/data/b", value: "2" }] as const;
    const tried = good(await cluster.patch(configMap, nameOf(object), steps, { dryRun: true }));
    expect(tried["data"]).toEqual({ a: "1", b: "2" });
    const live = good(await cluster.get(configMap, nameOf(object)));
    expect([live["data"], versionOf(live)]).toEqual([{ a: "1" }, versionOf(made)]);
  });

  it("patches all or nothing, and refuses when a test fails", async () => {
    const cluster = client("one");
    const object = fresh({ a: "1" });
    const made = good(await cluster.create(configMap, object));
    const name = nameOf(object);
    const at1 = { op: "test", path: "/metadata/resourceVersion", value: versionOf(made) } as const;
    good(await cluster.patch(configMap, name, [at1, { op: "remove", path: "/data/a" }]));
    const again = [at1, { op: "add", path: "/data", value: {} }] as const;
    expect(codeOf(await cluster.patch(configMap, name, again))).toBe("Conflict");
    const wrong = [
      { op: "add", path: "/metadata/labels", value: { x: "y" } },
      { op: "test", path: "/metadata/uid", value: "another" },
    ] as const;
    expect(codeOf(await cluster.patch(configMap, name, wrong))).toBe("Conflict");
    const live = good(await cluster.get(configMap, name));
    expect(at(live, ["metadata", "labels"])).toBeUndefined();
  });

  it("applies what one manager wants and leaves the rest to the others", async () => {
    const [one, two] = [client("one"), client("two")];
    const object = fresh({ mine: "1", gone: "1" });
    good(await one.apply(configMap, object));
    const theirs = { ...object, data: { theirs: "2" } };
    good(await two.apply(configMap, theirs));
    expect(codeOf(await two.apply(configMap, { ...object, data: { mine: "2" } }))).toBe("Conflict");
    good(await one.apply(configMap, { ...object, data: { mine: "1" } }));
    const live = good(await one.get(configMap, nameOf(object)));
    expect(live["data"]).toEqual({ mine: "1", theirs: "2" });
    const entries = at(live, ["metadata", "managedFields"]);
    expect(JSON.stringify(entries)).toContain('"f:theirs":{}');
  });

  it("makes a manager who applies what is there already a holder of it, beside who set it", async () => {
    const [one, two] = [client("one"), client("two")];
    const object = fresh({ both: "1" });
    const made = good(await one.create(configMap, object));
    good(await two.apply(configMap, object));
    const live = good(await one.get(configMap, nameOf(object)));
    expect(live["data"]).toEqual(made["data"]);
    const holders = managersOf(live).filter((entry) => holds(entry, ["data", "both"]));
    expect(holders.map((entry) => entry.manager).sort()).toEqual(["one", "two"]);
  });

  it("replaces only the version that was read", async () => {
    const cluster = client("one");
    const made = good(await cluster.create(configMap, fresh({ a: "1" })));
    good(await cluster.replace(configMap, { ...made, data: { a: "2" } }));
    expect(codeOf(await cluster.replace(configMap, { ...made, data: { a: "3" } }))).toBe(
      "Conflict",
    );
  });

  it("deletes exactly the version that is named", async () => {
    const cluster = client("one");
    const made = good(await cluster.create(configMap, fresh({ a: "1" })));
    const now = good(await cluster.replace(configMap, { ...made, data: { a: "2" } }));
    const remove = (version: string) =>
      cluster.remove(configMap, nameOf(made), uidOf(made), { version });
    expect(codeOf(await remove(versionOf(made)))).toBe("Conflict");
    good(await remove(versionOf(now)));
  });

  it("deletes exactly the object of a uid", async () => {
    const cluster = client("one");
    const made = good(await cluster.create(configMap, fresh({})));
    expect(
      codeOf(await cluster.remove(configMap, nameOf(made), "00000000-0000-4000-8000-ffffffffffff")),
    ).toBe("Conflict");
    good(await cluster.remove(configMap, nameOf(made), uidOf(made)));
    expect(codeOf(await cluster.get(configMap, nameOf(made)))).toBe("NotFound");
  });

  it("lists by namespace and label, with kinds", async () => {
    const cluster = client("one");
    const labels = { "contract.test/run": `r-${(number += 1)}` };
    good(await cluster.create(configMap, fresh({}, { labels })));
    good(await cluster.create(configMap, fresh({})));
    const value = Object.values(labels)[0];
    const query = { namespace: "contract", labelSelector: `contract.test/run=${value}` };
    const listed = good(await cluster.list(configMap, query));
    expect(listed.items).toHaveLength(1);
    expect(textAt(listed.items[0], ["kind"])).toBe("ConfigMap");
    const exists = good(await cluster.list(configMap, { labelSelector: "contract.test/run" }));
    expect(exists.items.length).toBeGreaterThanOrEqual(1);
    expect(Number(listed.resourceVersion)).toBeGreaterThan(0);
  });

  it("watches from a version, deletions included, until it is told to stop", async () => {
    const cluster = client("one");
    const start = good(await cluster.list(configMap, {})).resourceVersion;
    const made = good(await cluster.create(configMap, fresh({ a: "1" })));
    const seen: WatchEvent[] = [];
    const stopping = new AbortController();
    const done = cluster.watch(
      configMap,
      { resourceVersion: start },
      (event) => {
        if (uidOf(event.object) === uidOf(made)) seen.push(event);
      },
      stopping.signal,
    );
    const steps = [{ op: "add", path: "/data/b", value: "2" }] as const;
    good(await cluster.patch(configMap, nameOf(made), steps));
    good(await cluster.remove(configMap, nameOf(made), uidOf(made)));
    await eventually("three events", () => seen.length === 3);
    stopping.abort();
    expect(await done).toEqual({ ok: true, value: undefined });
    expect(seen.map((event) => event.type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
    const versions = seen.map((event) => Number(versionOf(event.object)));
    expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
  });

  it("keeps spec and status apart", async () => {
    const cluster = client("one");
    const policy = {
      apiVersion: "parapet.dev/v1alpha1",
      kind: "ResponsePolicy",
      metadata: { name: `contract-${(number += 1)}` },
      spec: { match: { falco: {} }, do: [{ isolate: {} }], mode: "Observe" },
      status: { observedGeneration: 7 },
    };
    const made = good(await cluster.create(types.responsePolicy, policy));
    expect(made["status"]).toBeUndefined();
    const told = good(
      await cluster.replaceStatus(types.responsePolicy, {
        ...made,
        spec: { ...policy.spec, mode: "Automatic" },
        status: { observedGeneration: 1 },
      }),
    );
    expect([at(told, ["status"]), at(told, ["spec", "mode"])]).toEqual([
      { observedGeneration: 1 },
      "Observe",
    ]);
    const replaced = good(await cluster.replace(types.responsePolicy, { ...told, status: {} }));
    expect(at(replaced, ["status", "observedGeneration"])).toBe(1);
    const stale = { ...made, status: { observedGeneration: 2 } };
    expect(codeOf(await cluster.replaceStatus(types.responsePolicy, stale))).toBe("Conflict");
    good(await cluster.remove(types.responsePolicy, nameOf(made), uidOf(made)));
  });

  it("finds kinds and says when one is not served", async () => {
    const cluster = client("one");
    expect(good(await cluster.typeOf("v1", "Pod"))).toEqual(types.pod);
    expect(good(await cluster.typeOf("networking.k8s.io/v1", "NetworkPolicy"))).toEqual(
      types.networkPolicy,
    );
    expect(codeOf(await cluster.typeOf("v1", "Nothing"))).toBe("NotFound");
    expect(codeOf(await cluster.typeOf("nobody.example.org/v1", "Thing"))).toBe("NotFound");
    good(await cluster.ping());
  });

  it("reads and patches the replicas of a workload by its scale alone", async () => {
    const cluster = client("one");
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      resource: "deployments",
      namespaced: true,
    };
    const scale = { ...deployment, resource: "deployments/scale" };
    const name = { namespace: "contract", name: "scaled" };
    const labels = { app: "scaled" };
    const made = good(
      await cluster.create(deployment, {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: name,
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: "a", image: "a" }] } },
        },
      }),
    );
    const live = good(await cluster.get(scale, name));
    expect(uidOf(live)).toBe(uidOf(made));
    expect(at(live, ["spec", "replicas"])).toBe(2);
    const steps = (version: string, replicas: number) =>
      [
        { op: "test", path: "/metadata/uid", value: uidOf(made) },
        { op: "test", path: "/metadata/resourceVersion", value: version },
        { op: "replace", path: "/spec/replicas", value: replicas },
      ] as const;
    good(await cluster.patch(scale, name, steps(versionOf(live), 0)));
    expect(at(good(await cluster.get(deployment, name)), ["spec", "replicas"])).toBe(0);
    const empty = good(await cluster.get(scale, name));
    expect(at(empty, ["spec", "replicas"])).toBe(0);
    const back = [
      { op: "test", path: "/spec/replicas", value: 0 },
      ...steps(versionOf(empty), 2),
    ] as const;
    const patched = good(await cluster.patch(scale, name, back));
    expect(at(patched, ["spec", "replicas"])).toBe(2);
    const stale = await cluster.patch(scale, name, steps(versionOf(live), 1));
    expect(codeOf(stale)).toBe("Conflict");
  });
}
