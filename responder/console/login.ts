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

/** Failed logins within a minute after which the console answers 429 to all logins. */
const failedLoginsPerMinuteMax = 20;

export type LoginFailures = { sinceMs: number; count: number };

export async function login(
  request: IncomingMessage,
  reply: ServerResponse,
  config: ConsoleConfig,
  nowMs: number,
  failures: LoginFailures,
): Promise<void> {
  if (nowMs - failures.sinceMs > 60_000) Object.assign(failures, { sinceMs: nowMs, count: 0 });
  if (failures.count >= failedLoginsPerMinuteMax) {
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
    failures.count += 1;
    return sendPage(reply, 401, loginPage(true, to));
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
