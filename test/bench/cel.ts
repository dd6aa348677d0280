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

/** Seconds of CPU that this process has used, collection of garbage included: a busy machine does not change it much. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** How often a second of CPU something can be done that is done `count` times a call; the best of some rounds. */
function measure(run: () => void, count: number, milliseconds: number): number {
  const round = (until: number): number => {
    const start = cpuSeconds();
    const end = performance.now() + until;
    let done = 0;
    while (performance.now() < end) {
      run();
      done += count;
    }
    return done / (cpuSeconds() - start);
  };
  round(milliseconds / 2);
  return Math.max(round(milliseconds), round(milliseconds), round(milliseconds));
}

/** Evaluations of a program over some objects, again and again. */
function evaluating(program: Program, objects: readonly JsonObject[]): () => void {
  const activations = objects.map((object) => ({ object }));
  return () => {
    for (let pass = 0; pass < passes; pass++) {
      for (const activation of activations) program.evaluate(activation, makeBudget());
    }
  };
}

/** Passes between two looks at the clock, which is slower than an evaluation. */
const passes = 20;

export type Row = { readonly name: string; readonly perSecond: number };

/** Measures all expressions over 64 Pods of different shapes, and how fast expressions compile; per second of CPU. */
export function benchCel(milliseconds = 300): readonly Row[] {
  const pods = makePods(64);
  const rows = expressions.map(([name, source]) => ({
    name,
    perSecond: measure(evaluating(compile(source), pods), pods.length * passes, milliseconds),
  }));
  const source = expressions[0]?.[1] ?? "";
  const compiling = measure(() => compile(source), 1, milliseconds);
  return [...rows, { name: "compile three containers", perSecond: compiling }];
}

export function printCelBench(): void {
  for (const { name, perSecond } of benchCel()) {
    console.log(
      `${name.padEnd(28)} ${Math.round(perSecond).toLocaleString("en").padStart(12)}/s of CPU`,
    );
  }
}

if (import.meta.main) printCelBench();
