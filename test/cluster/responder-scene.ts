// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { readdirSync, readFileSync } from "node:fs";
import type { JsonObject } from "#policy/json";
import { isObject, textAt } from "#policy/json";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import type { Cluster } from "#responder/cluster";
import { nameOf, types } from "#responder/cluster";
import { writeApproval } from "#responder/console-ports";
import { bindingsFor, rolesFor } from "#responder/rbac";
import type { Remediation, State } from "#responder/remediation";
import { readRemediation } from "#responder/record/remediation-record";
import { installCrds } from "#test/cluster/api";
import { type ControlPlane, startControlPlane } from "#test/cluster/control-plane";
import { type Child, eventually, freePort, start } from "#test/support/processes";
import { startRedis, type TestRedis } from "#test/support/redis";
import { repository } from "#test/support/shared";

export const intakeToken = "an-intake-token-for-tests";

/** A control plane with the responder's kinds, a Redis, and the responder as a process of its own that can be killed. */
export type ResponderScene = {
  readonly plane: ControlPlane;
  readonly redis: TestRedis;
  /** As a person with kubectl. */
  readonly people: Cluster;
  readonly url: () => string;
  readonly directory: string;
  /** `environment` goes over the scene's own, as to send it through proxies. */
  readonly startResponder: (
    settings?: JsonObject,
    name?: string,
    environment?: Readonly<Record<string, string>>,
    /** Its file; the sources' unless told. */
    program?: string,
  ) => Promise<Child>;
  /** One more, on the same Redis and API server, with an address of its own. */
  readonly startReplica: (name: string) => Promise<{ readonly child: Child; readonly url: string }>;
  readonly remediations: (namespace: string) => Promise<readonly Remediation[]>;
  readonly inState: (namespace: string, ...states: readonly State[]) => Promise<Remediation>;
  readonly decide: (remediation: Remediation, decision: "Approve" | "Deny") => Promise<void>;
  readonly metrics: () => Promise<string>;
  readonly stop: () => Promise<void>;
};

export async function startResponderScene(
  apiServerFlags: readonly string[] = [],
  /** Where the intake will listen, for an API server that is told of it before. */
  intake?: number,
): Promise<ResponderScene | undefined> {
  const redis = await startRedis();
  if (redis === undefined) return undefined;
  const plane = await startControlPlane({
    users: { responder: ["responders"] },
    apiServerFlags,
  });
  if (plane === undefined) {
    await redis.stop();
    return undefined;
  }
  try {
    return await furnish(plane, redis, intake ?? (await freePort()));
  } catch (error) {
    // Without a scene nobody could stop them.
    await plane.stop();
    await redis.stop();
    throw error;
  }
}

async function furnish(
  plane: ControlPlane,
  redis: TestRedis,
  intakePort: number,
): Promise<ResponderScene> {
  await installCrds(plane.api, readCrds());
  const people = makeApiServer(await fromKubeconfig(plane.kubeconfig), "kubectl-edit");
  await people.create(types.namespace, namespaceObject("parapet-system"));
  await grant(people);
  const directory = join(plane.directory, "responder");
  mkdirSync(directory, { recursive: true });
  const operationsPort = await freePort();
  const running = new Set<Child>();

  const launch = async (
    name: string,
    settings: JsonObject,
    ports: { readonly intake: number; readonly operations: number },
    environment: Readonly<Record<string, string>> = {},
    program = join(repository, "responder/main.ts"),
  ): Promise<Child> => {
    const file = join(directory, `${name}.json`);
    writeFileSync(file, JSON.stringify({ settle: "200ms", ...settings }));
    const child = start("responder", "node", [program, "--config", file], {
      logFile: join(directory, `${name}.log`),
      cwd: repository,
      env: {
        PARAPET_INTAKE_LISTEN: `127.0.0.1:${ports.intake}`,
        PARAPET_OPERATIONS_LISTEN: `127.0.0.1:${ports.operations}`,
        PARAPET_INTAKE_TOKEN: intakeToken,
        PARAPET_REDIS_URL: redis.url,
        PARAPET_KUBECONFIG: plane.kubeconfigAs("responder"),
        PARAPET_DATA: join(directory, `${name}-data`),
        PARAPET_IDENTITY: name,
        ...environment,
      },
    });
    running.add(child);
    await eventually("the responder is ready", async () => {
      if (child.exitCode() !== null) throw new Error(child.log().slice(-2_000));
      const reply = await fetch(`http://127.0.0.1:${ports.operations}/readyz`);
      return reply.ok;
    });
    return child;
  };
  const startResponder: ResponderScene["startResponder"] = (
    settings = {},
    name = "one",
    environment = {},
    program,
  ) =>
    launch(
      name,
      settings,
      { intake: intakePort, operations: operationsPort },
      environment,
      program,
    );
  const startReplica = async (
    name: string,
  ): Promise<{ readonly child: Child; readonly url: string }> => {
    const intake = await freePort();
    const child = await launch(name, {}, { intake, operations: await freePort() });
    return { child, url: `http://127.0.0.1:${intake}/falco` };
  };
  const remediations = async (namespace: string): Promise<readonly Remediation[]> => {
    const listed = await people.list(types.remediation, { namespace });
    if (!listed.ok) throw new Error(`${listed.code}: ${listed.message}`);
    return listed.value.items.map((object) => {
      const read = readRemediation(object);
      if (typeof read === "string") throw new Error(read);
      return read;
    });
  };
  return {
    plane,
    redis,
    people,
    url: () => `http://127.0.0.1:${intakePort}/falco`,
    directory,
    startResponder,
    startReplica,
    remediations,
    inState: (namespace, ...states) =>
      eventually(`a remediation in ${states.join(" or ")}`, async () => {
        const all = await remediations(namespace);
        return all.find((one) => states.includes(one.status.state));
      }),
    decide: async (remediation, decision) => {
      const reply = await writeApproval(
        people,
        {
          name: remediation.name,
          digest: remediation.plan?.digest ?? "",
          decision,
          by: "jane@example.org",
          reason: "looked at it",
        },
        Date.now(),
      );
      if (!reply.ok) throw new Error(`${reply.code}: ${reply.message}`);
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${operationsPort}/metrics`)).text(),
    stop: async () => {
      for (const child of running) await child.stop("SIGKILL");
      people.close();
      await plane.stop();
      await redis.stop();
    },
  };
}

/** The responder runs with the rights that it asks for, and no others. */
async function grant(people: Cluster): Promise<void> {
  const settings = { namespace: "parapet-system", review: { reviewers: [] } };
  const watched = [
    { apiVersion: "v1", resource: "configmaps" },
    { apiVersion: "apps/v1", resource: "deployments" },
  ];
  const subject = { kind: "User", name: "responder", apiGroup: "rbac.authorization.k8s.io" };
  const objects = [...rolesFor(settings, watched), ...bindingsFor(subject, settings.namespace)];
  for (const object of objects) {
    const kind = textAt(object, ["kind"]);
    const type = await people.typeOf("rbac.authorization.k8s.io/v1", kind);
    const made = type.ok ? await people.create(type.value, object) : type;
    if (!made.ok) throw new Error(`${kind}: ${made.message}`);
  }
}

export function readCrds(): readonly JsonObject[] {
  const folder = join(repository, "package/crds");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), "utf8")))
    .map((document): unknown => document.toJS())
    .filter(isObject);
}

export const namespaceObject = (name: string): JsonObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name },
});

/** A Pod as a kubelet would have it: on a node, running. No kubelet is needed. */
export async function makePod(
  people: Cluster,
  namespace: string,
  name: string,
  nodeName = "node-1",
): Promise<string> {
  const created = await people.create(types.pod, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: "web" } },
    spec: { nodeName, containers: [{ name: "web", image: "nginx" }] },
  });
  if (!created.ok) throw new Error(`${created.code}: ${created.message}`);
  const status = { ...created.value, status: { phase: "Running", podIP: "10.0.0.9" } };
  await people.replaceStatus(types.pod, status);
  const live = await people.get(types.pod, nameOf(created.value));
  if (!live.ok) throw new Error(live.message);
  const { metadata } = live.value;
  return isObject(metadata) && typeof metadata["uid"] === "string" ? metadata["uid"] : "";
}

/** What Falco sends for a shell in a pod's container. */
export function shellAlert(
  namespace: string,
  pod: string,
  atMs: number,
  more = 0,
  hostname = "node-1",
): string {
  const time = new Date(atMs).toISOString().replace("Z", `${String(more).padStart(6, "0")}Z`);
  return JSON.stringify({
    hostname,
    output: `${time}: Notice A shell was spawned in a container with an attached terminal | process=sh <-> ${pod}`,
    output_fields: {
      "container.id": null,
      "evt.type": "execve",
      "k8s.ns.name": namespace,
      "k8s.pod.name": pod,
      "proc.name": "sh",
      "user.loginuid": -1,
    },
    priority: "Notice",
    rule: "Terminal shell in container",
    source: "syscall",
    tags: ["T1059", "container", "shell"],
    time,
  });
}

export const shellPolicy = (mode: string, more: JsonObject = {}): JsonObject => ({
  apiVersion: "parapet.dev/v1alpha1",
  kind: "ResponsePolicy",
  metadata: { name: `isolate-shells-${mode.toLowerCase()}` },
  spec: {
    match: { falco: { rules: ["Terminal shell in container"], priority: ">=Notice" } },
    when: "alert.pod.namespace.startsWith('shop')",
    do: [{ isolate: { ttl: "1h" } }],
    mode,
    ...more,
  },
});
