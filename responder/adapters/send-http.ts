// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: messages to configured destinations.
import { failure } from "#responder/cluster";
import { type Destination, messageFor, type Send } from "#responder/notification";

/** Sends by HTTP POST: no redirects, one time limit over all of it, and nothing of the answer is read but its status. */
export function makeSendHttp(destinations: readonly Destination[], now: () => number): Send {
  const byName = new Map(destinations.map((one) => [one.name, one]));
  return async (to, remediation) => {
    const destination = byName.get(to);
    if (destination === undefined) return failure("Invalid", `no destination is called ${to}`);
    const { body, headers } = messageFor(destination, remediation, now());
    try {
      const response = await fetch(destination.url, {
        method: "POST",
        headers,
        body,
        redirect: "error",
        signal: AbortSignal.timeout(destination.timeoutMs),
      });
      await response.body?.cancel();
      if (response.ok) return { ok: true, value: undefined };
      return failure("Unavailable", `${to} answered ${response.status}`);
    } catch (error) {
      // The message of a failed fetch may hold the address, and a webhook's address is a secret.
      const isLate = error instanceof Error && error.name === "TimeoutError";
      return failure("Unavailable", `${to} ${isLate ? "did not answer in time" : "not reached"}`);
    }
  };
}
