// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { isFromElsewhere, readForm, redirect, sendPage } from "#responder/console/answers";
import { messagePage } from "#responder/console/layout";
import { staleForm } from "#responder/console/login";
import type { ConsoleConfig, ConsolePorts } from "#responder/console/routes";
import { formToken, type Reviewer, sameSecret, type Session } from "#responder/console/session";
import { pathOf, reasonCharsMax } from "#responder/console/words";

const decisions = ["Approve", "Deny", "Undo", "Renew"] as const;

/** Takes what a person decided in a form of a page of this session, and has it written down. */
export async function decide(
  request: IncomingMessage,
  reply: ServerResponse,
  who: { readonly session: Session; readonly reviewer: Reviewer },
  config: ConsoleConfig,
  ports: ConsolePorts,
): Promise<void> {
  if (isFromElsewhere(request)) return staleForm(reply);
  const form = await readForm(request);
  if (!sameSecret(form?.get("form") ?? "", formToken(who.session, config.sessionKey))) {
    return staleForm(reply);
  }
  if (who.reviewer.role === "view") {
    const message = "Your login may look at remediations, not decide on them.";
    return sendPage(reply, 403, messagePage("Not for you to decide", message));
  }
  const text = (key: string) => form?.get(key)?.trim() ?? "";
  const name = { namespace: text("namespace"), name: text("name") };
  const back = pathOf(name);
  const reason = text("reason");
  if (reason === "" || reason.length > reasonCharsMax) {
    const message = `Give a reason of 1 to ${reasonCharsMax} characters; it is kept with the decision.`;
    return sendPage(reply, 400, messagePage("A reason is needed", message, back));
  }
  const decision = decisions.find((one) => one === text("decision"));
  if (decision === undefined) {
    const message = `${decisions.join(", ")} are possible.`;
    return sendPage(reply, 400, messagePage("Unknown decision", message, back));
  }
  const digest = text("digest");
  const by = who.session.reviewer;
  const outcome =
    decision === "Undo"
      ? await ports.undo(name, by, reason)
      : decision === "Renew"
        ? await ports.renew({ name, digest, by, reason })
        : await ports.decide({ name, digest, decision, by, reason });
  if (!outcome.ok) {
    const status = outcome.code === "Conflict" || outcome.code === "NotFound" ? 409 : 503;
    return sendPage(reply, status, messagePage("Not done", outcome.message, back));
  }
  return redirect(reply, `${back}?done=${decision}`);
}
