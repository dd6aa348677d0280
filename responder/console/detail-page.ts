// SPDX-License-Identifier: Apache-2.0
import type { Approval } from "#responder/approval";
import type { ChangeView } from "#responder/console/change-view";
import { decisionSection } from "#responder/console/decision-section";
import { factsSection } from "#responder/console/facts-section";
import { type Html, html, nothing } from "#responder/console/html";
import { page, stopMark } from "#responder/console/layout";
import { planSection } from "#responder/console/plan-section";
import { agoText, badge, type PageContext, pathOf, time, timeText } from "#responder/console/words";
import { keptOf } from "#responder/evidence";
import type { Change } from "#responder/plan";
import type { HistoryEntry, Remediation } from "#responder/remediation";

export type Detail = {
  readonly remediation: Remediation;
  /** Those for its plan; undefined where they cannot be read. */
  readonly approvals: readonly Approval[] | undefined;
  /** How a change stands in the cluster; undefined for one that writes no values. */
  readonly viewOf: (change: Change) => ChangeView | undefined;
  /** What was just done on this page, to say so. */
  readonly done: string;
};

export function detailPage(detail: Detail, context: PageContext): Html {
  const { remediation } = detail;
  return page(
    `${remediation.cause.rule}: ${remediation.name.name}`,
    context,
    html`<main id="main">
      <nav class="crumbs" aria-label="Where you are">
        <a href="/console">Remediations</a> / <span>${remediation.name.namespace}</span> /
        <span aria-current="page">${remediation.name.name}</span>
      </nav>
      ${doneMessage(detail.done)}
      <div id="rows" data-live="${pathOf(remediation.name)}/part">
        ${detailPart(detail, context)}
      </div>
    </main>`,
  );
}

/** The part of the page that server-sent events renew. */
export function detailPart(detail: Detail, context: PageContext): Html {
  const { remediation, approvals, viewOf } = detail;
  return html`${stopMark(context)}
    <h1>${remediation.cause.rule} ${badge(remediation.status.state)}</h1>
    ${factsSection(detail, context.nowMs)} ${decisionSection(remediation, approvals, context)}
    ${verification(remediation)} ${planSection(remediation, viewOf)} ${bundles(remediation)}
    ${approvalTable(approvals, context.nowMs)} ${timeline(remediation.status.history)}`;
}

const doneTexts: Readonly<Record<string, string>> = {
  Approve:
    "Your approval is recorded. It is acted on at once, unless something else is waited for.",
  Deny: "Your denial is recorded.",
  Undo: "Recorded: what is in force is being taken back.",
  Renew: "Your renewal is recorded.",
};

function doneMessage(done: string): Html {
  const text = Object.hasOwn(doneTexts, done) ? doneTexts[done] : undefined;
  return text === undefined ? nothing : html`<p class="banner good" role="status">${text}</p>`;
}

const findingTones = { Holds: "good", Fails: "bad", Unknown: "quiet" } as const;

function verification({ status }: Remediation): Html {
  if (status.evidence.length === 0) return nothing;
  return html`<section aria-labelledby="verified">
    <h2 id="verified">What was looked at</h2>
    <div class="card">
      <table>
        <caption class="hidden">
          Checks of the effect, newest first
        </caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Check</th>
            <th scope="col">Finding</th>
            <th scope="col">What exactly</th>
          </tr>
        </thead>
        <tbody>
          ${status.evidence.toReversed().map(
            (one) =>
              html`<tr>
                <td class="soft">${time(one.atMs, timeText(one.atMs))}</td>
                <td>${one.check}</td>
                <td><span class="state ${findingTones[one.finding]}">${one.finding}</span></td>
                <td class="names">${one.detail}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function bundles({ status }: Remediation): Html {
  const kept = keptOf(status.history);
  if (kept.length === 0) return nothing;
  return html`<section aria-labelledby="evidence">
    <h2 id="evidence">Evidence</h2>
    <dl class="facts">
      ${kept.map(
        (one) =>
          html`<dt>Bundle</dt>
            <dd>
              <code>${one.location}</code><br /><code class="soft">sha256:${one.sha256}</code>
            </dd>`,
      )}
    </dl>
  </section>`;
}

function approvalTable(approvals: readonly Approval[] | undefined, nowMs: number): Html {
  if (approvals === undefined || approvals.length === 0) return nothing;
  return html`<section aria-labelledby="decisions">
    <h2 id="decisions">Decisions</h2>
    <div class="card">
      <table>
        <caption class="hidden">
          Approvals and denials of this plan
        </caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">Decision</th>
            <th scope="col">Reason</th>
          </tr>
        </thead>
        <tbody>
          ${approvals.map(
            (one) =>
              html`<tr>
                <td class="soft">${time(one.createdAtMs, agoText(one.createdAtMs, nowMs))}</td>
                <td class="names">${one.approvedBy}</td>
                <td>
                  ${one.renewUntilMs === undefined ? one.decision : `Renew until ${timeText(one.renewUntilMs)}`}${one.expiresAtMs !== undefined && one.expiresAtMs <= nowMs ? " (ran out)" : ""}
                </td>
                <td class="names">${one.reason}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function timeline(history: readonly HistoryEntry[]): Html {
  if (history.length === 0) return nothing;
  return html`<section aria-labelledby="history">
    <h2 id="history">History</h2>
    <ol class="timeline">
      ${history.toReversed().map(
        (entry) =>
          html`<li>
            <p>
              ${badge(entry.to)} <strong>${entry.reason}</strong>
              <span class="soft">by ${entry.by}, ${time(entry.atMs, timeText(entry.atMs))}</span>
            </p>
            ${entry.message === "" ? nothing : html`<p class="names">${entry.message}</p>`}
          </li>`,
      )}
    </ol>
  </section>`;
}
