// SPDX-License-Identifier: Apache-2.0
import { type Html, html, nothing } from "#responder/console/html";
import { changeJson, changeText, changesOf, residualText } from "#responder/plan";
import type { HistoryEntry, Remediation } from "#responder/remediation";
import { isFinal, mayBeInForce } from "#responder/remediation";

export type PageContext = {
  readonly reviewer: string;
  readonly formToken: string;
  readonly nowMs: number;
};

/** Longest reason that a reviewer may give, in characters. */
export const reasonCharsMax = 500;

/** One remediation: a line to skim, and behind it all that a decision needs; `mayBeOpen`: shown at once if it waits for one. */
export function row(remediation: Remediation, context: PageContext, mayBeOpen: boolean): Html {
  const { cause, status, target } = remediation;
  const id = `${remediation.name.namespace}/${remediation.name.name}`;
  return html`<details
    class="row"
    id="${id}"
    ${mayBeOpen && status.state === "Proposed" ? html`open` : nothing}
  >
    <summary>
      <span class="state ${status.state}">${status.state}</span>
      <span class="what"
        ><strong>${cause.rule}</strong> <span class="priority">${cause.priority}</span></span
      >
      <span class="target">${targetText(target)}</span>
      <span class="times"
        >${status.alerts.count}&times;, ${agoText(status.alerts.lastSeenMs, context.nowMs)}</span
      >
    </summary>
    <dl>
      <dt>Cause</dt>
      <dd>
        ${cause.message}${cause.actor === "" ? nothing : html` <span class="actor">by ${cause.actor}</span>`}
      </dd>
      <dt>Target</dt>
      <dd>${targetText(target)} <code>${target.uid}</code></dd>
      <dt>Policy</dt>
      <dd>${remediation.policy} (${remediation.mode})</dd>
      ${expiry(remediation, context.nowMs)} ${lastError(remediation)}
    </dl>
    ${planSection(remediation)} ${decisionForms(remediation, context)}
    ${historySection(status.history)}
  </details>`;
}

const targetText = (target: Remediation["target"]): string =>
  target.kind === ""
    ? "no object found"
    : `${target.kind} ${target.namespace === "" ? "" : `${target.namespace}/`}${target.name}`;

function expiry({ status }: Remediation, nowMs: number): Html {
  if (status.expiresAtMs === undefined || isFinal(status.state)) return nothing;
  const what = mayBeInForce[status.state] ? "Undone by itself" : "Lapses";
  return html`<dt>${what}</dt>
    <dd>${timeText(status.expiresAtMs)} (${aheadText(status.expiresAtMs, nowMs)})</dd>`;
}

const lastError = ({ status }: Remediation): Html =>
  status.lastError === ""
    ? nothing
    : html`<dt>Last error</dt>
        <dd class="error">${status.lastError}</dd>`;

function planSection({ plan }: Remediation): Html {
  if (plan === undefined) return html`<p>No plan: this is for review only.</p>`;
  return html`<section>
    <h3>Plan <code class="digest">${plan.digest}</code></h3>
    <ol>
      ${changesOf(plan).map(
        (change) =>
          html`<li>
            ${changeText(change)}
            <pre>${JSON.stringify(changeJson(change), null, 2)}</pre>
          </li>`,
      )}
    </ol>
    ${
      plan.residualAllows.length === 0
        ? nothing
        : html`<p class="error">Still allowed after it:</p>
            <ul>
              ${plan.residualAllows.map((one) => html`<li>${residualText(one)}</li>`)}
            </ul>`
    }
    <ul class="notes">
      ${plan.notes.map((note) => html`<li>${note}</li>`)}
    </ul>
  </section>`;
}

function decisionForms(remediation: Remediation, context: PageContext): Html {
  const { state } = remediation.status;
  if (state === "Proposed" && remediation.plan !== undefined) {
    return form(remediation, context, remediation.plan.digest, [
      html`<button name="decision" value="Approve" class="approve">Approve this plan</button>`,
      html`<button name="decision" value="Deny" class="deny">Deny</button>`,
    ]);
  }
  if (mayBeInForce[state] && remediation.status.undo === undefined) {
    return form(remediation, context, remediation.plan?.digest ?? "", [
      html`<button name="decision" value="Undo" class="deny">Undo now</button>`,
    ]);
  }
  return nothing;
}

/** The digest that was on the page goes along: what is approved is what was seen, not what the plan became meanwhile. */
function form(
  remediation: Remediation,
  context: PageContext,
  digest: string,
  buttons: readonly Html[],
): Html {
  return html`<form method="post" action="/console/decide" class="decide">
    <input type="hidden" name="form" value="${context.formToken}" />
    <input type="hidden" name="namespace" value="${remediation.name.namespace}" />
    <input type="hidden" name="name" value="${remediation.name.name}" />
    <input type="hidden" name="digest" value="${digest}" />
    <label>Reason <input name="reason" required maxlength="${reasonCharsMax}" /></label>
    ${buttons}
  </form>`;
}

function historySection(history: readonly HistoryEntry[]): Html {
  if (history.length === 0) return nothing;
  return html`<section>
    <h3>History</h3>
    <ol class="history">
      ${history.map(
        (entry) =>
          html`<li>
            <time>${timeText(entry.atMs)}</time> ${entry.from} &rarr;
            <strong>${entry.to}</strong> ${entry.reason} by
            ${entry.by}${entry.message === "" ? nothing : html`: ${entry.message}`}
          </li>`,
      )}
    </ol>
  </section>`;
}

const timeText = (ms: number): string => new Date(ms).toISOString().replace("T", " ").slice(0, 19);

const agoText = (ms: number, nowMs: number): string => `${spanText(Math.max(0, nowMs - ms))} ago`;

const aheadText = (ms: number, nowMs: number): string =>
  ms <= nowMs ? "due" : `in ${spanText(ms - nowMs)}`;

/** The largest unit alone: a list is skimmed. */
function spanText(ms: number): string {
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
