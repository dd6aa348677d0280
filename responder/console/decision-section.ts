// SPDX-License-Identifier: Apache-2.0
import type { Approval } from "#responder/approval";
import { type Html, html, nothing } from "#responder/console/html";
import { aheadText, type PageContext, reasonCharsMax, spanText } from "#responder/console/words";
import { approversOf } from "#responder/plan";
import type { Remediation } from "#responder/remediation";
import { mayBeInForce } from "#responder/remediation";

/** What can be decided now, with the command that does the same; nothing where there is nothing to decide. */
export function decisionSection(
  remediation: Remediation,
  approvals: readonly Approval[] | undefined,
  context: PageContext,
): Html {
  const { status, plan } = remediation;
  if (status.state === "Proposed" && plan !== undefined) {
    return proposal(remediation, plan.digest, approvals ?? [], context);
  }
  const isStanding = mayBeInForce[status.state] || status.state === "Approved";
  if (!isStanding || status.undo !== undefined) return nothing;
  return standing(remediation, context);
}

function proposal(
  remediation: Remediation,
  digest: string,
  approvals: readonly Approval[],
  context: PageContext,
): Html {
  const needed = approversOf(remediation.plan);
  const by = [
    ...new Set(
      approvals
        .filter((one) => one.decision === "Approve" && one.renewUntilMs === undefined)
        .map((one) => one.approvedBy),
    ),
  ];
  const still =
    needed > 1
      ? ` ${needed} people must approve; ${by.length === 0 ? "nobody has yet" : `so far: ${by.join(", ")}`}.`
      : "";
  const until = remediation.status.expiresAtMs;
  const lapses = until === undefined ? "" : ` It lapses ${aheadText(until, context.nowMs)}.`;
  return html`<section class="card decide-card" aria-labelledby="decide">
    <h2 id="decide">Waits for your decision</h2>
    <p>Nothing was changed yet.${still}${lapses}</p>
    ${form(remediation, context, digest, [
      html`<button name="decision" value="Approve" class="primary">Approve this plan</button>`,
      html`<button name="decision" value="Deny" class="danger">Deny</button>`,
    ])}
    ${command(remediation, ['--reason "..."', '--deny --reason "..."'])}
  </section>`;
}

function standing(remediation: Remediation, context: PageContext): Html {
  const { status, plan } = remediation;
  const until = status.expiresAtMs;
  const mayRenew =
    until !== undefined &&
    plan !== undefined &&
    status.state !== "Failed" &&
    status.state !== "Applying" &&
    status.state !== "Approved";
  return html`<section class="card decide-card" aria-labelledby="decide">
    <h2 id="decide">${status.state === "Failed" ? "What is left of it" : "In force"}</h2>
    <p>
      ${
        until === undefined
          ? "It stays until somebody takes it back."
          : `It is taken back by itself ${aheadText(until, context.nowMs)}.`
      }
    </p>
    ${form(remediation, context, plan?.digest ?? "", [
      ...(mayRenew
        ? [
            html`<button name="decision" value="Renew" class="primary">
              Renew for ${spanText(remediation.ttlMs)}
            </button>`,
          ]
        : []),
      html`<button name="decision" value="Undo" class="danger">Undo now</button>`,
    ])}
    ${command(remediation, [
      ...(mayRenew ? ['--renew 1h --reason "..."'] : []),
      '--deny --reason "..."',
    ])}
  </section>`;
}

/**
 * The digest that was on the page goes along: what is approved is what was seen, not what the plan became meanwhile.
 * Enter in the reason's field presses a form's first button: it is one that does nothing, so that nobody approves by it.
 */
function form(
  remediation: Remediation,
  context: PageContext,
  digest: string,
  buttons: readonly Html[],
): Html {
  if (context.role === "view") {
    return html`<p class="soft">Your login may look, not decide.</p>`;
  }
  return html`<form method="post" action="/console/decide" class="decide">
    <button type="submit" disabled hidden>Choose a button</button>
    <input type="hidden" name="form" value="${context.formToken}" />
    <input type="hidden" name="namespace" value="${remediation.name.namespace}" />
    <input type="hidden" name="name" value="${remediation.name.name}" />
    <input type="hidden" name="digest" value="${digest}" />
    <label for="reason">Reason <span class="soft">others will read it</span></label>
    <input id="reason" name="reason" required maxlength="${reasonCharsMax}" autocomplete="off" />
    <span class="buttons">${buttons}</span>
  </form>`;
}

const command = ({ name }: Remediation, endings: readonly string[]): Html =>
  html`<details class="commands">
    <summary>The same in a terminal</summary>
    <pre>
${endings.map((ending) => html`${`parapet approve ${name.name} -n ${name.namespace} ${ending}\n`}`)}</pre>
  </details>`;
