// SPDX-License-Identifier: Apache-2.0
import type { Approval } from "#responder/approval";
import { type Html, html, nothing } from "#responder/console/html";
import type { Detail } from "#responder/console/detail-page";
import {
  agoText,
  aheadText,
  countText,
  targetText,
  time,
  timeText,
} from "#responder/console/words";
import { changesOf } from "#responder/plan";
import type { HistoryEntry, Remediation, State, Status } from "#responder/remediation";
import { isFinal, mayBeInForce } from "#responder/remediation";
import { adviceFor } from "#responder/verification/advice";
import { unverifiableFor } from "#responder/verification/try-again";

/** What each state says about the cluster, for whoever sees the word for the first time (package/install/verification.md). */
const meanings: Readonly<Record<State, string>> = {
  Observed: "Only for review: nothing is done, nothing waits.",
  Proposed: "Nothing was changed; it waits for a decision.",
  Approved: "Approved, and not begun.",
  Applying: "Being done now.",
  Applied: "Done and read back; whether it has its effect is looked at next.",
  Realised: "Done, and in force as far as the cluster says; nobody tried it.",
  Verified: "Done, and shown to hold by the checks below.",
  Unverifiable: "Done, but not shown to hold.",
  Failed: "Not done, or not all of it: what was begun may be in the cluster still.",
  Denied: "Somebody said no; nothing was changed.",
  Expired: "Its time ran out before anything was changed.",
  Undone: "Taken back.",
  TargetGone: "What it was about is gone.",
};

/** What whoever is called at night asks first: what happened, what was done, does it hold, what is open, until when. */
export function factsSection(detail: Detail, nowMs: number): Html {
  const { remediation } = detail;
  const { cause, status, target } = remediation;
  const { firstSeenMs, lastSeenMs, count } = status.alerts;
  return html`<dl class="facts">
    <dt>Now</dt>
    <dd>${meanings[status.state]} ${sinceText(status, nowMs)}</dd>
    ${undoing(status, nowMs)} ${missing(detail)} ${advised(remediation, nowMs)} ${lastError(status)}
    <dt>Cause</dt>
    <dd>
      ${cause.message}
      <span class="soft"
        >${cause.source},
        ${cause.priority}${cause.actor === "" ? nothing : html`, by ${cause.actor}`}</span
      >
    </dd>
    <dt>Target</dt>
    <dd>
      ${targetText(target)}${remediation.workload === "" ? nothing : html` of ${remediation.workload}`}
      <code class="soft">${target.uid}</code>
    </dd>
    <dt>Policy</dt>
    <dd>${remediation.policy} <span class="soft">${remediation.mode}</span></dd>
    <dt>Alerts</dt>
    <dd>
      ${count}, first ${time(firstSeenMs, agoText(firstSeenMs, nowMs))}, last
      ${time(lastSeenMs, agoText(lastSeenMs, nowMs))}
    </dd>
    ${approved(remediation, detail.approvals ?? [], nowMs)} ${checked(status)}
    ${stillOpen(remediation)} ${expiry(status, nowMs)}
  </dl>`;
}

/** Who or what brought it into its state, when, and in which words. */
function sinceText({ state, history, ...status }: Status, nowMs: number): Html {
  const entry = history.findLast(({ to, from }) => to === state && from !== state);
  if (entry === undefined) return nothing;
  const why = unverifiableFor({ state, history, ...status });
  const asked = state === "Undone" ? (status.undo?.reason ?? "") : "";
  const said = [why, asked, entry.message].filter((text) => text !== "").join(": ");
  const isDecision = isFinal(state) || state === "Unverifiable" || state === "Failed";
  return html`<span class="soft"
    >${isDecision && said !== "" ? `${said}, ` : ""}${byText(entry)}${time(entry.atMs, agoText(entry.atMs, nowMs))}</span
  >`;
}

const byText = ({ by }: HistoryEntry): string => (by === "parapet" ? "" : `by ${by}, `);

/** What is left to do about one that is not shown to hold, by people or by itself. */
function advised(remediation: Remediation, nowMs: number): Html {
  const { retry } = remediation.status;
  const advice = adviceFor(remediation);
  if (advice === "") return nothing;
  const again =
    retry === undefined
      ? nothing
      : html` Tried again
        ${time(retry.atMs, aheadText(retry.atMs, nowMs))}${retry.count === 0 ? "" : `, for the ${retry.count + 1}. time`}.`;
  return html`<dt>What can be done</dt>
    <dd>${advice}${again}</dd>`;
}

function undoing({ state, undo }: Status, nowMs: number): Html {
  if (undo === undefined || isFinal(state)) return nothing;
  return html`<dt>Being taken back</dt>
    <dd>
      ${undo.reason}
      <span class="soft">by ${undo.by}, ${time(undo.atMs, agoText(undo.atMs, nowMs))}</span>
    </dd>`;
}

/** What is in force must be there: that it is not is the first thing to know. */
function missing({ remediation, viewOf }: Detail): Html {
  const { state, undo } = remediation.status;
  const isDone = mayBeInForce[state] && state !== "Failed" && state !== "Applying";
  if (!isDone || undo !== undefined || remediation.plan === undefined) return nothing;
  const views = changesOf(remediation.plan).flatMap((change) => viewOf(change) ?? []);
  const away = views.filter((view) => view.state === "NotThere" || view.state === "ChangedSince");
  if (away.length === 0) return nothing;
  return html`<dt>In the cluster</dt>
    <dd class="error">
      ${away.length} of ${countText(views.length, "change")} not as planned:
      <a href="#plan">see the plan</a>
    </dd>`;
}

const lastError = ({ lastError: text, attempts }: Status): Html =>
  text === ""
    ? nothing
    : html`<dt>Last error</dt>
        <dd class="error">${text} <span class="soft">try ${attempts}</span></dd>`;

/** Also where the Approval itself is gone: the record keeps who it was. */
function approved({ status }: Remediation, approvals: readonly Approval[], nowMs: number): Html {
  if (status.approval === undefined) {
    const isByPolicy = status.history.some(({ reason }) => reason === "AutomaticByPolicy");
    return isByPolicy
      ? html`<dt>Approved</dt>
          <dd>by the policy, which acts without asking</dd>`
      : nothing;
  }
  const names = status.approval.name.split(",");
  const given = approvals.filter((one) => names.includes(one.name));
  return html`<dt>Approved</dt>
    <dd>
      by
      ${status.approval.by}${given.map(
        (one) =>
          html`:
            <span class="soft"
              >${one.reason}, ${time(one.createdAtMs, agoText(one.createdAtMs, nowMs))}
            </span>`,
      )}
    </dd>`;
}

/** The newest finding of each check: an old one says nothing of now. */
function checked({ evidence }: Status): Html {
  if (evidence.length === 0) return nothing;
  const newest = new Map(evidence.map(({ check, finding }) => [check, finding]));
  const count = (wanted: string): number =>
    [...newest.values()].filter((finding) => finding === wanted).length;
  const parts = [
    `${count("Holds")} hold`,
    ...(count("Fails") === 0 ? [] : [`${count("Fails")} fail`]),
    ...(count("Unknown") === 0 ? [] : [`${count("Unknown")} unknown`]),
  ];
  return html`<dt>Checks</dt>
    <dd>
      of ${countText(newest.size, "kind")}, ${parts.join(", ")}:
      <a href="#verified">what was looked at</a>
    </dd>`;
}

function stillOpen({ plan }: Remediation): Html {
  const count = plan?.residualAllows.length ?? 0;
  if (count === 0) return nothing;
  return html`<dt>Stays open</dt>
    <dd><a href="#open">${countText(count, "way")}</a> that other policies leave</dd>`;
}

function expiry({ state, expiresAtMs }: Status, nowMs: number): Html {
  if (expiresAtMs === undefined || isFinal(state)) return nothing;
  return html`<dt>${mayBeInForce[state] ? "Undone by itself" : "Lapses"}</dt>
    <dd>${aheadText(expiresAtMs, nowMs)} <span class="soft">${timeText(expiresAtMs)}</span></dd>`;
}
