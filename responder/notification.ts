// SPDX-License-Identifier: Apache-2.0
import { createHmac } from "node:crypto";
import type { JsonObject } from "#policy/json";
import type { Reply } from "#responder/cluster";
import { changeText, changesOf } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { cut } from "#responder/remediation-record";

/** Where a message goes: by configuration only, never by an alert or a policy. */
export type Destination = {
  readonly name: string;
  readonly format: "webhook" | "slack";
  readonly url: string;
  /** Signs the body; undefined: unsigned. */
  readonly secret: string | undefined;
  readonly timeoutMs: number;
};

/** Sends one message to the destination of that name. */
export type Send = (to: string, remediation: Remediation) => Promise<Reply<undefined>>;

export type Message = {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
};

/** Longest body, far below what receivers take. */
const bodyMax = 16_384;
const summaryMax = 20;

/**
 * The message about a remediation, for one destination at one time. Alert text is data in a JSON string, cut and masked, and in a
 * Slack message plain text whose mark-up characters are escaped: nothing of it is interpreted by us or by the receiver.
 * Signed as `Parapet-Signature: v1=<hex HMAC-SHA256 of "<timestamp>.<body>">`, with `Parapet-Timestamp` in seconds: a receiver refuses
 * old ones. `Idempotency-Key` is the same whenever the same message is sent again.
 */
export function messageFor(
  destination: Pick<Destination, "format" | "secret">,
  remediation: Remediation,
  nowMs: number,
): Message {
  const content = destination.format === "slack" ? slack(remediation) : plain(remediation);
  const body = JSON.stringify(content);
  const timestamp = `${Math.floor(nowMs / 1_000)}`;
  const key = `${remediation.uid}-${remediation.plan?.digest.slice(-16) ?? ""}`;
  return {
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "parapet",
      "idempotency-key": key,
      "parapet-timestamp": timestamp,
      ...(destination.secret === undefined
        ? {}
        : { "parapet-signature": signature(destination.secret, timestamp, body) }),
    },
  };
}

/** What a receiver computes to check a message. */
export const signature = (secret: string, timestamp: string, body: string): string =>
  `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;

function plain(remediation: Remediation): JsonObject {
  const { target, cause } = remediation;
  const full = {
    version: 1,
    remediation: { ...remediation.name, uid: remediation.uid },
    policy: remediation.policy,
    mode: remediation.mode,
    target: { ...target },
    workload: remediation.workload,
    cause: {
      source: cause.source,
      rule: cut(cause.rule, 512),
      priority: cause.priority,
      message: cut(cause.message, 2_048),
      fingerprint: cause.fingerprint,
    },
    plan: { digest: remediation.plan?.digest ?? "", summary: summaryOf(remediation) },
  };
  return JSON.stringify(full).length <= bodyMax
    ? full
    : { ...full, plan: { digest: full.plan.digest, summary: [] } };
}

function slack(remediation: Remediation): JsonObject {
  const { target, cause, name } = remediation;
  const lines = [
    `Parapet responds to "${cut(cause.rule, 200)}" (${cause.priority})`,
    `target: ${target.kind} ${target.namespace}/${target.name}`,
    `policy: ${remediation.policy}, remediation: ${name.namespace}/${name.name}`,
    ...summaryOf(remediation).map((line) => `- ${line}`),
  ];
  const text = cut(lines.join("\n"), 2_900);
  return {
    text: escapeSlack(text),
    mrkdwn: false,
    blocks: [{ type: "section", text: { type: "plain_text", text, emoji: false } }],
  };
}

/** docs.slack.dev/messaging/formatting-message-text: these three are control characters of a message's text. */
const escapeSlack = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const summaryOf = ({ plan }: Remediation): readonly string[] =>
  plan === undefined
    ? []
    : changesOf(plan)
        .slice(0, summaryMax)
        .map((one) => cut(changeText(one), 300));
