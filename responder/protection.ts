// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import { textAt } from "#policy/json";
import type { Reply } from "#responder/cluster";

/** On a target or a namespace, with the value `true`: whatever a policy says, it is only recorded. */
export const protectedLabelKey = "parapet.dev/protected";

const isLabelled = (object: JsonObject): boolean =>
  textAt(object, ["metadata", "labels", protectedLabelKey]) === "true";

/** Why nothing may be done to an object by anybody's plan; '' when it may. A namespace that cannot be read is a failure. */
export async function protectionOf(
  object: JsonObject,
  namespace: string,
  ports: {
    readonly getNamespace: (name: string) => Promise<Reply<JsonObject>>;
    readonly protectedNamespaces: readonly string[];
  },
): Promise<Reply<string>> {
  const of = (value: string): Reply<string> => ({ ok: true, value });
  if (isLabelled(object)) {
    const kind = textAt(object, ["kind"]).toLowerCase() || "pod";
    return of(`the ${kind} is labelled ${protectedLabelKey}`);
  }
  if (namespace === "") return of("");
  if (ports.protectedNamespaces.includes(namespace)) {
    return of(`namespace ${namespace} is protected`);
  }
  const live = await ports.getNamespace(namespace);
  if (!live.ok) return live.code === "NotFound" ? of("") : live;
  const labelled = `namespace ${namespace} is labelled ${protectedLabelKey}`;
  return of(isLabelled(live.value) ? labelled : "");
}
