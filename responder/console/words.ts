// SPDX-License-Identifier: Apache-2.0
import { type Html, html } from "#responder/console/html";
import type { Remediation, State } from "#responder/remediation";

/** Who looks, and what a page needs beside what it is about. */
export type PageContext = {
  readonly reviewer: string;
  /** `view`: sees all, decides nothing. */
  readonly role: "view" | "review";
  readonly formToken: string;
  readonly nowMs: number;
  /** Whether the global stop is on. */
  readonly stopped: boolean;
  /** Where the stop's ConfigMap lies. */
  readonly namespace: string;
};

/** Longest reason that a reviewer may give, in characters. */
export const reasonCharsMax = 500;

/** States as people say them, in the tone of their colour; the word alone tells, the colour only helps. */
const tones: Readonly<Record<State, "quiet" | "ask" | "busy" | "good" | "bad">> = {
  Observed: "quiet",
  Proposed: "ask",
  Approved: "busy",
  Applying: "busy",
  Applied: "good",
  Realised: "good",
  Verified: "good",
  Unverifiable: "bad",
  Failed: "bad",
  Denied: "quiet",
  Expired: "quiet",
  Undone: "quiet",
  TargetGone: "quiet",
};

export const badge = (state: State): Html =>
  html`<span class="state ${tones[state]}">${state}</span>`;

export const targetText = (target: Remediation["target"]): string =>
  target.kind === ""
    ? `no object found${target.name === "" ? "" : ` for ${target.name}`}`
    : `${target.kind} ${target.namespace === "" ? "" : `${target.namespace}/`}${target.name}`;

/** A remediation's own page. */
export const pathOf = ({ namespace, name }: Remediation["name"]): string =>
  `/console/remediations/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;

export const timeText = (ms: number): string =>
  `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;

/** A time for people with the exact one for machines and for whoever hovers. */
export const time = (ms: number, text: string): Html =>
  html`<time datetime="${new Date(ms).toISOString()}" title="${timeText(ms)}">${text}</time>`;

export const agoText = (ms: number, nowMs: number): string =>
  `${spanText(Math.max(0, nowMs - ms))} ago`;

export const aheadText = (ms: number, nowMs: number): string =>
  ms <= nowMs ? "due" : `in ${spanText(ms - nowMs)}`;

/** The largest unit alone: a list is skimmed. */
export function spanText(ms: number): string {
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
  ] as const;
  const unit = units.find(([, size]) => ms >= size);
  return unit === undefined
    ? `${Math.floor(ms / 1000)} s`
    : `${Math.floor(ms / unit[1])} ${unit[0]}`;
}

/** `1 change`, `2 changes`: for words whose plural ends so. */
export const countText = (count: number, one: string): string =>
  `${count} ${one}${count === 1 ? "" : "s"}`;
