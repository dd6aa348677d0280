// SPDX-License-Identifier: Apache-2.0
// Renews the page's part when the server says that something changed. Without script the page works all the same: reload it.
const rows = document.getElementById("rows");
if (rows !== null) {
  const live = document.getElementById("live");
  const pauseMs = 500;
  let wanted = false;
  let running = false;
  // Somebody who is typing a reason keeps the form; the change shows once they leave it.
  const isTyping = () => {
    const input = document.activeElement?.closest("input");
    return (
      rows.contains(input ?? null) ||
      [...rows.querySelectorAll("input[name=reason]")].some((one) => one.value !== "")
    );
  };
  const renew = async () => {
    wanted = true;
    if (running || isTyping()) return;
    running = true;
    while (wanted && !isTyping()) {
      wanted = false;
      const reply = await fetch(rows.dataset.live + location.search);
      if (reply.status === 401) location.reload();
      if (!reply.ok) break;
      const text = await reply.text();
      if (isTyping()) {
        wanted = true;
        break;
      }
      const focus = document.activeElement?.getAttribute("href");
      const open = [...rows.querySelectorAll("details")].map((one) => one.open);
      rows.innerHTML = text;
      [...rows.querySelectorAll("details")].forEach((one, i) => (one.open = open[i] ?? one.open));
      if (focus)
        [...rows.querySelectorAll("a")].find((one) => one.getAttribute("href") === focus)?.focus();
      const stop = document.getElementById("stop");
      stop.hidden = rows.querySelector("[data-stopped=true]") === null;
      // A burst of changes is shown twice a second, not a hundred times.
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    running = false;
  };
  const events = new EventSource("/console/events");
  events.addEventListener("open", () => (live.hidden = false));
  events.addEventListener("error", () => (live.hidden = true));
  events.addEventListener("change", () => void renew());
  rows.addEventListener("focusout", () => setTimeout(() => wanted && void renew(), 100));
}
