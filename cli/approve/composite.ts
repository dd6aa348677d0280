// SPDX-License-Identifier: Apache-2.0
import { digestLabel, digestLabelValue } from "#function/approvals";
import { type Composite, readComposite } from "#function/composite";
import { at, type Json, type JsonObject, textAt } from "#policy/json";
import { showControls } from "#policy/text/controls";
import { type Failure, failure, type Reply, types } from "#responder/cluster";
import { iso } from "#responder/record/remediation-record";
import { failureText } from "../cluster/connect.ts";
import { exitCodes } from "../command.ts";
import { compositeType } from "./composite-kind.ts";
import { type DiffLine, diffOf, findComposed, keptValues } from "./composed.ts";
import { findPending, type Pending } from "./pending.ts";
import type { ApprovePorts, Choice } from "./ports.ts";
import { decide, expiryOf, withApprover } from "./record.ts";

/** Which held change is meant. */
export type HeldChange = {
  readonly kind: string;
  /** Of the composite; undefined: its definition tells. */
  readonly apiVersion: string | undefined;
  readonly name: string;
  /** Name of the resource in the composition. */
  readonly resource: string;
  /** The desired object that would be applied, as somebody rendered it. */
  readonly desired: JsonObject | undefined;
};

/**
 * `parapet approve composite`: shows what the guard holds back of one composed resource, and records a decision on exactly
 * the change whose digest waits.
 */
export async function approveComposite(
  ports: ApprovePorts,
  choice: Choice,
  change: HeldChange,
): Promise<number> {
  const what = `${change.kind} ${choice.namespace}/${change.name}`;
  const fail = (reply: Failure): number => {
    ports.err(`parapet approve: ${failureText(what, reply)}\n`);
    return ["NotFound", "Invalid"].includes(reply.code) ? exitCodes.failed : exitCodes.usage;
  };
  const read = await readLive(ports, choice, change);
  if (!read.ok) return fail(read);
  const composite = read.value;
  const found = findPending(composite.object, change.resource);
  if (!found.ok) {
    ports.err(`parapet approve: ${what}: ${found.message}\n`);
    return exitCodes.failed;
  }
  const { pending } = found;
  const live = await findComposed(ports.cluster, composite, change.resource);
  if (!live.ok) return fail(live);
  const lines = linesOf(change, composite, live.value, pending);
  if (!lines.ok) return fail(lines);
  if (!choice.dryRun && choice.output === "table") {
    ports.out(
      formatChange(composite, change, { pending, exists: live.value !== undefined }, lines.value),
    );
  }
  const object = approvalOf(ports, choice, { composite, resource: change.resource, pending });
  return decide(ports, choice, object, async () => {
    const again = await readLive(ports, choice, change);
    if (!again.ok) return failureText(what, again);
    const now = findPending(again.value.object, change.resource);
    return now.ok && now.pending.digest === pending.digest && again.value.uid === composite.uid
      ? undefined
      : `${what} has another change waiting now; run the command again to see it`;
  });
}

async function readLive(
  ports: ApprovePorts,
  choice: Choice,
  change: HeldChange,
): Promise<Reply<Composite>> {
  const type = await compositeType(ports.cluster, change.kind, change.apiVersion);
  if (!type.ok) return type;
  const namespace = type.value.namespaced ? choice.namespace : "";
  const live = await ports.cluster.get(type.value, { namespace, name: change.name });
  if (!live.ok) return live;
  const behind = at(live.value, ["spec", "resourceRef"]);
  const name = textAt(behind, ["name"]);
  if (name === "") return { ok: true, value: readComposite(live.value) };
  // Approvals name the composite: one for the claim would be found by nobody.
  return failure(
    "Invalid",
    `it is a claim: approve ${textAt(behind, ["kind"])} ${name} behind it, with -n and the namespace in which approvals of cluster-scoped composites live`,
  );
}

function linesOf(
  change: HeldChange,
  composite: Composite,
  live: JsonObject | undefined,
  { digest }: Pending,
): Reply<readonly DiffLine[]> {
  if (change.desired !== undefined) {
    return diffOf(change.desired, live, { composite, resource: change.resource, digest });
  }
  return { ok: true, value: live === undefined ? [] : keptValues(live, composite) };
}

function approvalOf(
  ports: ApprovePorts,
  choice: Choice,
  on: { readonly composite: Composite; readonly resource: string; readonly pending: Pending },
): JsonObject {
  const { composite, resource, pending } = on;
  const { apiVersion, kind, name } = composite;
  const expiresAtMs = expiryOf(choice, ports.nowMs());
  const object = {
    apiVersion: types.approval.apiVersion,
    kind: types.approval.kind,
    metadata: {
      name: `${name.slice(0, 100)}-${ports.suffix()}`,
      namespace: choice.namespace,
      labels: { [digestLabel]: digestLabelValue(pending.digest) },
    },
    spec: {
      for: { composite: { apiVersion, kind, name, resource, digest: pending.digest } },
      decision: choice.decision,
      reason: choice.reason,
      ...(expiresAtMs === undefined ? {} : { expiresAt: iso(expiresAtMs) }),
    },
  };
  return withApprover(object, choice.as);
}

function formatChange(
  composite: Composite,
  change: HeldChange,
  { pending, exists }: { readonly pending: Pending; readonly exists: boolean },
  lines: readonly DiffLine[],
): string {
  const requester = lastWriter(composite.object).replaceAll("\n", " and ");
  const head = [
    ["Composite", `${composite.kind} ${composite.namespace}/${composite.name}`],
    ["Asked by", requester === "" ? "unknown" : `${requester}, who cannot approve it`],
    ["Resource", `${change.resource}, ${exists ? "exists" : "does not exist yet"}`],
    ["Digest", `${pending.digest}, ${pending.state}`],
    ...pending.violations.map((text) => ["Violates", text]),
    ...(pending.paths.length === 0 ? [] : [["Held back", pending.paths.join(", ")]]),
  ].map(([label = "", value = ""]) => `${label.padEnd(10)} ${showControls(value)}\n`);
  return `${head.join("")}\n${diffText(lines, change.desired !== undefined, exists)}\n`;
}

function lastWriter(composite: JsonObject): string {
  const metadata = composite["metadata"];
  const annotations = isRecord(metadata) ? metadata["annotations"] : undefined;
  const writer = isRecord(annotations) ? annotations["parapet.dev/last-writer"] : undefined;
  return typeof writer === "string" ? writer : "";
}

const isRecord = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function diffText(lines: readonly DiffLine[], isKnown: boolean, exists: boolean): string {
  const shown = lines.map(({ path, before, after }) => {
    const minus =
      before === undefined ? "" : `- ${path}: ${showControls(JSON.stringify(before))}\n`;
    const plus = after === undefined ? "" : `+ ${path}: ${showControls(JSON.stringify(after))}\n`;
    return `${minus}${plus}`;
  });
  if (isKnown) return `This exact change, its digest checked:\n${shown.join("")}`;
  const advice =
    "The new values are not kept in the cluster: --desired FILE with the rendered resource shows them, its digest checked.\n";
  if (!exists || shown.length === 0) return advice;
  return `Now, and kept until this is approved:\n${shown.join("").replaceAll(/^- /gm, "  ")}${advice}`;
}
