// SPDX-License-Identifier: Apache-2.0
import { z } from "zod";
import { parseDuration } from "#policy/kubernetes/duration";

/** Longest time that a change may last without a new approval (DESIGN.md: everything expires). */
export const ttlMsMax = 30 * 24 * 3_600_000;

/** A duration such as `1h30m`, in milliseconds. */
export const duration = (maxMs: number) =>
  z.string().transform((text, context) => {
    const parsed = parseDuration(text);
    const ms = parsed.ok ? Number(parsed.value / 1_000_000n) : -1;
    if (ms > 0 && ms <= maxMs) return ms;
    context.addIssue({ code: "custom", message: "must be a duration such as 30s, 10m or 1h30m" });
    return z.NEVER;
  });

export const ttl = duration(ttlMsMax);
/** What changes the cluster's state lasts an hour unless the policy says otherwise. */
export const ttlMsDefault = 3_600_000;

/** Longest grace period that is passed on to a pod's end. */
const graceMsMax = 3_600_000;

/** In whole seconds; undefined: the pod's own. */
export const gracePeriod = z
  .union([z.literal("0s").transform(() => 0), duration(graceMsMax)])
  .transform((ms) => Math.ceil(ms / 1_000))
  .optional();

const namePart = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";

/** Key of a label or annotation: an optional DNS prefix and a name (kubernetes.io/docs/concepts/overview/working-with-objects/labels). */
export const labelKey = z
  .string()
  .max(317)
  .regex(
    new RegExp(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?${namePart}$`),
    "must be a qualified name such as example.org/name",
  );

export const labelValue = z
  .string()
  .regex(new RegExp(`^(${namePart})?$`), "must be a label value: 63 characters at most");
