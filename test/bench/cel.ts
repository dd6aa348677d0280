// SPDX-License-Identifier: Apache-2.0
import { makeBudget } from "#policy/cel/budget";
import { compileExpression, type Program } from "#policy/cel/compile";
import { makeEnvironment } from "#policy/cel/environment";
import { optionalLibrary } from "#policy/cel/optionals";
import { dynType } from "#policy/cel/types";
import type { JsonObject } from "#policy/json";

const environment = makeEnvironment({
  variables: { object: dynType },
  libraries: [optionalLibrary],
  options: { homogeneousAggregates: true },
});

/** What is measured, by name. The first is the one that other engines were measured with. */
const expressions: readonly (readonly [name: string, source: string])[] = [
  [
    "three containers",
    "object.spec.containers.all(c, has(c.resources) && has(c.resources.limits) && c.image.startsWith('registry.internal/') && c.name in ['app', 'proxy', 'init'])",
  ],
  ["one field", "object.metadata.name == 'pod-1'"],
  ["arithmetic", "object.spec.priority + 2 > 10 || object.spec.priority * 3 == 9"],
  ["optional chain", "object.?spec.?securityContext.?runAsNonRoot.orValue(false)"],
  [
    "map and in",
    "'app' in object.metadata.labels && object.spec.containers.map(c, c.name).size() == 3",
  ],
  ["regular expression", "object.metadata.name.matches('^pod-[0-9]+$')"],
];

/** Pods of many shapes: which fields they have, and in which order, differs from one to the next. */
export function makePods(count: number): readonly JsonObject[] {
  return Array.from({ length: count }, (_, index) => makePod(index));
}

function makePod(index: number): JsonObject {
  const container = (name: string, bit: number): JsonObject => ({
    ...(index & 1 ? { imagePullPolicy: "Always" } : {}),
    name,
    ...(index & 2 ? { ports: [{ containerPort: 8080 + bit }] } : {}),
    image: `registry.internal/team/${name}:${index}`,
    ...(index & 4 ? { env: [{ name: "A", value: "b" }] } : {}),
    resources: {
      ...(index & 8 ? { requests: { cpu: "100m" } } : {}),
      limits: { cpu: "1", memory: "1Gi" },
    },
    ...(index & 16 ? { securityContext: { runAsNonRoot: true } } : {}),
  });
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `pod-${index}`,
      ...(index & 32 ? { namespace: "default" } : {}),
      labels: { app: "web", [`label-${index}`]: "x" },
    },
    spec: {
      ...(index & 4 ? { securityContext: { runAsNonRoot: true } } : {}),
      priority: index,
      containers: [container("app", 1), container("proxy", 2), container("init", 3)],
      ...(index & 8 ? { nodeName: "a" } : {}),
    },
  };
}

function compile(source: string): Program {
  const compiled = compileExpression(source, environment);
  if (compiled.ok) return compiled.program;
  throw new Error(`${source}: ${JSON.stringify(compiled.issues)}`);
}

/** Evaluations per second of a program over some objects, after warming up; the best of some rounds. */
function measure(program: Program, objects: readonly JsonObject[], milliseconds: number): number {
  const activations = objects.map((object) => ({ object }));
  const round = (until: number): number => {
    const start = performance.now();
    let done = 0;
    let now = start;
    while (now < start + until) {
      for (const activation of activations) program.evaluate(activation, makeBudget());
      done += activations.length;
      now = performance.now();
    }
    return (done / (now - start)) * 1000;
  };
  round(milliseconds / 2);
  return Math.max(round(milliseconds), round(milliseconds), round(milliseconds));
}

export type Row = { readonly name: string; readonly perSecond: number };

/** Measures all expressions over 64 Pods of different shapes, and how fast expressions compile. */
export function benchCel(milliseconds = 300): readonly Row[] {
  const pods = makePods(64);
  const rows = expressions.map(([name, source]) => ({
    name,
    perSecond: measure(compile(source), pods, milliseconds),
  }));
  return [...rows, { name: "compile three containers", perSecond: measureCompile(milliseconds) }];
}

function measureCompile(milliseconds: number): number {
  const source = expressions[0]?.[1] ?? "";
  for (let i = 0; i < 200; i++) compile(source);
  const start = performance.now();
  let done = 0;
  while (performance.now() < start + milliseconds) {
    compile(source);
    done++;
  }
  return (done / (performance.now() - start)) * 1000;
}

export function printCelBench(): void {
  for (const { name, perSecond } of benchCel()) {
    console.log(`${name.padEnd(28)} ${Math.round(perSecond).toLocaleString("en").padStart(12)}/s`);
  }
}

if (import.meta.main) printCelBench();
