// SPDX-License-Identifier: Apache-2.0
// The command line from cold start: 12 pod-security ValidatingPolicies over 1,000 Pods, and both corpora of tests.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { formatYaml } from "#policy/yaml";
import type { JsonObject } from "#policy/json";
import { repository, shared } from "#test/support/shared";

const podsCount = 1_000;
const runs = 5;

function makePod(index: number): JsonObject {
  const containers = Array.from({ length: 1 + (index % 3) }, (_, place) => ({
    name: `app${place}`,
    image: `registry.internal/team/app${index % 7}:v1.${index % 30}.${place}`,
    ports: [{ containerPort: 8080 + place, protocol: "TCP" }],
    resources: {
      limits: { cpu: "500m", memory: "256Mi" },
      requests: { cpu: "100m", memory: "128Mi" },
    },
    env: [
      { name: "A", value: `value ${index}` },
      { name: "B", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    ],
    securityContext:
      index % 4 === 0
        ? { privileged: true }
        : { runAsNonRoot: true, capabilities: { drop: ["ALL"] } },
  }));
  const labels = { app: `app${index % 7}`, "app.kubernetes.io/name": "x" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `pod-${index}`, namespace: `ns${index % 20}`, labels },
    spec: { containers, restartPolicy: "Always", serviceAccountName: `sa${index % 5}` },
  };
}

function measure(name: string, args: readonly string[]): void {
  const seconds = Array.from({ length: runs }, () => {
    const started = performance.now();
    const done = spawnSync(process.execPath, [path.join(repository, "cli/main.ts"), ...args], {
      maxBuffer: 1 << 30,
    });
    if (done.status !== 0 && done.status !== 1) throw new Error(done.stderr.toString("utf8"));
    return (performance.now() - started) / 1000;
  }).sort((left, right) => left - right);
  const shown = [seconds[0], seconds[runs >> 1]].map((one) => (one ?? 0).toFixed(2));
  console.log(`${name.padEnd(48)} best ${shown[0]} s, median ${shown[1]} s of ${runs}`);
}

const corpora = shared("corpora");
const folder = mkdtempSync(path.join(tmpdir(), "parapet-bench-"));
try {
  const pods = Array.from({ length: podsCount }, (_, index) => makePod(index));
  const json = path.join(folder, "pods.json");
  const yaml = path.join(folder, "pods.yaml");
  writeFileSync(json, JSON.stringify({ apiVersion: "v1", kind: "List", items: pods }));
  writeFileSync(yaml, pods.map(formatYaml).join("---\n"));
  const size = (file: string): string => `${(statSync(file).size / 1e6).toFixed(1)} MB`;
  measure("start (--version)", ["--version"]);
  if (corpora !== undefined) {
    const policies = path.join(corpora, "kyverno-policies/pod-security-vpol");
    const check = (file: string): readonly string[] => [
      "check",
      "-p",
      policies,
      "-r",
      file,
      "-o",
      "json",
    ];
    measure(`check, ${podsCount} Pods as JSON (${size(json)})`, check(json));
    measure(`check, ${podsCount} Pods as YAML (${size(yaml)})`, check(yaml));
    measure("test, all kyverno-test files", [
      "test",
      path.join(corpora, "kyverno-policies"),
      path.join(corpora, "kyverno-cli"),
    ]);
  }
} finally {
  rmSync(folder, { recursive: true });
}
