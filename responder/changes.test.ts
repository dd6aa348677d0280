// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { isObject, type JsonObject } from "#policy/json";
import { applyJsonPatch } from "#policy/kubernetes/json-patch";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { isolationLabel, planIsolation } from "#responder/actions/isolate";
import { makeChange, readBack } from "#responder/changes";
import { takeBack } from "#responder/take-back";
import { types, uidOf } from "#responder/cluster";
import { type Edit, editState, inverse, pathText, valueAt } from "#responder/edit";
import { type Change, type WriteChange, changesOf, changeText, planDigest } from "#responder/plan";
import { readRemediation, remediationJson } from "#responder/record/remediation-record";
import { exampleRemediation } from "#test/support/example-remediation";
import { good } from "#test/support/cluster-contract";

const object: JsonObject = {
  metadata: { name: "x", labels: { "a/b": "1" } },
  spec: {
    containers: [
      {
        name: "web",
        env: [
          { name: "A", value: "1" },
          { name: "B", value: "2" },
        ],
      },
    ],
  },
};
const env = (name: string) => ["spec", "containers", { name: "web" }, "env", { name }] as const;

const edits: readonly (Edit & { readonly reason: string })[] = [
  {
    reason: "A member is added.",
    path: ["metadata", "labels", "new"],
    to: "1",
  },
  {
    reason: "A slash in a key is part of the key.",
    path: ["metadata", "labels", "a/b"],
    from: "1",
    to: "2",
  },
  { reason: "A member is taken away.", path: ["metadata", "labels", "a/b"], from: "1" },
  {
    reason: "Missing maps on the way are made.",
    path: ["metadata", "annotations", "x"],
    to: "1",
  },
  {
    reason: "A list's item is found by its key.",
    path: env("A"),
    from: { name: "A", value: "1" },
  },
  {
    reason: "An item is put back.",
    path: env("C"),
    to: { name: "C", value: "3" },
  },
];

describe("an edit", () => {
  it.each(edits)("$reason", ({ reason: _reason, ...edit }) => {
    const state = editState(object, edit);
    expect(state.kind).toBe("pending");
    const steps = state.kind === "pending" ? state.steps : [];
    const outcome = applyJsonPatch(object, steps);
    const after = outcome.ok && isObject(outcome.value) ? outcome.value : {};
    expect(valueAt(after, edit.path)).toEqual(edit.to);
    // Done afterwards, and its inverse leads back.
    expect(editState(after, edit).kind).toBe("done");
    expect(editState(after, inverse(edit)).kind).toBe("pending");
  });

  it("does nothing over a third value", () => {
    expect(
      editState(object, { path: ["metadata", "labels", "a/b"], from: "2", to: "3" }).kind,
    ).toBe("changed");
    expect(
      editState(object, { path: ["metadata", "labels", "a/b"], from: "2", to: "1" }).kind,
    ).toBe("done");
    expect(editState(object, { path: env("Z"), from: { name: "Z" } }).kind).toBe("done");
  });

  it("reads for people", () => {
    expect(pathText(["metadata", "labels", "a/b"])).toBe('metadata.labels["a/b"]');
    expect(pathText(env("A"))).toBe("spec.containers[name=web].env[name=A]");
  });
});

async function scene() {
  const memory = makeMemoryCluster(() => 0);
  const cluster = memory.client();
  const made = good(
    await memory.client("kubectl").create(types.pod, {
      metadata: { name: "web", namespace: "shop" },
      spec: { containers: [] },
    }),
  );
  const target = {
    apiVersion: "v1",
    kind: "Pod",
    namespace: "shop",
    name: "web",
    uid: uidOf(made),
  };
  const planned = planIsolation({
    target,
    pod: made,
    network: { served: [], policies: [], namespace: {} },
    remediation: "web-0123456789",
    parameters: { allow: [{ kind: "network", cidr: "10.0.0.10/32" }] },
  });
  if (!planned.ok) throw new Error(planned.message);
  return { memory, cluster, target, changes: writesOf(planned.action.changes), planned };
}

const writesOf = (changes: readonly Change[]): readonly WriteChange[] =>
  changes.filter((change) => change.kind === "apply" || change.kind === "edit");

const step = (changes: readonly WriteChange[], index: number): WriteChange => {
  const change = changes[index];
  if (change === undefined) throw new Error("no such change");
  return change;
};

describe("a change", () => {
  it("that is taken back by deleting is not done while the object is on its way out", async () => {
    const { cluster, changes } = await scene();
    const edit = changes.find((change) => change.kind === "edit");
    if (edit?.kind !== "edit") throw new Error("no edit");
    const change = { ...edit, undo: "delete" } as const;
    good(await makeChange(cluster, change, "web-0123456789", false));
    const remove = () => Promise.resolve({ ok: true, value: undefined } as const);
    const slow = { ...cluster, remove };
    expect(await takeBack(slow, change, "web-0123456789")).toMatchObject({ code: "Unavailable" });
    expect(good(await takeBack(cluster, change, "web-0123456789"))).toEqual({ left: undefined });
  });

  it("can be repeated, is read back and taken back, also twice", async () => {
    const { cluster, changes } = await scene();
    for (const change of changes) {
      expect(good(await makeChange(cluster, change, "web-0123456789", true))).toEqual({
        wrote: true,
      });
      expect(good(await readBack(cluster, change, "web-0123456789")).difference).toBeDefined();
      expect(good(await makeChange(cluster, change, "web-0123456789", false))).toEqual({
        wrote: true,
      });
      expect(good(await makeChange(cluster, change, "web-0123456789", false))).toEqual({
        wrote: false,
      });
      const back = good(await readBack(cluster, change, "web-0123456789"));
      expect(back.difference).toBeUndefined();
      expect(back.seen).toMatch(/ as planned, uid [-0-9a-f]{36}, generation 1$/);
    }
    for (const change of changes.toReversed()) {
      expect(good(await takeBack(cluster, change, "web-0123456789"))).toEqual({ left: undefined });
      expect(good(await takeBack(cluster, change, "web-0123456789"))).toEqual({ left: undefined });
    }
  });

  it("of ours that somebody widened is seen, and restored only where no other manager holds it", async () => {
    const { memory, cluster, changes } = await scene();
    const policy = step(changes, 0);
    good(await makeChange(cluster, policy, "web-0123456789", false));
    const name = { namespace: "shop", name: "parapet-web-0123456789" };
    const open = [{ op: "replace", path: "/spec/egress", value: [{}] }] as const;
    good(await memory.client("kubectl").patch(types.networkPolicy, name, open));
    expect(good(await readBack(cluster, policy, "web-0123456789")).difference).toContain(
      "spec is another",
    );
    expect(await makeChange(cluster, policy, "web-0123456789", false)).toMatchObject({
      ok: false,
      code: "Conflict",
    });
  });

  it("never touches a pod that is another one by now", async () => {
    const { memory, cluster, target, changes } = await scene();
    const kubectl = memory.client("kubectl");
    good(await kubectl.remove(types.pod, target, target.uid));
    good(
      await kubectl.create(types.pod, { metadata: { name: "web", namespace: "shop" }, spec: {} }),
    );
    expect(await makeChange(cluster, step(changes, 1), "web-0123456789", false)).toMatchObject({
      ok: false,
      code: "NotFound",
    });
    expect(good(await takeBack(cluster, step(changes, 1), "web-0123456789"))).toEqual({
      left: undefined,
    });
  });

  it("leaves what somebody changed since, and says so", async () => {
    const { memory, cluster, changes } = await scene();
    good(await makeChange(cluster, step(changes, 1), "web-0123456789", false));
    const path = `/metadata/labels/${isolationLabel("web-0123456789").replace("/", "~1")}`;
    good(
      await memory
        .client("kubectl")
        .patch(types.pod, { namespace: "shop", name: "web" }, [
          { op: "replace", path, value: "mine" },
        ]),
    );
    expect(good(await takeBack(cluster, step(changes, 1), "web-0123456789")).left).toContain(
      "neither",
    );
  });
});

describe("a plan", () => {
  it("has another digest as soon as anything of it is another", async () => {
    const { planned, target } = await scene();
    const digest = planDigest(target, [planned.action]);
    const other = { ...planned.action, changes: planned.action.changes.slice(1) };
    expect(planDigest({ ...target, uid: "x" }, [planned.action])).not.toBe(digest);
    expect(planDigest(target, [other])).not.toBe(digest);
    expect(planDigest({ ...target }, [{ ...planned.action }])).toBe(digest);
    expect(planned.action.changes.map(changeText)).toEqual([
      "apply NetworkPolicy shop/parapet-web-0123456789",
      'add metadata.labels["isolate.parapet.dev/0123456789"] on Pod shop/web',
    ]);
  });

  it("survives being written and read", () => {
    const example = exampleRemediation({ name: "x", state: "Proposed" });
    const read = readRemediation(remediationJson(example, "finding"));
    expect(typeof read).toBe("object");
    const plan = typeof read === "string" ? undefined : read.plan;
    expect(plan && changesOf(plan)).toEqual(example.plan && changesOf(example.plan));
    expect(plan?.digest).toBe(example.plan?.digest);
    expect(readRemediation({ metadata: { name: "x" }, spec: {} })).toEqual(expect.any(String));
  });
});
