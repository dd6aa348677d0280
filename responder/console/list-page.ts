// SPDX-License-Identifier: Apache-2.0
import { type Html, html, nothing } from "#responder/console/html";
import { page, stopMark } from "#responder/console/layout";
import {
  agoText,
  aheadText,
  badge,
  countText,
  pathOf,
  type PageContext,
  targetText,
  time,
} from "#responder/console/words";
import type { Remediation, State } from "#responder/remediation";
import { isFinal, mayBeInForce, states } from "#responder/remediation";

export type ListQuery = {
  /** A state, or a group of {@link groups}; '' for whatever is not over. */
  readonly state: string;
  readonly namespace: string;
  readonly policy: string;
  /** Only those that have this text in cause, target, policy or name. */
  readonly text: string;
  /** From 1. */
  readonly page: number;
};

export const emptyQuery: ListQuery = { state: "", namespace: "", policy: "", text: "", page: 1 };

/** Rows on one page. */
export const rowsMax = 50;
/** Names that a filter offers; others can be typed. */
const choicesMax = 200;

/** What people ask for most, beside single states. */
const groups = {
  "": { label: "Open", holds: (state: State) => !isFinal(state) },
  Proposed: { label: "Waiting", holds: (state: State) => state === "Proposed" },
  InForce: {
    label: "In force",
    holds: (state: State) => mayBeInForce[state] && state !== "Failed",
  },
  Trouble: {
    label: "Trouble",
    holds: (state: State) => state === "Failed" || state === "Unverifiable",
  },
  All: { label: "All", holds: () => true },
} as const;

const isGroup = (state: string): state is keyof typeof groups => Object.hasOwn(groups, state);

export function listPage(
  remediations: readonly Remediation[],
  query: ListQuery,
  context: PageContext,
): Html {
  return page(
    "Remediations",
    context,
    html`<main id="main">
      <h1 class="quiet">Remediations</h1>
      ${filters(remediations, query)}
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
  const found = select(remediations, query);
  const pages = Math.max(1, Math.ceil(found.length / rowsMax));
  const current = Math.min(Math.max(1, query.page), pages);
  const shown = found.slice((current - 1) * rowsMax, current * rowsMax);
  return html`${stopMark(context)} ${tabs(remediations, query)}
    <p class="count" role="status">
      ${found.length} of
      ${countText(remediations.length, "remediation")}${pages > 1 ? `, page ${current} of ${pages}` : ""}
    </p>
    ${shown.length === 0 ? empty(query, remediations.length === 0) : table(shown, context)}
    ${pager(query, current, pages)}`;
}

function empty(query: ListQuery, isNone: boolean): Html {
  if (isNone) {
    return html`<p class="empty card">
      There is none yet. One appears when a ResponsePolicy matches an alert or a drift:
      <code>kubectl get responsepolicies</code> says which are in use, and
      <code>parapet explain alert.json</code> what they would do.
    </p>`;
  }
  return linkTo(query) === "/console"
    ? html`<p class="empty card">No remediation waits or is in force.</p>`
    : html`<p class="empty card">
        No remediation matches. <a href="/console">Show what is open</a>
      </p>`;
}

/** What the query asks for: those that wait for a decision first, then the newest. */
export function select(
  remediations: readonly Remediation[],
  query: ListQuery,
): readonly Remediation[] {
  const text = query.text.toLowerCase();
  const holds = stateTest(query.state);
  return remediations
    .filter((one) => holds(one.status.state))
    .filter((one) => query.namespace === "" || one.name.namespace === query.namespace)
    .filter((one) => query.policy === "" || one.policy === query.policy)
    .filter((one) => text === "" || searchText(one).includes(text))
    .sort(
      (a, b) =>
        Number(b.status.state === "Proposed") - Number(a.status.state === "Proposed") ||
        b.status.alerts.lastSeenMs - a.status.alerts.lastSeenMs ||
        (a.name.name < b.name.name ? -1 : 1),
    );
}

const stateTest = (wanted: string): ((state: State) => boolean) =>
  isGroup(wanted) ? groups[wanted].holds : (state) => state === wanted;

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

function tabs(remediations: readonly Remediation[], query: ListQuery): Html {
  const counts = new Map<State, number>();
  for (const { status } of remediations) {
    counts.set(status.state, (counts.get(status.state) ?? 0) + 1);
  }
  const countOf = (holds: (state: State) => boolean): number =>
    [...counts].reduce((sum, [state, count]) => sum + (holds(state) ? count : 0), 0);
  return html`<nav class="tabs" aria-label="Groups of remediations">
    ${Object.entries(groups).map(
      ([state, { label, holds }]) =>
        html`<a
          href="${linkTo({ ...query, state, page: 1 })}"
          ${query.state === state ? html`aria-current="page"` : nothing}
          >${label} <span class="number">${countOf(holds)}</span></a
        >`,
    )}
  </nav>`;
}

function table(shown: readonly Remediation[], context: PageContext): Html {
  return html`<table class="list">
    <caption class="hidden">
      Remediations, those that wait for a decision first
    </caption>
    <thead>
      <tr>
        <th scope="col">State</th>
        <th scope="col">Cause</th>
        <th scope="col">Target</th>
        <th scope="col">Policy</th>
        <th scope="col" class="right">Alerts</th>
        <th scope="col" class="right">Until</th>
      </tr>
    </thead>
    <tbody>
      ${shown.map((one) => row(one, context.nowMs))}
    </tbody>
  </table>`;
}

function row(remediation: Remediation, nowMs: number): Html {
  const { cause, status, target } = remediation;
  return html`<tr class="row">
    <td>${badge(status.state)}</td>
    <td>
      <a href="${pathOf(remediation.name)}">${cause.rule}</a>
      <span class="soft">${cause.priority}</span>
    </td>
    <td class="names">${targetText(target)}</td>
    <td class="names soft">${remediation.policy}</td>
    <td class="right soft">
      ${status.alerts.count}&times;,
      ${time(status.alerts.lastSeenMs, agoText(status.alerts.lastSeenMs, nowMs))}
    </td>
    <td class="right soft">${until(remediation, nowMs)}</td>
  </tr>`;
}

const until = ({ status }: Remediation, nowMs: number): Html =>
  status.expiresAtMs === undefined || isFinal(status.state)
    ? nothing
    : time(status.expiresAtMs, aheadText(status.expiresAtMs, nowMs));

function pager(query: ListQuery, current: number, pages: number): Html {
  if (pages === 1) return nothing;
  const link = (to: number, label: string): Html =>
    to < 1 || to > pages
      ? html`<span class="soft" aria-disabled="true">${label}</span>`
      : html`<a href="${linkTo({ ...query, page: to })}">${label}</a>`;
  return html`<nav class="pager" aria-label="Pages">
    ${link(1, "First")} ${link(current - 1, "Previous")}
    <span aria-current="page">${current} / ${pages}</span>
    ${link(current + 1, "Next")} ${link(pages, "Last")}
  </nav>`;
}

/** The list with that query; what is not asked for is left out. */
export function linkTo(query: ListQuery): string {
  const parameters = new URLSearchParams();
  for (const name of ["state", "namespace", "policy", "text"] as const) {
    if (query[name] !== "") parameters.set(name, query[name]);
  }
  if (query.page > 1) parameters.set("page", `${query.page}`);
  const text = parameters.toString();
  return `/console${text === "" ? "" : `?${text}`}`;
}

function filters(remediations: readonly Remediation[], query: ListQuery): Html {
  const option = (value: string, label: string): Html =>
    html`<option value="${value}" ${query.state === value ? html`selected` : nothing}>
      ${label}
    </option>`;
  const others = states.filter((state) => !isGroup(state));
  return html`<form method="get" action="/console" class="filters" role="search">
    <label
      >State
      <select name="state">
        ${Object.entries(groups).map(([value, { label }]) => option(value, label))}
        ${others.map((state) => option(state, state))}
      </select></label
    >
    ${choice(
      "namespace",
      "Namespace",
      query.namespace,
      remediations.map((one) => one.name.namespace),
    )}
    ${choice(
      "policy",
      "Policy",
      query.policy,
      remediations.map((one) => one.policy),
    )}
    <label>Text <input name="text" type="search" value="${query.text}" maxlength="200" /></label>
    <button type="submit">Show</button>
  </form>`;
}

function choice(name: string, label: string, value: string, all: readonly string[]): Html {
  const names = [...new Set(all)].filter((one) => one !== "").sort();
  return html`<label
      >${label} <input name="${name}" value="${value}" list="${name}s" maxlength="253" /></label
    ><datalist id="${name}s">
      ${names.slice(0, choicesMax).map((one) => html`<option value="${one}"></option>`)}
    </datalist>`;
}
