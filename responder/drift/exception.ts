// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import type { JsonObject } from "#policy/json";
import type { Path } from "#responder/edit";
import { pathText } from "#responder/edit";
import type { Target } from "#responder/plan";

/** A named, reasoned, expiring permission for a difference. */
export type DriftException = {
  readonly namespace: string;
  readonly target: { readonly apiVersion: string; readonly kind: string; readonly name: string };
  readonly paths: readonly string[];
  readonly expiresAtMs: number;
};

/** What a DriftException's spec holds; the CRD says the same. */
export const driftExceptionSpec = z.object({
  target: z.object({ apiVersion: z.string(), kind: z.string(), name: z.string() }),
  paths: z.array(z.string().min(1)).min(1),
  owner: z.string().min(1),
  reason: z.string().min(1),
  expiresAt: z.iso.datetime({ offset: true }),
});

const schema = z.object({
  metadata: z.object({ namespace: z.string() }),
  spec: driftExceptionSpec,
});

/** Reads a DriftException; undefined when it is not one, so that it permits nothing. */
export function readDriftException(object: JsonObject): DriftException | undefined {
  const parsed = schema.safeParse(object);
  if (!parsed.success) return undefined;
  const { metadata, spec } = parsed.data;
  const expiresAtMs = Date.parse(spec.expiresAt);
  return { namespace: metadata.namespace, target: spec.target, paths: spec.paths, expiresAtMs };
}

/** Whether a difference is permitted now: at a named path, or below one. */
export function isExcepted(
  exceptions: readonly DriftException[],
  target: Target,
  path: Path,
  nowMs: number,
): boolean {
  const here = pathText(path);
  return exceptions.some(
    (one) =>
      nowMs < one.expiresAtMs &&
      one.namespace === target.namespace &&
      one.target.apiVersion === target.apiVersion &&
      one.target.kind === target.kind &&
      one.target.name === target.name &&
      one.paths.some(
        (allowed) =>
          here === allowed || here.startsWith(`${allowed}.`) || here.startsWith(`${allowed}[`),
      ),
  );
}
