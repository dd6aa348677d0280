// SPDX-License-Identifier: Apache-2.0
import { createHmac } from "node:crypto";
import type { JsonObject } from "#policy/json";
import type { ObjectName, Reply } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import type { NoticeKind } from "#responder/notify/notices";
import { approversOf, changeText, changesOf } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { cut, iso } from "#responder/record/remediation-record";

/** Where a message goes: by configuration only, never by an alert or a policy. */
export type Destination = {
  readonly name: string;
  readonly format: "webhook" | "slack";
  readonly url: string;
  /** Signs the body; undefined: unsigned. */
  readonly secret: string | undefined;
  readonly timeoutMs: number;
};

/** What a message is about: one remediation, or several of one kind when there are too many to name each. `Response`: a policy's own action. */
export type Telling = {
  readonly notice: NoticeKind | "Response";
  readonly remediations: readonly [Remediation, ...Remediation[]];
};

/** Sends one message to the destination of that name. `Invalid`: sending it again would not help. */
export type Send = (to: string, telling: Telling) => Promise<Reply<undefined>>;

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
 * old ones. `Idempotency-Key` is the same whenever the same message is sent again. `consoleUrl`: where reviewers find the console; '' for nowhere.
 */
export function messageFor(
  destination: Pick<Destination, "format" | "secret">,
  telling: Telling,
  nowMs: number,
  consoleUrl = "",
): Message {
  const content =
    destination.format === "slack" ? slack(telling, consoleUrl) : plain(telling, consoleUrl);
  const body = JSON.stringify(content);
  const timestamp = `${Math.floor(nowMs / 1_000)}`;
  return {
    body,
    headers: {
      "content-type": "application/json",
      "user-agent": "parapet",
      "idempotency-key": idempotencyKey(telling),
      "parapet-timestamp": timestamp,
      ...(destination.secret === undefined
        ? {}
        : { "parapet-signature": signature(destination.secret, timestamp, body) }),
    },
  };
}

function idempotencyKey({ notice, remediations }: Telling): string {
  const parts = remediations.map(({ uid, plan, status }) => {
    const until = notice === "ExpiresSoon" ? `${status.expiresAtMs ?? ""}` : "";
    return `${uid} ${plan?.digest ?? ""} ${until}`;
  });
  return sha256(`${notice}\n${parts.join("\n")}`).slice(0, 32);
}

/** What a receiver computes to check a message. */
export const signature = (secret: string, timestamp: string, body: string): string =>
  `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;

/** One line for people, from our own words and names alone. */
export const headline: Readonly<Record<Telling["notice"], string>> = {
  Proposed: "waits for an approval",
  ExpiresSoon: "expires soon",
  Failed: "failed",
  Unverifiable: "is not shown to hold",
  Response: "responds",
};

function plain(telling: Telling, consoleUrl: string): JsonObject {
  const [first, ...more] = telling.remediations;
  if (more.length === 0) return plainOne(telling.notice, first, consoleUrl);
  return {
    version: 1,
    notice: telling.notice,
    headline: `${more.length + 1} remediations: each ${headline[telling.notice]}`,
    count: more.length + 1,
    remediations: telling.remediations.slice(0, summaryMax).map(({ name, policy, target }) => ({
      ...name,
      policy,
      target: { ...target },
    })),
    console: consoleUrl === "" ? "" : listUrl(consoleUrl, telling.notice),
  };
}

function plainOne(
  notice: Telling["notice"],
  remediation: Remediation,
  consoleUrl: string,
): JsonObject {
  const { target, cause, name, status } = remediation;
  const full = {
    version: 1,
    notice,
    headline: `Remediation ${name.namespace}/${name.name} ${headline[notice]}`,
    remediation: { ...name, uid: remediation.uid, policy: remediation.policy },
    state: status.state,
    reason: cut(status.history.at(-1)?.message ?? "", 1_024),
    expiresAt: status.expiresAtMs === undefined ? "" : iso(status.expiresAtMs),
    target: { ...target },
    cause: {
      source: cause.source,
      rule: cut(cause.rule, 512),
      priority: cause.priority,
      message: cut(cause.message, 2_048),
      fingerprint: cause.fingerprint,
    },
    plan: {
      digest: remediation.plan?.digest ?? "",
      summary: summaryOf(remediation),
      residualAllows: remediation.plan?.residualAllows.length ?? 0,
      approvers: approversOf(remediation.plan),
    },
    commands: [...commandsFor(notice, remediation)],
    console: consoleUrl === "" ? "" : remediationUrl(consoleUrl, name),
  };
  return JSON.stringify(full).length <= bodyMax
    ? full
    : { ...full, plan: { ...full.plan, summary: [] } };
}

/** What a person types to decide; names of Kubernetes objects need no quoting. */
function commandsFor(notice: Telling["notice"], { name, status }: Remediation): readonly string[] {
  const base = `parapet approve ${name.name} -n ${name.namespace}`;
  if (status.state === "Proposed") {
    return [`${base} --reason "..."`, `${base} --deny --reason "..."`];
  }
  const renew = notice === "ExpiresSoon" ? [`${base} --renew 1h --reason "..."`] : [];
  return notice === "Response" ? [] : [...renew, `${base} --deny --reason "..."`];
}

/** A remediation's own page of the console. */
export const remediationUrl = (consoleUrl: string, { namespace, name }: ObjectName): string =>
  `${base(consoleUrl)}/remediations/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;

function listUrl(consoleUrl: string, notice: Telling["notice"]): string {
  const isState = notice !== "ExpiresSoon" && notice !== "Response";
  return `${base(consoleUrl)}${isState ? `?state=${notice}` : ""}`;
}

const base = (consoleUrl: string): string => consoleUrl.replace(/\/+$/, "");

function slack(telling: Telling, consoleUrl: string): JsonObject {
  const [first, ...more] = telling.remediations;
  const isOne = more.length === 0;
  const text = cut(isOne ? linesOfOne(telling.notice, first) : linesOfMany(telling), 2_900);
  const url = isOne ? remediationUrl(consoleUrl, first.name) : listUrl(consoleUrl, telling.notice);
  return {
    text: escapeSlack(text),
    mrkdwn: false,
    blocks: [
      { type: "section", text: { type: "plain_text", text, emoji: false } },
      // Our own words and a configured address: no text of an alert is in it.
      ...(consoleUrl === ""
        ? []
        : [{ type: "section", text: { type: "mrkdwn", text: `<${url}|Review in the console>` } }]),
    ],
  };
}

function linesOfOne(notice: Telling["notice"], remediation: Remediation): string {
  const { target, cause, name, status, plan } = remediation;
  const needed = approversOf(plan);
  return [
    `Parapet: ${name.namespace}/${name.name} ${headline[notice]}`,
    `cause: "${cut(cause.rule, 200)}" (${cause.priority})`,
    `target: ${target.kind} ${target.namespace}/${target.name}`,
    `policy: ${remediation.policy}, state: ${status.state}`,
    ...(notice === "Failed" || notice === "Unverifiable"
      ? [`why: ${cut(status.history.at(-1)?.message ?? "", 500)}`]
      : []),
    ...(notice !== "Response" && status.expiresAtMs !== undefined
      ? [`until: ${iso(status.expiresAtMs)}`]
      : []),
    ...summaryOf(remediation).map((line) => `- ${line}`),
    ...(plan === undefined || notice === "Response" ? [] : [`plan: ${plan.digest}`]),
    ...(status.state === "Proposed" && needed > 1 ? [`needs ${needed} approvers`] : []),
    ...commandsFor(notice, remediation).map((line) => `$ ${line}`),
  ].join("\n");
}

function linesOfMany({ notice, remediations }: Telling): string {
  const shown = remediations.slice(0, summaryMax);
  const rest = remediations.length - shown.length;
  return [
    `Parapet: ${remediations.length} remediations, each ${headline[notice]}`,
    ...shown.map(
      ({ name, target }) =>
        `- ${name.namespace}/${name.name}: ${target.kind} ${target.namespace}/${target.name}`,
    ),
    ...(rest > 0 ? [`and ${rest} more: kubectl get remediations -A`] : []),
  ].join("\n");
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
