// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: messages to configured destinations.
import { failure } from "#responder/cluster";
import { type Destination, messageFor, type Send } from "#responder/notify/notification";

/** Answers 4xx that ask for the same message later; the others refuse it for good (RFC 9110 section 15.5). */
const later: ReadonlySet<number> = new Set([408, 425, 429]);

/** Sends by HTTP POST: no redirects, one time limit over all of it, and nothing of the answer is read but its status. */
export function makeSendHttp(
  destinations: readonly Destination[],
  now: () => number,
  consoleUrl = "",
): Send {
  const byName = new Map(destinations.map((one) => [one.name, one]));
  return async (to, telling) => {
    const destination = byName.get(to);
    if (destination === undefined) return failure("Invalid", `no destination is called ${to}`);
    const { body, headers } = messageFor(destination, telling, now(), consoleUrl);
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
      const { status } = response;
      const isRefused = status >= 400 && status < 500 && !later.has(status);
      return failure(isRefused ? "Invalid" : "Unavailable", `${to} answered ${status}`);
    } catch (error) {
      // The message of a failed fetch may hold the address, and a webhook's address is a secret.
      const isLate = error instanceof Error && error.name === "TimeoutError";
      return failure("Unavailable", `${to} ${isLate ? "did not answer in time" : "not reached"}`);
    }
  };
}
