// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { JsonObject } from "#policy/json";
import { type AuditedWrite, makeWriters, readAuditBatch, writeKey } from "#responder/drift/audit";
import { isImpostor } from "#responder/drift/impostor";
import { track } from "#responder/drift/watch";

const event = (more: JsonObject = {}): JsonObject => ({
  level: "RequestResponse",
  stage: "ResponseComplete",
  requestURI: "/api/v1/namespaces/shop/configmaps/note?fieldManager=kubectl-edit",
  verb: "patch",
  user: { username: "jane@example.org", groups: ["system:authenticated"] },
  userAgent: "kubectl/v1.36.3 (linux/amd64)",
  objectRef: { resource: "configmaps", namespace: "shop", name: "note", apiVersion: "v1" },
  responseStatus: { code: 200 },
  responseObject: { metadata: { resourceVersion: "42" } },
  stageTimestamp: "2026-11-22T10:00:00.500000Z",
  ...more,
});
const batch = (...items: readonly JsonObject[]): Uint8Array =>
  Buffer.from(JSON.stringify({ kind: "EventList", apiVersion: "audit.k8s.io/v1", items }));
const atMs = Date.parse("2026-11-22T10:00:00.500Z");

describe("a batch of audit events", () => {
  it("tells the authenticated user, the manager as managedFields has it, and the version written", () => {
    expect(readAuditBatch(batch(event()))).toEqual({
      ok: true,
      writes: [
        {
          key: " configmaps shop/note",
          user: "jane@example.org",
          as: "",
          manager: "kubectl-edit",
          atMs,
          version: "42",
        },
      ],
    });
    const key = writeKey(
      { apiVersion: "apps/v1", resource: "deployments" },
      { namespace: "shop", name: "a" },
    );
    const deployment = { apiGroup: "apps", resource: "deployments", namespace: "shop", name: "a" };
    const read = readAuditBatch(batch(event({ objectRef: deployment, requestURI: "/apis" })));
    expect(read).toMatchObject({ ok: true, writes: [{ key, manager: "kubectl" }] });
  });

  it.each([
    { reason: "A refusal changed nothing.", more: { responseStatus: { code: 403 } } },
    { reason: "A dry run changed nothing.", more: { requestURI: "/x?dryRun=All" } },
    { reason: "A read changed nothing.", more: { verb: "get" } },
    {
      reason: "A status is not what drift is about.",
      more: { objectRef: { resource: "pods", subresource: "status", name: "x" } },
    },
    { reason: "What is not answered yet may fail.", more: { stage: "RequestReceived" } },
    { reason: "Nobody is no author.", more: { user: {} } },
    {
      reason: "A name that no object has.",
      more: { objectRef: { resource: "pods", name: "x".repeat(300) } },
    },
    { reason: "No time.", more: { stageTimestamp: "yesterday" } },
    { reason: "No text where one belongs.", more: { requestURI: 7, user: { username: ["a"] } } },
  ])("passes over what is no write: $reason", ({ more }) => {
    expect(readAuditBatch(batch(event(more)))).toEqual({ ok: true, writes: [] });
  });

  it.each([
    { reason: "no JSON", body: Buffer.from("{") },
    { reason: "another kind", body: Buffer.from('{"kind":"List","items":[{}]}') },
    { reason: "nothing in it", body: Buffer.from('{"kind":"EventList","items":[]}') },
    { reason: "a text", body: Buffer.from('"EventList"') },
    { reason: "too many", body: batch(...Array.from({ length: 5_001 }, () => ({}))) },
  ])("is refused: $reason", ({ body }) => {
    expect(readAuditBatch(body).ok).toBe(false);
  });
});

describe("who made a difference", () => {
  const write = (more: Partial<AuditedWrite> = {}): AuditedWrite => ({
    key: "k",
    user: "jane",
    as: "",
    manager: "kubectl-edit",
    atMs,
    version: "",
    ...more,
  });
  const rows = [
    {
      reason: "The very version proves it, whatever was said of the manager.",
      writes: [write({ version: "42", manager: "innocent" }), write({ user: "joe" })],
      want: "jane (by the API server's audit log)",
    },
    {
      reason: "Below RequestResponse the manager and the time have to do.",
      writes: [write(), write({ user: "joe", manager: "other" })],
      want: "as the write of that field manager at that time",
    },
    {
      reason: "Two users who called themselves alike: naming one would be a guess.",
      writes: [write(), write({ user: "joe" })],
      want: undefined,
    },
    {
      reason: "A write of another time is another one.",
      writes: [write({ atMs: atMs - 60_000 })],
      want: undefined,
    },
    { reason: "Another object's.", writes: [write({ key: "other" })], want: undefined },
    {
      reason: "The one who acts as somebody else is named as what they are.",
      writes: [write({ version: "42", as: "system:admin" })],
      want: "jane acting as system:admin",
    },
  ];
  it.each(rows)("$reason", ({ writes, want }) => {
    const writers = makeWriters();
    writers.add(writes);
    const found = writers.writerOf({
      key: "k",
      version: "42",
      managers: ["kubectl-edit"],
      sinceMs: atMs,
    });
    if (want === undefined) expect(found).toBeUndefined();
    else expect(found?.text).toContain(want);
  });

  it("is kept for a bounded number of writes, the newest", () => {
    const writers = makeWriters();
    const many = Array.from({ length: 60_000 }, (_, i) => write({ key: `k${i}`, version: `${i}` }));
    writers.add(many);
    expect(writers.size()).toBe(50_000);
    const of = (i: number) =>
      writers.writerOf({ key: `k${i}`, version: `${i}`, managers: [], sinceMs: atMs });
    expect([of(0), of(59_999)?.user]).toEqual([undefined, "jane"]);
    writers.add(Array.from({ length: 100 }, () => write({ key: "busy" })));
    expect(writers.size()).toBe(50_000);
  });
});

describe("a difference", () => {
  const owner = "apiextensions.crossplane.io/composed/x";
  const version = (n: string, data: JsonObject, by: JsonObject): JsonObject => ({
    metadata: {
      name: "note",
      uid: "u",
      resourceVersion: n,
      managedFields: Object.entries(by).map(([manager, fields]) => ({
        manager,
        operation: "Apply",
        time: n,
        fieldsV1: { "f:data": fields },
      })),
    },
    data,
  });
  const composed = version("1", { a: "1" }, { [owner]: { "f:a": {} } });
  const edited = version(
    "2",
    { a: "1", b: "2" },
    { [owner]: { "f:a": {} }, kubectl: { "f:b": {} } },
  );
  const trust = (manager: string): boolean => manager === owner;
  const rows = [
    {
      reason:
        "In order when it was listed, and changed before our eyes: new, and an automatic answer is possible.",
      first: "gap",
      next: "live",
      want: false,
    },
    {
      reason: "Made before our eyes, then changed: new.",
      first: "live",
      next: "live",
      want: false,
    },
    {
      reason: "Found changed by a list: it may be older than we are.",
      first: "gap",
      next: "gap",
      want: true,
    },
  ] as const;
  it.each(rows)("$reason", ({ first, next: second, want }) => {
    const known = track(
      undefined,
      { key: "note", before: undefined, after: composed, seen: first },
      trust,
      1,
    );
    const next = track(
      known?.tracked,
      { key: "note", before: composed, after: edited, seen: second },
      trust,
      2,
    );
    expect(next?.drift).toHaveLength(1);
    expect(next?.tracked).toMatchObject({ isGap: want, version: "2" });
  });
});

describe("a write under a trusted field manager's name", () => {
  const write = (user: string, manager: string): AuditedWrite => ({
    key: "k",
    user,
    as: "",
    manager,
    atMs,
    version: "",
  });
  const crossplane = "apiextensions.crossplane.io/composed/x";
  const core = "system:serviceaccount:crossplane-system:crossplane";
  const trusted = ["system:serviceaccount:crossplane-system:*"];
  it.each([
    { reason: "Crossplane itself.", user: core, manager: crossplane, users: trusted, want: false },
    { reason: "Somebody else.", user: "jane", manager: crossplane, users: trusted, want: true },
    { reason: "Under an own name.", user: "jane", manager: "kubectl", users: trusted, want: false },
    { reason: "Nobody is named.", user: "jane", manager: crossplane, users: [], want: false },
  ])("$reason", ({ user, manager, users, want }) => {
    const trust = (one: string): boolean => one.startsWith("apiextensions.crossplane.io/");
    expect(isImpostor(write(user, manager), trust, users)).toBe(want);
  });
});
