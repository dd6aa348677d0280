// SPDX-License-Identifier: Apache-2.0
import { type Html, html, nothing } from "#responder/console/html";
import type { PageContext } from "#responder/console/words";
import { stopName } from "#responder/stop";

/** Says what went wrong, if anything did, and leads to a page of the console afterwards. */
export function loginPage(problem: string, to: string): Html {
  return layout(
    "Log in",
    nothing,
    html`<main id="main" class="card login">
      <h1>Parapet</h1>
      <p>Review of remediations. Log in with your name and review token.</p>
      ${problem === "" ? nothing : html`<p class="error" role="alert">${problem}</p>`}
      <form method="post" action="/console/login">
        <input type="hidden" name="to" value="${to}" />
        <label>Name <input name="name" autocomplete="username" required autofocus /></label>
        <label
          >Token <input name="token" type="password" autocomplete="current-password" required
        /></label>
        <button type="submit" class="primary">Log in</button>
      </form>
    </main>`,
  );
}

export function messagePage(title: string, message: string, back = "/console"): Html {
  return layout(
    title,
    nothing,
    html`<main id="main" class="card login">
      <h1>${title}</h1>
      <p>${message}</p>
      <p><a href="${back}">Back</a></p>
    </main>`,
  );
}

/** A page for whoever is logged in: who that is, whether the stop is on, and how to set or lift it. */
export function page(title: string, context: PageContext, body: Html): Html {
  return layout(
    title,
    html`${header(context)} ${stopBanner(context)}`,
    html`${body} ${footer(context)}`,
  );
}

const header = (context: PageContext): Html =>
  html`<header>
    <a class="brand" href="/console">Parapet</a>
    <span id="live" class="live" role="status" hidden>live</span>
    <span class="who"
      >${context.reviewer}${context.role === "view" ? html` <span class="soft">may look</span>` : nothing}</span
    >
    <form method="post" action="/console/logout">
      <input type="hidden" name="form" value="${context.formToken}" /><button type="submit">
        Log out
      </button>
    </form>
  </header>`;

/** Always there, so that it can appear by itself while somebody looks. */
const stopBanner = ({ stopped, namespace }: PageContext): Html =>
  html`<div id="stop" class="banner" role="alert" ${stopped ? nothing : html`hidden`}>
    <strong>The global stop is on.</strong> Nothing new is begun; what is in force stays, and can be
    undone. Lift it: <code>kubectl -n ${namespace} delete configmap ${stopName}</code>
  </div>`;

/** Comes with what is renewed, and tells the page whether to show the banner. */
export const stopMark = ({ stopped }: PageContext): Html =>
  html`<span data-stopped="${stopped ? "true" : "false"}" hidden></span>`;

const footer = ({ stopped, namespace }: PageContext): Html =>
  html`<footer>
    Times are
    UTC.${
      stopped
        ? nothing
        : html` To stop everything at once:
            <code>kubectl -n ${namespace} create configmap ${stopName}</code>`
    }
  </footer>`;

function layout(title: string, top: Html, body: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} - Parapet</title>
        <link rel="icon" href="/console/icon.svg" type="image/svg+xml" />
        <link rel="stylesheet" href="/console/console.css" />
        <script src="/console/console.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        ${top} ${body}
      </body>
    </html>`;
}
