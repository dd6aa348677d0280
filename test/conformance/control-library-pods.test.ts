// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CORE_SCHEMA, loadAll } from "js-yaml";
import { expect, it } from "vitest";
import { compile } from "#policy/compile";
import { type Json, type JsonObject, isObject } from "#policy/json";
import { reviewOf } from "#policy/kubernetes/kinds";
import { failedChecks, standardChecks } from "#policy/kubernetes/pod-security/evaluate";
import { podView } from "#policy/kubernetes/pod-security/pod";
import type { PolicySet } from "#policy/policy-set";
import { emptyWorld } from "#policy/world";
import { repository } from "#test/support/shared";
import { type Random, makeRandom } from "./cel-spec-generate.ts";

// The library's policies for pods are the Pod Security Standards, written out in CEL. On any pod they say what the
// standards' own checks say, which are held to Kyverno's recorded answers elsewhere.
const world = emptyWorld(Date.parse("2026-01-01T00:00:00Z"));

function policyOf(name: string, position = 0): PolicySet {
  const file = join(repository, "package/policies/controls/kubernetes", name, "policy.yaml");
  const documents: unknown[] = loadAll(readFileSync(file, "utf8"), { schema: CORE_SCHEMA });
  const { set, problems } = compile([documents[position]]);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  return set;
}

const baseline = policyOf("pods-unprivileged");
const restricted = policyOf("pods-restricted");
const debugging = policyOf("pods-unprivileged", 1);

function resultOf(set: PolicySet, object: JsonObject): string {
  const review = reviewOf(object, { world });
  const results = set
    .candidates(review)
    .flatMap((policy) => policy.validate?.(review, world) ?? [])
    .filter(({ result }) => result !== "skip");
  return results.map(({ result }) => result).join();
}

it("judges 20,000 pods as the standards' own checks do", () => {
  const random = makeRandom(20_261_122);
  const wrong: string[] = [];
  const seen = { pass: 0, baseline: 0, restricted: 0 };
  for (let count = 0; count < 20_000; count++) {
    const pod = makePod(random);
    const view = podView(pod["metadata"], pod["spec"]);
    const ids = failedChecks(standardChecks("restricted", "latest"), view).map(({ id }) => id);
    const low = failedChecks(standardChecks("baseline", "latest"), view).map(({ id }) => id);
    const found = [resultOf(baseline, pod), resultOf(restricted, pod)];
    seen[ids.length === 0 ? "pass" : low.length === 0 ? "restricted" : "baseline"] += 1;
    const isRight =
      found[0] === (low.length > 0 ? "fail" : "pass") &&
      // What both levels forbid may be said by the lower one alone.
      (ids.length > low.length || found[1] === "pass" || low.length > 0) &&
      (ids.length === 0) === found.every((result) => result === "pass");
    if (!isRight)
      wrong.push(`${found.join()}, the standard fails ${ids.join()}: ${JSON.stringify(pod)}`);
  }
  expect(wrong.slice(0, 3)).toEqual([]);
  // Chance alone must not make this empty: pods of all three kinds were among them.
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(500);
});

it.each(["Deployment", "CronJob"])("judges the pods of a %s alike", (kind) => {
  const random = makeRandom(7);
  const wrong: string[] = [];
  for (let count = 0; count < 500; count++) {
    const { spec, metadata } = makePod(random);
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...objectOf(metadata), name: "p" },
      spec: spec ?? {},
    };
    const template = { metadata: objectOf(metadata), spec: spec ?? {} };
    const owner: JsonObject =
      kind === "CronJob"
        ? {
            apiVersion: "batch/v1",
            kind,
            metadata: { name: "c", namespace: "n" },
            spec: { jobTemplate: { spec: { template } } },
          }
        : {
            apiVersion: "apps/v1",
            kind,
            metadata: { name: "d", namespace: "n" },
            spec: { template },
          };
    for (const set of [baseline, restricted]) {
      if (resultOf(set, owner) !== resultOf(set, pod)) wrong.push(JSON.stringify(template));
    }
  }
  expect(wrong.slice(0, 3)).toEqual([]);
});

it.each([
  { reason: "what is asked for most", container: {}, want: "pass" },
  {
    reason: "the node's devices",
    container: { securityContext: { privileged: true } },
    want: "fail",
  },
  {
    reason: "kubectl debug --profile=sysadmin",
    container: { securityContext: { capabilities: { add: ["SYS_ADMIN"] } } },
    want: "fail",
  },
  {
    reason: "every system call",
    container: { securityContext: { seccompProfile: { type: "Unconfined" } } },
    want: "fail",
  },
  { reason: "anybody's image", container: { image: "docker.io/library/busybox:1" }, want: "fail" },
])("judges a container that is added to a running pod: $reason", ({ container, want }) => {
  const ephemeral = { name: "debug", image: "registry.example.org/tools:1", ...container };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "n" },
    spec: { containers: [{ name: "app", image: "x" }], ephemeralContainers: [ephemeral] },
  };
  const review = reviewOf(pod, { world, operation: "UPDATE", subResource: "ephemeralcontainers" });
  const results = debugging
    .candidates(review)
    .flatMap((policy) => policy.validate?.(review, world) ?? []);
  expect(results.map(({ result }) => result)).toEqual([want]);
});

const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

const pick = <T>(random: Random, values: readonly T[]): T => {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error("nothing to pick from");
  return value;
};

/** A part that is there once in `often`, so that most pods break few rules and some none. */
const rarely = (random: Random, often: number, part: () => JsonObject): JsonObject =>
  random() < 1 / often ? part() : {};

function makePod(random: Random): JsonObject {
  const isGood = random() < 0.8;
  const container = (): JsonObject => ({
    name: pick(random, ["a", "b"]),
    image: "x",
    ...makeContainer(random, isGood),
  });
  const volumes = [
    {
      name: "v",
      ...pick<JsonObject>(random, [
        { emptyDir: {} },
        { secret: {} },
        { hostPath: { path: "/" } },
        { nfs: {} },
        { csi: {} },
      ]),
    },
  ];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "p",
      namespace: "n",
      ...rarely(random, 12, () => ({
        annotations: {
          [pick(random, ["container.apparmor.security.beta.kubernetes.io/a", "other"])]: pick(
            random,
            ["runtime/default", "localhost/x", "unconfined", ""],
          ),
        },
      })),
    },
    spec: {
      containers: [container(), ...(random() < 0.3 ? [container()] : [])],
      ...rarely(random, 6, () => ({ initContainers: [container()] })),
      ...rarely(random, 8, () => ({ ephemeralContainers: [container()] })),
      ...rarely(random, 12, () => ({ os: { name: pick(random, ["windows", "linux"]) } })),
      ...rarely(random, 20, () => ({
        [pick(random, ["hostNetwork", "hostPID", "hostIPC"])]: pick(random, [true, false]),
      })),
      ...rarely(random, 8, () => ({ volumes })),
      ...rarely(random, isGood ? 3 : 1.2, () => ({
        securityContext: {
          ...makeContext(random),
          ...rarely(random, 15, () => ({
            sysctls: [{ name: pick(random, ["net.ipv4.tcp_rmem", "kernel.msgmax"]), value: "1" }],
          })),
        },
      })),
    },
  };
}

function makeContainer(random: Random, isGood: boolean): JsonObject {
  const probe = {
    httpGet: { port: 80, ...rarely(random, 3, () => ({ host: pick(random, ["", "10.0.0.1"]) })) },
  };
  const context = {
    ...(isGood
      ? {
          runAsNonRoot: true,
          allowPrivilegeEscalation: false,
          seccompProfile: { type: "RuntimeDefault" },
          capabilities: { drop: ["ALL"] },
        }
      : {}),
    ...makeContext(random),
    ...rarely(random, 25, () => ({ privileged: pick(random, [true, false]) })),
    ...rarely(random, 25, () => ({ allowPrivilegeEscalation: pick(random, [true, false]) })),
    ...rarely(random, 25, () => ({ procMount: pick(random, ["Default", "Unmasked"]) })),
    ...rarely(random, 15, () => ({
      capabilities: {
        drop: pick(random, [["ALL"], ["NET_RAW"], []]),
        add: pick(random, [["NET_BIND_SERVICE"], ["SYS_ADMIN"], ["CHOWN"], []]),
      },
    })),
  };
  return {
    ...(isGood || random() < 0.7 ? { securityContext: context } : {}),
    ...rarely(random, 20, () => ({
      ports: [{ containerPort: 80, hostPort: pick(random, [0, 80]) }],
    })),
    ...rarely(random, 20, () => ({
      [pick(random, ["livenessProbe", "readinessProbe", "startupProbe"])]: probe,
    })),
    ...rarely(random, 25, () => ({
      lifecycle: {
        [pick(random, ["preStop", "postStart"])]: pick(random, [
          probe,
          { tcpSocket: { port: 1, host: "h" } },
        ]),
      },
    })),
  };
}

/** What both a pod and a container may say. */
function makeContext(random: Random): JsonObject {
  return {
    ...rarely(random, 12, () => ({ runAsNonRoot: pick(random, [true, false]) })),
    ...rarely(random, 20, () => ({ runAsUser: pick(random, [0, 1000]) })),
    ...rarely(random, 15, () => ({
      seccompProfile: { type: pick(random, ["RuntimeDefault", "Localhost", "Unconfined"]) },
    })),
    ...rarely(random, 25, () => ({
      appArmorProfile: { type: pick(random, ["RuntimeDefault", "Unconfined"]) },
    })),
    ...rarely(random, 20, () => ({
      seLinuxOptions: {
        [pick(random, ["type", "user", "role", "level"])]: pick(random, [
          "container_t",
          "spc_t",
          "",
        ]),
      },
    })),
    ...rarely(random, 25, () => ({ windowsOptions: { hostProcess: pick(random, [true, false]) } })),
  };
}
