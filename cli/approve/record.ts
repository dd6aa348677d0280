// SPDX-License-Identifier: Apache-2.0
import { isObject, type JsonObject, textAt } from "#policy/json";
import { types } from "#responder/cluster";
import { failureText } from "../cluster/connect.ts";
import { exitCodes } from "../command.ts";
import { formatYaml } from "#policy/yaml";
import type { ApprovePorts, Choice } from "./ports.ts";

/** The object without `approvedBy` where nobody was named: then the API server's admission fills it in. */
export function withApprover(object: JsonObject, as: string | undefined): JsonObject {
  const spec = isObject(object["spec"]) ? object["spec"] : {};
  const { approvedBy: _, ...rest } = spec;
  return { ...object, spec: as === undefined ? rest : { ...rest, approvedBy: as } };
}

/** Until when a decision holds; a Deny has no end, since what it denies should not come back by itself. */
export const expiryOf = (choice: Choice, nowMs: number): number | undefined =>
  choice.decision === "Deny" || choice.expiresMs === undefined
    ? undefined
    : nowMs + choice.expiresMs;

/**
 * Asks whether to, and creates the Approval; `unchanged` is asked again after the person answered. With --dry-run the
 * object is printed instead. Gives the exit code.
 */
export async function decide(
  ports: ApprovePorts,
  choice: Choice,
  object: JsonObject,
  unchanged: () => Promise<string | undefined>,
): Promise<number> {
  if (choice.dryRun) {
    ports.out(formatYaml(object));
    return exitCodes.good;
  }
  if (!choice.yes) {
    const answer = ports.ask(`${choice.decision} exactly this?`);
    if (answer === "nobody") {
      ports.err("parapet approve: there is no terminal to ask at; --yes goes on without asking\n");
      return exitCodes.usage;
    }
    if (answer === "no") {
      ports.err("parapet approve: nothing was written\n");
      return exitCodes.failed;
    }
  }
  const problem = await unchanged();
  if (problem !== undefined) {
    ports.err(`parapet approve: ${problem}\n`);
    return exitCodes.failed;
  }
  return create(ports, choice, object);
}

async function create(ports: ApprovePorts, choice: Choice, object: JsonObject): Promise<number> {
  const name = textAt(object, ["metadata", "name"]);
  const created = await ports.cluster.create(types.approval, object);
  if (!created.ok) {
    const isNameless = choice.as === undefined && created.message.includes("approvedBy");
    const hint = isNameless
      ? "; no admission policy fills in who approves here: apply package/policies/admission, or pass --as NAME"
      : "";
    ports.err(`parapet approve: not created: ${failureText(`Approval ${name}`, created)}${hint}\n`);
    return created.code === "Unavailable" ? exitCodes.usage : exitCodes.failed;
  }
  if (choice.output === "json") ports.out(`${JSON.stringify(created.value, null, 2)}\n`);
  else ports.out(createdText(created.value));
  return exitCodes.good;
}

function createdText(approval: JsonObject): string {
  const by = textAt(approval, ["spec", "approvedBy"]);
  const until = textAt(approval, ["spec", "expiresAt"]);
  const { namespace, name } = {
    namespace: textAt(approval, ["metadata", "namespace"]),
    name: textAt(approval, ["metadata", "name"]),
  };
  return `Approval ${namespace}/${name}: ${textAt(approval, ["spec", "decision"])}${by === "" ? "" : ` by ${by}`}${until === "" ? "" : `, valid until ${until}`}
to revoke it: kubectl delete approvals.parapet.dev ${name} -n ${namespace}
`;
}
