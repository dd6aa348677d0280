// SPDX-License-Identifier: Apache-2.0
import { keyOf, type Reply, types, uidOf } from "#responder/cluster";
import { sha256 } from "#responder/finding";
import { planResponse } from "#responder/plan-response";
import { findingLabel } from "#responder/record/remediation-record";
import { nextName, openRemediation } from "#responder/record/remediation-store";
import type { Remediation } from "#responder/remediation";
import { inputOf, makeReplan, policyOf, type ReplanPorts } from "#responder/replan";
import { at, textAt } from "#policy/json";
import { asksToEnd, openConnectionsRule } from "#responder/verification/follow-up-plan";

/**
 * Asks people to end a pod whose open connections outlive its isolation, as a record of its own, where the policy says so. Once for each
 * pod, whatever became of it: safe to repeat after a crash, and a no is not asked about again. Gives what was done, in words for the
 * isolation's own record.
 */
export const makeFollowUp =
  (ports: ReplanPorts) =>
  async (isolation: Remediation): Promise<Reply<string>> => {
    const { target, policy } = isolation;
    const spec = await policyOf(ports, policy);
    if (!spec.ok) return spec;
    if (typeof spec.value === "string" || !asksToEnd(spec.value)) return said(onlyItsEnd);
    const pod = await ports.getPodNow(keyOf(target));
    if (!pod.ok) return pod.code === "NotFound" ? said("") : pod;
    if (uidOf(pod.value) !== target.uid) return said("");
    const { namespace } = isolation.name;
    const finding = sha256(JSON.stringify([openConnectionsRule, policy, target.uid])).slice(0, 32);
    const labelSelector = `${findingLabel}=${finding}`;
    const there = await ports.cluster.list(types.remediation, { namespace, labelSelector });
    if (!there.ok) return there;
    const [first] = there.value.items;
    if (first !== undefined) return said(proposed(textAt(first, ["metadata", "name"])));
    const options = { prefix: target.name, answers: () => false };
    const name = await nextName(ports, namespace, finding, options);
    if (!name.ok) return name;
    const ends = { do: [{ evict: {} }], limits: spec.value.limits };
    const opensAs = { namespace, name: name.value ?? "" };
    const input = inputOf(ports, { ...isolation, name: opensAs }, pod.value, undefined);
    const planned = await planResponse(input, ends);
    if (!planned.ok) return planned;
    if (planned.value.plan === undefined)
      return said(`; it cannot be ended: ${planned.value.reason}`);
    if (!(await mayEvict(ports, target.namespace))) return said(noRight);
    const opened = await openRemediation(ports, {
      name: opensAs,
      target,
      workload: isolation.workload,
      cause: {
        ...isolation.cause,
        rule: openConnectionsRule,
        message: `Remediation ${isolation.name.name} cut all new connections of the pod, tried by probes; those that were open before live on in this network. First of all: ${isolation.cause.rule}: ${isolation.cause.message}`,
      },
      policy,
      mode: "Propose",
      plan: planned.value.plan,
      ttlMs: 0,
      seenAtMs: ports.now(),
      decideBeforeMs: ports.now() + spec.value.proposalTtl,
      finding,
      notes: `follows Remediation ${isolation.name.name}: once the pod is gone, so is its isolation`,
    });
    return opened.ok ? said(proposed(opened.value.name.name)) : opened;
  };

/** What plans beside alerts: approved plans anew, and what follows an isolation. */
export const makePlanners = (ports: ReplanPorts) => ({
  replan: makeReplan(ports),
  followUp: makeFollowUp(ports),
});

/** Asked before people are, so that their yes can be acted on. Where nobody answers it is tried. */
async function mayEvict(
  { cluster }: Pick<ReplanPorts, "cluster">,
  namespace: string,
): Promise<boolean> {
  const kind = "SelfSubjectAccessReview";
  const type = await cluster.typeOf("authorization.k8s.io/v1", kind);
  if (!type.ok) return true;
  const attributes = { namespace, verb: "create", resource: "pods", subresource: "eviction" };
  const asked = await cluster.create(type.value, {
    apiVersion: type.value.apiVersion,
    kind,
    spec: { resourceAttributes: attributes },
  });
  return !asked.ok || at(asked.value, ["status", "allowed"]) !== false;
}

const noRight =
  "; nobody is asked to end the pod, since the responder has no right to (parapet rbac --actions isolate,evict)";

const said = (text: string): Reply<string> => ({ ok: true, value: text });

const onlyItsEnd =
  "; only the pod's end cuts those (evict, delete; isolate.onOpenConnections: Propose asks for it)";

const proposed = (name: string): string => `; Remediation ${name} proposes to end the pod`;
