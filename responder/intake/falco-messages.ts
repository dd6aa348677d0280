// SPDX-License-Identifier: Apache-2.0
import { readAlerts } from "#responder/intake/alert";
import type { StoredAlert } from "#responder/intake/alert-queue";
import type { Metrics } from "#responder/metrics";

/** Messages of Falco about itself begin with this as their rule (falco: userspace/falco/event_drops.cpp, stats_writer.cpp). */
const marker = "Falco internal: ";

/**
 * Counts what Falco says about itself: its messages by name, and the system calls that it could not look at. Each alert that is
 * handled for the first time is given once.
 */
export function countFalcoMessages(metrics: Metrics): (stored: StoredAlert) => void {
  const messages = metrics.counter(
    "parapet_falco_messages_total",
    "Messages of Falco about itself, by name and host.",
  );
  const drops = metrics.counter(
    "parapet_falco_syscalls_dropped_total",
    "System calls that Falco says it dropped unseen, by host.",
  );
  return (stored) => {
    if (!stored.text.includes(marker)) return;
    const alert = readAlerts(Buffer.from(stored.text, "utf8")).alerts[0]?.alert;
    if (alert === undefined || !alert.rule.startsWith(marker)) return;
    const host = alert.hostname;
    messages.add({ message: alert.rule.slice(marker.length), host });
    const count = alert.fields["n_drops"];
    const number = typeof count === "string" || typeof count === "number" ? Number(count) : 0;
    if (Number.isSafeInteger(number) && number > 0) drops.add({ host }, number);
  };
}
