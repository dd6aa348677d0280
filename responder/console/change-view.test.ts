// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { failure, types } from "#responder/cluster";
import { viewChange, withValue } from "#responder/console/change-view";
import { diffLines, hunksOf } from "#responder/console/line-diff";
import type { Edit } from "#responder/edit";

const text = (hunks: ReturnType<typeof hunksOf>): readonly string[] =>
  hunks.flatMap(({ skipped, lines }) => [
    ...(skipped > 0 ? [`... ${skipped}`] : []),
    ...lines.map(
      ({ kind, text: line }) => `${{ same: " ", added: "+", removed: "-" }[kind]}${line}`,
    ),
  ]);

const ok = (value: JsonObject) => ({ ok: true, value }) as const;

describe("a difference of lines", () => {
  it.each([
    { reason: "Nothing changes.", before: "abc", after: "abc", want: " a b c" },
    { reason: "In the middle.", before: "abc", after: "axc", want: " a-b+x c" },
    { reason: "Put in.", before: "ac", after: "abc", want: " a+b c" },
    { reason: "Taken away.", before: "abc", after: "ac", want: " a-b c" },
    { reason: "The same line twice.", before: "aba", after: "aa", want: " a-b a" },
    { reason: "From nothing.", before: "", after: "ab", want: "+a+b" },
    { reason: "Turned round.", before: "ab", after: "ba", want: "-a b+a" },
  ])("$reason", ({ before, after, want }) => {
    const lines = diffLines(before.split(""), after.split(""));
    expect(text(hunksOf(lines, 9)).join("")).toBe(before === after ? "" : want);
  });

  it("gives both sides back, whatever they are", () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let round = 0; round < 300; round++) {
      const side = (): string[] =>
        Array.from({ length: random(30) }, () => "abcd"[random(4)] ?? "");
      const [before, after] = [side(), side()];
      const lines = diffLines(before, after);
      expect(lines.filter(({ kind }) => kind !== "added").map((one) => one.text)).toEqual(before);
      expect(lines.filter(({ kind }) => kind !== "removed").map((one) => one.text)).toEqual(after);
    }
  });

  it("of two long texts with nothing in common ends soon", () => {
    const side = (letter: string): string[] => Array.from({ length: 5_000 }, (_, i) => letter + i);
    expect(diffLines(side("a"), side("b"))).toHaveLength(10_000);
  });
});

const policy: JsonObject = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name: "p", namespace: "shop" },
  spec: { podSelector: { matchLabels: { a: "b" } }, policyTypes: ["Ingress"] },
};
const apply = { kind: "apply", type: types.networkPolicy, manifest: policy } as const;
const pod: JsonObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "web",
    uid: "u",
    resourceVersion: "7",
    managedFields: [],
    labels: { app: "web" },
  },
  spec: { containers: [{ name: "web", image: "nginx:1" }] },
  status: { phase: "Running" },
};
const edit = (...edits: readonly Edit[]) =>
  ({ kind: "edit", type: types.pod, namespace: "shop", name: "web", uid: "u", edits }) as const;

describe("a change as YAML", () => {
  it("of an object that is not there yet is all of it", () => {
    const view = viewChange(apply, failure("NotFound", ""));
    expect(view.state).toBe("NotThere");
    expect(text(view.hunks)).toEqual([
      "+apiVersion: networking.k8s.io/v1",
      "+kind: NetworkPolicy",
      "+metadata:",
      "+  name: p",
      "+  namespace: shop",
      "+spec:",
      "+  podSelector:",
      "+    matchLabels:",
      "+      a: b",
      "+  policyTypes:",
      "+    - Ingress",
    ]);
  });

  it("of an object that stands as planned is not a difference to what the server added", () => {
    const live = { ...policy, metadata: { name: "p", namespace: "shop", uid: "x", generation: 1 } };
    expect(viewChange(apply, ok(live)).state).toBe("AsPlanned");
  });

  it("of an object that somebody changed shows what they did", () => {
    const live = { ...policy, spec: { podSelector: {}, policyTypes: ["Ingress"] } };
    const view = viewChange(apply, ok(live));
    expect(view.state).toBe("ChangedSince");
    expect(text(view.hunks)).toContain("-  podSelector: {}");
  });

  it.each([
    {
      reason: "A label put on.",
      edits: [{ path: ["metadata", "labels", "q"], to: "true" }],
      live: pod,
      state: "NotThere",
      want: ["     app: web", "+    q: 'true'"],
    },
    {
      reason: "In place by now: the same difference, told as done.",
      edits: [{ path: ["metadata", "labels", "app"], from: "shop", to: "web" }],
      live: pod,
      state: "AsPlanned",
      want: ["-    app: shop", "+    app: web"],
    },
    {
      reason: "A third value.",
      edits: [{ path: ["metadata", "labels", "app"], from: "a", to: "b" }],
      live: pod,
      state: "ChangedSince",
      want: ["-    app: a", "+    app: b"],
    },
    {
      reason: "Inside a list, by its key.",
      edits: [
        {
          path: ["spec", "containers", { name: "web" }, "image"],
          from: "nginx:1",
          to: "nginx:2",
        },
      ],
      live: pod,
      state: "NotThere",
      want: ["-      image: nginx:1", "+      image: nginx:2"],
    },
  ])("of values in somebody's object: $reason", ({ edits, live, state, want }) => {
    const view = viewChange(edit(...edits), ok(live));
    expect(view.state).toBe(state);
    for (const line of want) expect(text(view.hunks).map((one) => one.trimEnd())).toContain(line);
    expect(text(view.hunks).join("\n")).not.toMatch(/managedFields|resourceVersion|phase/);
  });

  it("shows no secret: neither a Secret's values nor what a variable's name tells", () => {
    const secret = { apiVersion: "v1", kind: "Secret", data: { key: "aHVudGVyMg==" } };
    const view = viewChange(
      edit({ path: ["data", "key"], from: "x", to: "aHVudGVyMg==" }),
      ok(secret),
    );
    expect(view.isMasked).toBe(true);
    expect(JSON.stringify(view)).not.toContain("aHVudGVyMg");
    const env = { ...pod, spec: { env: [{ name: "DB_PASSWORD", value: "hunter2" }] } };
    const other = viewChange(edit({ path: ["spec", "x"], to: "y" }), ok(env));
    expect(JSON.stringify(other)).not.toContain("hunter2");
  });

  it("without the live object shows what the plan holds", () => {
    const view = viewChange(
      edit({ path: ["spec", "replicas"], from: 2, to: 0 }),
      failure("Forbidden", "no"),
    );
    expect(view.state).toBe("Unknown");
    expect(text(view.hunks)).toEqual([" spec:", "-  replicas: 2", "+  replicas: 0"]);
  });
});

describe("a value at a path", () => {
  it("is put into containers that are missing, and taken out without leaving others changed", () => {
    expect(withValue({}, ["a", "b"], 1)).toEqual({ a: { b: 1 } });
    expect(withValue({ a: { b: 1, c: 2 } }, ["a", "b"], undefined)).toEqual({ a: { c: 2 } });
    expect(withValue({ l: [{ name: "x" }] }, ["l", { name: "y" }, "v"], 1)).toEqual({
      l: [{ name: "x" }, { name: "y", v: 1 }],
    });
  });
});
