// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { readForm, redirect, safePath, sendPage } from "#responder/console/answers";
import { loginPage, messagePage } from "#responder/console/layout";
import type { ConsoleConfig } from "#responder/console/routes";
import {
  type Session,
  findReviewer,
  formToken,
  sameSecret,
  sealSession,
  sessionMs,
  setCookie,
} from "#responder/console/session";

/** Failed logins of one address within a minute after which it gets 429: whoever guesses must not keep others from logging in. */
const failedLoginsPerMinuteMax = 20;
/** Addresses that are remembered. */
const addressesMax = 1_000;

/** Failed logins by address. */
export type LoginFailures = Map<string, { readonly sinceMs: number; count: number }>;

function failuresOf(failures: LoginFailures, request: IncomingMessage, nowMs: number) {
  const address = request.socket.remoteAddress ?? "";
  const known = failures.get(address);
  if (known !== undefined && nowMs - known.sinceMs <= 60_000) return known;
  const fresh = { sinceMs: nowMs, count: 0 };
  if (failures.size >= addressesMax) failures.clear();
  failures.set(address, fresh);
  return fresh;
}

export async function login(
  request: IncomingMessage,
  reply: ServerResponse,
  config: ConsoleConfig,
  nowMs: number,
  failures: LoginFailures,
): Promise<void> {
  const failed = failuresOf(failures, request, nowMs);
  if (failed.count >= failedLoginsPerMinuteMax) {
    const message = "Wait a minute, then log in again.";
    return sendPage(reply, 429, messagePage("Too many attempts", message));
  }
  const form = await readForm(request);
  const to = safePath(form?.get("to") ?? "");
  const reviewer =
    form === undefined
      ? undefined
      : findReviewer(config.reviewers, form.get("name") ?? "", form.get("token") ?? "");
  if (reviewer === undefined) {
    failed.count += 1;
    return sendPage(reply, 401, loginPage("Name and token do not match.", to));
  }
  const session = { reviewer: reviewer.name, expiresAtMs: nowMs + sessionMs };
  const cookie = setCookie(
    sealSession(session, config.sessionKey),
    sessionMs / 1000,
    config.secure,
  );
  return redirect(reply, to, cookie);
}

export async function logout(
  request: IncomingMessage,
  reply: ServerResponse,
  session: Session,
  config: ConsoleConfig,
): Promise<void> {
  const form = await readForm(request);
  if (!sameSecret(form?.get("form") ?? "", formToken(session, config.sessionKey))) {
    return staleForm(reply);
  }
  return redirect(reply, "/console", setCookie("", 0, config.secure));
}

export const staleForm = (reply: ServerResponse): void =>
  sendPage(
    reply,
    403,
    messagePage("Form out of date", "Open the page again and repeat the decision."),
  );
