// SPDX-License-Identifier: Apache-2.0
// Renews the page's part when the server says that something changed. Without script the page works all the same: reload it.
const rows = document.getElementById("rows");
if (rows !== null) {
  const live = document.getElementById("live");
  const pauseMs = 500;
  const agingMs = 30_000;
  let wanted = false;
  let running = false;
  // Somebody who is typing a reason keeps the form, and who marks text to copy keeps the mark; the change shows after it.
  const isBusy = () => {
    const input = document.activeElement?.closest("input");
    const marked = getSelection();
    return (
      rows.contains(input ?? null) ||
      [...rows.querySelectorAll("input[name=reason]")].some((one) => one.value !== "") ||
      (marked?.isCollapsed === false && rows.contains(marked.anchorNode))
    );
  };
  /**
   * What has the keyboard's focus, by what it leads to or is called: its place in the page may be another one.
   * @param {Element} one
   */
  const nameOf = (one) =>
    `${one.tagName} ${one.getAttribute("href") ?? one.getAttribute("aria-label") ?? one.textContent}`;
  /** @param {string} text */
  const show = (text) => {
    const active = document.activeElement;
    const focus = active !== null && rows.contains(active) ? nameOf(active) : "";
    const open = [...rows.querySelectorAll("details")].map((one) => one.open);
    const scrolled = [...rows.querySelectorAll("pre")].map((one) => [one.scrollLeft, one.scrollTop]);
    rows.innerHTML = text;
    [...rows.querySelectorAll("details")].forEach((one, i) => (one.open = open[i] ?? one.open));
    [...rows.querySelectorAll("pre")].forEach((one, i) => one.scrollTo(...(scrolled[i] ?? [0, 0])));
    const again = [...rows.querySelectorAll("a, button, summary, pre")].find(
      (one) => nameOf(one) === focus,
    );
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
    const stop = document.getElementById("stop");
    stop.hidden = rows.querySelector("[data-stopped=true]") === null;
  };
  const renew = async () => {
    wanted = true;
    if (running || isBusy()) return;
    running = true;
    while (wanted && !isBusy()) {
      wanted = false;
      const reply = await fetch(rows.dataset.live + location.search).catch(() => undefined);
      if (reply?.status === 401) location.reload();
      if (!reply?.ok) break;
      const text = await reply.text();
      if (isBusy()) {
        wanted = true;
        break;
      }
      show(text);
      // A burst of changes is shown twice a second, not a hundred times.
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    running = false;
  };
  const events = new EventSource("/console/events");
  // Whoever looks must know that what is shown may be old.
  const showLive = (isLive) => {
    live.hidden = false;
    live.textContent = isLive ? "live" : "not live";
    live.classList.toggle("lost", !isLive);
  };
  events.addEventListener("open", () => {
    // What changed while nobody told is fetched now; the first time the page is new.
    if (live.classList.contains("lost")) void renew();
    showLive(true);
  });
  events.addEventListener("error", () => showLive(false));
  events.addEventListener("change", () => void renew());
  // "2 min ago" and "in 58 min" grow old by themselves.
  setInterval(() => document.hidden || void renew(), agingMs);
  document.addEventListener("visibilitychange", () => document.hidden || void renew());
  rows.addEventListener("focusout", () => setTimeout(() => wanted && void renew(), 100));
}
