// SPDX-License-Identifier: Apache-2.0
import { type Json, type JsonObject, at, field, isObject, textAt } from "#policy/json";
import { protocolOf } from "#responder/reachability/network-policies";
import { listOf } from "#responder/reachability/rule";
import type { NamedPort, PodView } from "#responder/reachability/traffic";

/**
 * A live Pod, and its Namespace, as policies see it. Named ports are those of all containers that run beside each
 * other: init containers count only as sidecars (`restartPolicy: Always`).
 */
export function podViewOf(pod: JsonObject, namespace: JsonObject): PodView {
  const account = textAt(pod, ["spec", "serviceAccountName"]);
  return {
    namespace: textAt(pod, ["metadata", "namespace"]),
    namespaceLabels: labelsAt(namespace),
    labels: labelsAt(pod),
    ports: containersOf(pod).flatMap((container) =>
      listOf(field(container, "ports")).flatMap(portOf),
    ),
    ...(account === "" ? {} : { serviceAccount: account }),
  };
}

function labelsAt(object: JsonObject): JsonObject {
  const labels = at(object, ["metadata", "labels"]);
  return isObject(labels) ? labels : {};
}

const containersOf = (pod: JsonObject): readonly Json[] => [
  ...listOf(at(pod, ["spec", "containers"])),
  ...listOf(at(pod, ["spec", "initContainers"])).filter(
    (container) => field(container, "restartPolicy") === "Always",
  ),
];

function portOf(entry: Json): readonly NamedPort[] {
  const protocol = protocolOf(textAt(entry, ["protocol"]) || "TCP");
  const port = field(entry, "containerPort");
  return protocol === undefined || typeof port !== "number"
    ? []
    : [{ name: textAt(entry, ["name"]), port, protocol }];
}
