// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from "vitest";
import type { JsonObject } from "#policy/json";
import { approvalState } from "./approvals.ts";
import { readComposite } from "./composite.ts";

const digest = `sha256:${"a".repeat(64)}`;
const nowMs = Date.UTC(2026, 10, 22, 10, 0, 0);
const composite = (writers: string): JsonObject => ({
  apiVersion: "example.org/v1",
  kind: "Box",
  metadata: {
    name: "b",
    namespace: "team",
    ...(writers === "" ? {} : { annotations: { "parapet.dev/last-writer": writers } }),
  },
});
const approval = (approvedBy: string, spec: JsonObject = {}, target: JsonObject = {}) => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "Approval",
  metadata: { name: approvedBy, namespace: "team" },
  spec: {
    for: {
      composite: {
        apiVersion: "example.org/v1",
        kind: "Box",
        name: "b",
        resource: "x",
        digest,
        ...target,
      },
    },
    decision: "Approve",
    approvedBy,
    ...spec,
  },
});

describe("approvalState", () => {
  test.each([
    { reason: "nobody said anything", writers: "", list: [], needed: 1, want: "waiting" },
    {
      reason: "one who did not ask",
      writers: "tenant",
      list: [approval("jane")],
      needed: 1,
      want: "approved",
    },
    {
      reason: "the one who asked",
      writers: "tenant",
      list: [approval("tenant")],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "the first of two who asked",
      writers: "tenant\njane",
      list: [approval("tenant")],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "the last of two who asked",
      writers: "tenant\njane",
      list: [approval("jane")],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "a third beside two who asked",
      writers: "tenant\njane",
      list: [approval("joe")],
      needed: 1,
      want: "approved",
    },
    {
      reason: "a name within the name of who asked",
      writers: "tenant-a",
      list: [approval("tenant")],
      needed: 1,
      want: "approved",
    },
    {
      reason: "who asked is unknown",
      writers: "",
      list: [approval("jane")],
      needed: 1,
      want: "approved",
    },
    {
      reason: "an approval of nobody",
      writers: "",
      list: [approval("")],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "one person twice is one",
      writers: "",
      list: [approval("jane"), approval("jane")],
      needed: 2,
      want: "waiting",
    },
    {
      reason: "two people",
      writers: "",
      list: [approval("jane"), approval("joe")],
      needed: 2,
      want: "approved",
    },
    {
      reason: "a no outweighs",
      writers: "",
      list: [approval("jane"), approval("joe", { decision: "Deny" })],
      needed: 1,
      want: "denied",
    },
    {
      reason: "whoever asked may take it back",
      writers: "joe",
      list: [approval("joe", { decision: "Deny" })],
      needed: 1,
      want: "denied",
    },
    {
      reason: "a word that is no decision",
      writers: "",
      list: [approval("jane", { decision: "yes" })],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "expired at this moment",
      writers: "",
      list: [approval("jane", { expiresAt: "2026-11-22T10:00:00Z" })],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "not expired yet",
      writers: "",
      list: [approval("jane", { expiresAt: "2026-11-22T10:00:01Z" })],
      needed: 1,
      want: "approved",
    },
    {
      reason: "an expiry that is no time",
      writers: "",
      list: [approval("jane", { expiresAt: "soon" })],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "another composite",
      writers: "",
      list: [approval("jane", {}, { name: "c" })],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "another resource",
      writers: "",
      list: [approval("jane", {}, { resource: "y" })],
      needed: 1,
      want: "waiting",
    },
    {
      reason: "another change",
      writers: "",
      list: [approval("jane", {}, { digest: `sha256:${"b".repeat(64)}` })],
      needed: 1,
      want: "waiting",
    },
  ])("$reason", ({ writers, list, needed, want }) => {
    const question = {
      composite: readComposite(composite(writers)),
      resource: "x",
      digest,
      namespace: "team",
      needed,
      nowMs,
    };
    expect(approvalState(list, question).kind).toBe(want);
  });

  test("an approval holds no longer than the first of those it needs", () => {
    const until = (by: string, expiresAt: string) => approval(by, { expiresAt });
    const list = [until("jane", "2026-11-22T12:00:00Z"), until("joe", "2026-11-22T11:00:00Z")];
    const state = approvalState(list, {
      composite: readComposite(composite("")),
      resource: "x",
      digest,
      namespace: "team",
      needed: 2,
      nowMs,
    });
    const untilMs = Date.UTC(2026, 10, 22, 11, 0, 0);
    expect(state).toEqual({ kind: "approved", by: ["jane", "joe"], untilMs });
  });
});
