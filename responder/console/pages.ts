// SPDX-License-Identifier: Apache-2.0
import { type Html, html, nothing } from "#responder/console/html";
import { type PageContext, row } from "#responder/console/remediation-row";
import type { Remediation, State } from "#responder/remediation";
import { isFinal, states } from "#responder/remediation";

export type ListQuery = {
  /** Only remediations in this state; '' for those that still need somebody or are in force; `All` for all. */
  readonly state: string;
  /** Only those that have this text in cause, target, policy or name. */
  readonly text: string;
};

/** Proposals that stand open from the start; with more of them a list that can be skimmed helps more. */
const openRowsMax = 3;

/** Rows on one page; more is said, and the filter finds the rest. */
export const rowsMax = 200;

export function loginPage(failed: boolean): Html {
  return layout(
    "Log in",
    nothing,
    html`<main class="login">
      <h1>Parapet</h1>
      <p>Review of remediations. Log in with your name and review token.</p>
      ${failed ? html`<p class="error" role="alert">Name and token do not match.</p>` : nothing}
      <form method="post" action="/console/login">
        <label>Name <input name="name" autocomplete="username" required autofocus /></label>
        <label
          >Token <input name="token" type="password" autocomplete="current-password" required
        /></label>
        <button type="submit">Log in</button>
      </form>
    </main>`,
  );
}

export function messagePage(title: string, message: string): Html {
  return layout(
    title,
    nothing,
    html`<main class="login">
      <h1>${title}</h1>
      <p>${message}</p>
      <p><a href="/console">Back to the list</a></p>
    </main>`,
  );
}

export function listPage(
  remediations: readonly Remediation[],
  query: ListQuery,
  context: PageContext,
): Html {
  return layout(
    "Remediations",
    header(context),
    html`<main>
      ${filters(query)}
      <div id="rows" data-live="/console/rows">${rows(remediations, query, context)}</div>
    </main>`,
  );
}

/** The part of the list page that server-sent events renew. */
export function rows(
  remediations: readonly Remediation[],
  query: ListQuery,
  context: PageContext,
): Html {
  const shown = select(remediations, query);
  if (shown.length === 0) {
    return html`<p class="empty">
      No remediation ${query.state === "" ? "waits or is in force" : "matches"}.
    </p>`;
  }
  const more = shown.length - rowsMax;
  return html`<p class="count">${shown.length} of ${remediations.length}</p>
    ${shown.slice(0, rowsMax).map((remediation, index) => row(remediation, context, index < openRowsMax))}
    ${more > 0 ? html`<p class="count">${more} more; narrow the list by state or text.</p>` : nothing}`;
}

/** What the query asks for: those that wait for a decision first, then the newest. */
export function select(
  remediations: readonly Remediation[],
  query: ListQuery,
): readonly Remediation[] {
  const text = query.text.toLowerCase();
  return remediations
    .filter((one) => inState(one.status.state, query.state))
    .filter((one) => text === "" || searchText(one).includes(text))
    .sort(
      (a, b) =>
        Number(b.status.state === "Proposed") - Number(a.status.state === "Proposed") ||
        b.status.alerts.lastSeenMs - a.status.alerts.lastSeenMs ||
        (a.name.name < b.name.name ? -1 : 1),
    );
}

function inState(state: State, wanted: string): boolean {
  if (wanted === "All") return true;
  return wanted === "" ? !isFinal(state) : state === wanted;
}

const searchText = ({ name, cause, target, policy }: Remediation): string =>
  [
    name.namespace,
    name.name,
    cause.rule,
    cause.message,
    cause.actor,
    target.kind,
    target.namespace,
    target.name,
    policy,
  ]
    .join(" ")
    .toLowerCase();

function filters(query: ListQuery): Html {
  const option = (value: string, label: string) =>
    html`<option value="${value}" ${query.state === value ? html`selected` : nothing}>
      ${label}
    </option>`;
  return html`<form method="get" action="/console" class="filters">
    <label
      >State
      <select name="state">
        ${option("", "open or in force")} ${states.map((state) => option(state, state))}
        ${option("All", "all")}
      </select></label
    >
    <label>Text <input name="text" type="search" value="${query.text}" /></label>
    <button type="submit">Show</button>
    <span id="live" class="live" hidden>live</span>
  </form>`;
}

const header = (context: PageContext): Html =>
  html`<header>
    <a href="/console">Parapet</a> <span>${context.reviewer}</span>
    <form method="post" action="/console/logout">
      <input type="hidden" name="form" value="${context.formToken}" /><button type="submit">
        Log out
      </button>
    </form>
  </header>`;

function layout(title: string, top: Html, body: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} - Parapet</title>
        <link rel="stylesheet" href="/console/console.css" />
        <script src="/console/console.js" defer></script>
      </head>
      <body>
        ${top} ${body}
      </body>
    </html>`;
}
