// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { Json, JsonObject } from "#policy/json";
import { isObject } from "#policy/json";
import type { Change, Plan } from "#responder/plan";
import { changeJson, changeText } from "#responder/plan";

const text = z.string();
const json: z.ZodType<Json> = z.json();
const jsonObject = z.custom<JsonObject>(isObject, "must be an object");

const resourceType = z.object({
  apiVersion: text,
  kind: text,
  resource: text,
  namespaced: z.boolean(),
});

const editSchema = z.object({
  path: z.array(z.union([text, jsonObject])),
  from: json.optional(),
  to: json.optional(),
});

const changeSchema = z.object({
  type: resourceType.optional(),
  apply: jsonObject.optional(),
  edit: z
    .object({
      namespace: text,
      name: text,
      uid: text,
      edits: z.array(editSchema),
      undo: z.literal("delete").optional(),
    })
    .optional(),
  remove: jsonObject.optional(),
  guard: jsonObject.optional(),
  capture: jsonObject.optional(),
  notify: jsonObject.optional(),
});

/** A plan as it stands in a Remediation's spec. */
export const planSchema = z.object({
  digest: text,
  summary: z.array(text).default([]),
  actions: z.array(z.object({ action: text, changes: z.array(changeSchema) })),
  residualAllows: z
    .array(
      z.object({
        kind: text,
        namespace: text,
        name: text,
        direction: z.enum(["Ingress", "Egress"]),
        detail: text,
        certainty: z.enum(["allows", "mayAllow"]),
        reason: text,
      }),
    )
    .default([]),
  notes: z.array(text).default([]),
});

const pod = { namespace: text, name: text, uid: text };
const effects = {
  remove: z.object({
    ...pod,
    how: z.enum(["evict", "delete"]),
    graceSeconds: z.int().min(0).optional(),
  }),
  guard: z.object({ ...pod, owner: text, minReady: z.int().min(0), budgets: z.boolean() }),
  capture: z.object({
    ...pod,
    logLines: z.int().min(0),
    onFailure: z.literal("Continue").optional(),
  }),
  notify: z.object({ to: text }),
};

/** The plan that was stored; a text when it is none that this version wrote. */
export function toPlan(stored: z.infer<typeof planSchema>): Plan | string {
  const actions = [];
  for (const action of stored.actions) {
    const changes = [];
    for (const change of action.changes) {
      const read = toChange(change);
      if (read === undefined) return "a change of the plan is of no known kind";
      changes.push(read);
    }
    actions.push({ action: action.action, changes });
  }
  const { digest, residualAllows, notes } = stored;
  return { digest, actions, residualAllows, notes };
}

function toChange(stored: z.infer<typeof changeSchema>): Change | undefined {
  const { type, apply, edit } = stored;
  if (apply !== undefined && type !== undefined) return { kind: "apply", type, manifest: apply };
  if (edit !== undefined && type !== undefined) {
    const edits = edit.edits.map(({ path, from, to }) => ({
      path,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
    }));
    const { undo, ...rest } = edit;
    return { kind: "edit", type, ...rest, edits, ...(undo === undefined ? {} : { undo }) };
  }
  return toEffect(stored);
}

function toEffect(stored: z.infer<typeof changeSchema>): Change | undefined {
  if (stored.remove !== undefined) {
    const read = effects.remove.safeParse(stored.remove);
    return read.success ? { kind: "remove", ...read.data } : undefined;
  }
  if (stored.guard !== undefined) {
    const read = effects.guard.safeParse(stored.guard);
    return read.success ? { kind: "guard", ...read.data } : undefined;
  }
  if (stored.capture !== undefined) {
    const read = effects.capture.safeParse(stored.capture);
    return read.success ? { kind: "capture", ...read.data } : undefined;
  }
  const read = effects.notify.safeParse(stored.notify);
  return read.success ? { kind: "notify", ...read.data } : undefined;
}

/** Allows that are written of a plan; of those beyond, a note says how many there are. */
export const residualAllowsMax = 100;
const residualTextMax = 2_048;

/** What is written of a plan. */
export function planJson(plan: Plan): JsonObject {
  return {
    digest: plan.digest,
    summary: plan.actions.flatMap((action) => action.changes.map(changeText)),
    actions: plan.actions.map((action) => ({
      action: action.action,
      changes: action.changes.map(changeJson),
    })),
    residualAllows: cutResiduals(plan.residualAllows),
    notes: plan.notes,
  };
}

/** What is written of the allows that stay open: so many, and so much of each. */
export const cutResiduals = (allows: Plan["residualAllows"]): readonly JsonObject[] =>
  allows.slice(0, residualAllowsMax).map((allow) => ({
    ...allow,
    detail: allow.detail.slice(0, residualTextMax),
    reason: allow.reason.slice(0, residualTextMax),
  }));
