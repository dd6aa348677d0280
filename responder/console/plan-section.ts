// SPDX-License-Identifier: Apache-2.0
import type { ChangeState, ChangeView } from "#responder/console/change-view";
import { type Html, html, nothing } from "#responder/console/html";
import type { DiffLine, Hunk } from "#responder/console/line-diff";
import { countText } from "#responder/console/words";
import type { Change, Plan, PlannedAction, ResidualAllow } from "#responder/plan";
import { changesOf, changeText } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { mayBeInForce } from "#responder/remediation";

/** The plan: every change as a difference of YAML, what stays open, and what an approver should know. */
export function planSection(
  remediation: Remediation,
  viewOf: (change: Change) => ChangeView | undefined,
): Html {
  const { plan } = remediation;
  if (plan === undefined) {
    return html`<section aria-labelledby="plan">
      <h2 id="plan">Plan</h2>
      <p>There is none: this is for review only.</p>
    </section>`;
  }
  return html`<section aria-labelledby="plan">
    <h2 id="plan">Plan</h2>
    ${residualTable(plan.residualAllows)} ${notes(plan)}
    ${plan.actions.map((action, index) => actionCard(action, index + 1, remediation, viewOf))}
    <p class="soft digest">
      ${countText(changesOf(plan).length, "change")}; an approval is bound to
      <code>${plan.digest}</code>
    </p>
  </section>`;
}

function actionCard(
  { action, changes }: PlannedAction,
  number: number,
  remediation: Remediation,
  viewOf: (change: Change) => ChangeView | undefined,
): Html {
  return html`<div class="card action">
    <h3><span class="number">${number}</span> ${action}</h3>
    ${changes.map((change) => changeBlock(change, remediation, viewOf(change)))}
  </div>`;
}

function changeBlock(change: Change, remediation: Remediation, view: ChangeView | undefined): Html {
  const title = html`<p class="names">${changeText(change)}</p>`;
  if (view === undefined) return title;
  const text = stateText(view.state, remediation);
  const isWrong = view.state === "NotThere" || view.state === "ChangedSince";
  const tone = isWrong ? "error" : "soft";
  return html`${title} ${text === "" ? nothing : html`<p class="${tone}">${text}</p>`}
  ${view.isMasked ? html`<p class="soft">What changes is a secret value; it is not shown.</p>` : nothing}
  ${view.hunks.length === 0 ? nothing : diff(view.hunks, changeText(change))}`;
}

/** What the difference is between, in the phase that the remediation is in. */
function stateText(state: ChangeState, { status }: Remediation): string {
  const isInForce = mayBeInForce[status.state] && status.state !== "Failed";
  switch (state) {
    case "AsPlanned":
      return isInForce ? "In the cluster now, as planned." : "In the cluster already, as planned.";
    case "NotThere":
      return isInForce ? "Not in the cluster now, though it should be." : "";
    case "ChangedSince":
      return "What is in the cluster now is neither as it was nor as planned: somebody changed it.";
    case "Unknown":
      return "The live object cannot be read now; this is what the plan holds.";
    default:
      return state satisfies never;
  }
}

const signs = { same: " ", added: "+", removed: "-" } as const;

const diff = (hunks: readonly Hunk[], name: string): Html =>
  html`<pre class="diff" tabindex="0" role="region" aria-label="Difference of ${name}, as YAML">
${hunks.map(
      ({ skipped, lines }) =>
        html`${skipped > 0 ? html`<span class="skipped">${`  ... ${countText(skipped, "unchanged line")}\n`}</span>` : nothing}${lines.map(diffLine)}`,
    )}</pre>`;

function diffLine({ kind, text }: DiffLine): Html {
  const line = `${signs[kind]} ${text}\n`;
  switch (kind) {
    case "added":
      return html`<ins>${line}</ins>`;
    case "removed":
      return html`<del>${line}</del>`;
    case "same":
      return html`<span class="same">${line}</span>`;
    default:
      return kind satisfies never;
  }
}

function residualTable(allows: readonly ResidualAllow[]): Html {
  if (allows.length === 0) return nothing;
  return html`<div class="card warn">
    <table>
      <caption id="open">
        Still open after it: ${countText(allows.length, "way")} that other policies leave
      </caption>
      <thead>
        <tr>
          <th scope="col">Direction</th>
          <th scope="col">By</th>
          <th scope="col">What</th>
          <th scope="col">Why</th>
        </tr>
      </thead>
      <tbody>
        ${allows.map(
          (one) =>
            html`<tr>
              <td>${one.direction}</td>
              <td class="names">${allowedBy(one)}</td>
              <td class="names">
                ${one.certainty === "mayAllow" ? "may allow: " : ""}${one.detail}
              </td>
              <td>${one.reason}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function allowedBy({ kind, namespace, name }: ResidualAllow): string {
  if (kind === "") return "no policy";
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}

const notes = (plan: Plan): Html =>
  plan.notes.length === 0
    ? nothing
    : html`<ul class="notes">
        ${plan.notes.map((note) => html`<li>${note}</li>`)}
      </ul>`;
