// SPDX-License-Identifier: Apache-2.0
import {
  approvalsAnnotation,
  approvalSelector,
  approvalState,
  digestLabelValue,
  digestOf,
} from "./approvals.ts";
import { readable } from "./composed-set.ts";
import { toDesired, type Composed } from "./composed.ts";
import type { Composite } from "./composite.ts";
import type { CompiledGuard } from "./policies.ts";
import type { PendingApproval } from "./verdict.ts";
import type { Violation } from "./violation.ts";
import type { Request } from "./wire/request.ts";
import type { Selector } from "./wire/response.ts";
import { decodeStruct } from "./wire/struct.ts";

export type Asking = {
  readonly request: Request;
  readonly engine: { readonly nowMs: number; readonly approvalNamespace: string };
  readonly composite: Composite;
  readonly guard: CompiledGuard;
  /** Requirements of the approvals that were asked for. */
  readonly approvals: Map<string, Selector>;
};

/** Looks for the approval of the change that these violations object to; states what must be fetched for it. */
export function askPeople(
  { request, engine, composite, guard, approvals }: Asking,
  resource: Composed,
  violations: readonly Violation[],
): PendingApproval {
  const digest = digestOf(composite, resource.name, toDesired(resource, resource.injected));
  const namespace = composite.namespace === "" ? engine.approvalNamespace : composite.namespace;
  if (namespace === "") {
    const reason = "no namespace is set for approvals of cluster-scoped composites";
    return { digest, state: { kind: "waiting", have: 0, reason } };
  }
  const name = `approvals/${namespace}/${digestLabelValue(digest)}`;
  approvals.set(name, approvalSelector(digest, namespace));
  const objects = (request.required.get(name) ?? []).map((slice) =>
    readable(name, () => decodeStruct(slice)),
  );
  const needed = violations.map(({ ref }) => {
    const text = ref === undefined ? "" : guard.annotationOf(ref, approvalsAnnotation);
    return /^[1-9]$/.test(text) ? Number(text) : 1;
  });
  const question = { composite, resource: resource.name, digest, namespace, nowMs: engine.nowMs };
  return { digest, state: approvalState(objects, { ...question, needed: Math.max(1, ...needed) }) };
}
