// SPDX-License-Identifier: Apache-2.0
// Renews the rows when the server says that something changed. Without script the page works all the same: reload it.
const rows = document.getElementById("rows");
if (rows !== null) {
  const live = document.getElementById("live");
  let wanted = false;
  let running = false;
  const renew = async () => {
    wanted = true;
    // Somebody who is typing a reason keeps the form; the change shows once they leave it.
    if (running || rows.contains(document.activeElement?.closest("input") ?? null)) return;
    running = true;
    while (wanted) {
      wanted = false;
      const reply = await fetch(rows.dataset.live + location.search);
      if (reply.status === 401) location.reload();
      if (!reply.ok) break;
      const open = new Set([...rows.querySelectorAll("details[open]")].map((row) => row.id));
      const known = new Set([...rows.querySelectorAll("details")].map((row) => row.id));
      rows.innerHTML = await reply.text();
      for (const row of rows.querySelectorAll("details")) {
        if (known.has(row.id)) row.open = open.has(row.id);
      }
    }
    running = false;
  };
  const events = new EventSource("/console/events");
  events.addEventListener("open", () => (live.hidden = false));
  events.addEventListener("error", () => (live.hidden = true));
  events.addEventListener("change", () => void renew());
  rows.addEventListener("focusout", () => setTimeout(() => wanted && void renew(), 100));
}
