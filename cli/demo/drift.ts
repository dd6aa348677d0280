// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it writes to the demo's cluster as Crossplane and as somebody else.
import { createHash } from "node:crypto";
import { must } from "#cli/demo/place";
import { decide, eventually, inState, type Scene, tellPlan } from "#cli/demo/response";
import { type JsonObject, at } from "#policy/json";
import { nameOf, type ResourceType, types } from "#responder/cluster";

const configMaps: ResourceType = {
  apiVersion: "v1",
  kind: "ConfigMap",
  resource: "configmaps",
  namespaced: true,
};

/** Somebody adds a field to an object that Crossplane composed; Crossplane leaves it, the responder does not. */
export async function showDrift({ stage, place }: Scene): Promise<void> {
  const { namespace } = place;
  const crossplane = place.as(crossplaneManager("invoices", "Store.platform.example.org"));
  must(
    await place.as("kubectl").create(types.responsePolicy, rollBackDrift(`${place.name}-drift`)),
  );
  const composed = must(await crossplane.apply(configMaps, settings(namespace)));
  stage.say("composed", 'ConfigMap invoices-settings by Crossplane, data {"mode": "private"}');
  // The watch must have seen the composed object before it is changed: what it never saw it cannot call drift.
  const edit = () =>
    place
      .as("kubectl-edit")
      .patch(configMaps, nameOf(composed), [{ op: "add", path: "/data/debug", value: "true" }]);
  must(await edit());
  stage.say(
    "changed",
    'kubectl edit adds data.debug: "true"; Crossplane does not own that key and leaves it',
  );

  const proposed = await inState(place, "Drift", ["Proposed"]);
  stage.say("detected", proposed.cause.message);
  tellPlan(stage, proposed);
  await decide(place, proposed, "Approve", "jane", "nobody asked for debug");
  const data = await eventually("the change is rolled back", async () => {
    const live = must(await place.cluster.get(configMaps, nameOf(composed)));
    return at(live, ["data", "debug"]) === undefined ? at(live, ["data"]) : undefined;
  });
  const done = await inState(place, "Drift", ["Applied", "Realised", "Verified"]);
  stage.say(
    "rolled back",
    `data is ${JSON.stringify(data)} again, by a JSON patch guarded with test; state ${done.status.state}`,
  );
}

/** Crossplane's field manager for what a composite composes (crossplane composition_functions.go). */
const crossplaneManager = (composite: string, groupKind: string): string =>
  `apiextensions.crossplane.io/composed/${createHash("sha256")
    .update(composite + groupKind)
    .digest("hex")}`;

const settings = (namespace: string): JsonObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: {
    name: "invoices-settings",
    namespace,
    labels: { "crossplane.io/composite": "invoices" },
    annotations: { "crossplane.io/composition-resource-name": "settings" },
  },
  data: { mode: "private" },
});

const rollBackDrift = (name: string): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name },
  spec: { match: { drift: { kinds: ["ConfigMap"] } }, do: [{ rollback: {} }], mode: "Propose" },
});
