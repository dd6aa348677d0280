// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "#policy/json";
import type { Slice } from "./reader.ts";
import type { ResourceBytes, State } from "./request.ts";
import {
  finish,
  makeWriter,
  mark,
  putHead,
  putNumberField,
  putRaw,
  putStruct,
  putText,
  putTextIf,
  type Writer,
} from "./writer.ts";

/** What the function answers; everything that it has no opinion on is a part of the request's bytes. */
export type Response = {
  readonly tag: string;
  readonly ttlSeconds: number | undefined;
  readonly desired: Desired;
  readonly results: readonly FunctionResult[];
  readonly context: Slice | undefined;
  readonly requirements: ReadonlyMap<string, Selector>;
  /** State the requirements as `extra_resources` too, the only name that Crossplane before v2.0 knows. */
  readonly asExtraResources?: boolean;
  readonly conditions: readonly Condition[];
  /** For the status of an Operation; Crossplane ignores a composition's. */
  readonly output?: JsonObject;
};

/** The request's desired state and what is to be different about it. */
export type Desired = {
  readonly from: State;
  readonly composite: CompositeChange | undefined;
  /** By resource name; `undefined` leaves a resource out, which deletes it where it exists. */
  readonly resources: ReadonlyMap<string, ResourceChange | undefined>;
};

export type CompositeChange = {
  readonly ready: number | undefined;
  /** The composite's object instead of the one that came, for its status; undefined to keep that. */
  readonly object: JsonObject | undefined;
};

/** `ready` undefined keeps what the pipeline said before. */
export type ResourceChange = { readonly object: JsonObject; readonly ready: number | undefined };

export type Severity = "fatal" | "warning" | "normal";
export type Target = "composite" | "compositeAndClaim";

export type FunctionResult = {
  readonly severity: Severity;
  readonly message: string;
  /** CamelCase; the reason of the event. */
  readonly reason: string;
  readonly target: Target;
};

export type Condition = {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly target: Target;
};

/** Which objects Crossplane should fetch. */
export type Selector = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly match:
    | { readonly name: string }
    | { readonly labels: Readonly<Record<string, string>> }
    | undefined;
  /** undefined for cluster-scoped kinds. */
  readonly namespace: string | undefined;
};

const severities = { fatal: 1, warning: 2, normal: 3 } satisfies Record<Severity, number>;
const targets = { composite: 1, compositeAndClaim: 2 } satisfies Record<Target, number>;
const statuses = { Unknown: 1, True: 2, False: 3 } satisfies Record<Condition["status"], number>;

/** The bytes of a RunFunctionResponse. Fields are written in reverse, so the answer has them in order. */
export function encodeResponse(response: Response): Buffer {
  const from = response.desired.from.whole;
  const size = from === undefined ? 0 : from.end - from.start;
  // What is added to changed resources seldom exceeds a quarter; an untouched state has its exact size.
  const writer = makeWriter(4096 + size * (response.desired.resources.size > 0 ? 1.25 : 1));
  const { output } = response;
  if (output !== undefined) putMessage(writer, 7, () => putStruct(writer, output));
  for (const condition of response.conditions.toReversed()) {
    putMessage(writer, 6, () => putCondition(writer, condition));
  }
  if (response.requirements.size > 0) {
    putMessage(writer, 5, () => putRequirements(writer, response));
  }
  const { context } = response;
  if (context !== undefined) putMessage(writer, 4, () => putSlice(writer, context));
  for (const result of response.results.toReversed()) {
    putMessage(writer, 3, () => putResult(writer, result));
  }
  putMessage(writer, 2, () => putDesired(writer, response.desired));
  putMessage(writer, 1, () => putMeta(writer, response));
  return finish(writer);
}

function putMessage(writer: Writer, field: number, body: () => void): void {
  const since = mark(writer);
  body();
  putHead(writer, field, since);
}

const putSlice = (writer: Writer, slice: Slice): void =>
  putRaw(writer, slice.bytes, slice.start, slice.end);

function putMeta(writer: Writer, response: Response): void {
  const { ttlSeconds } = response;
  if (ttlSeconds !== undefined) {
    putMessage(writer, 2, () => putNumberField(writer, 1, ttlSeconds));
  }
  putTextIf(writer, 1, response.tag);
}

function putResult(writer: Writer, result: FunctionResult): void {
  putNumberField(writer, 4, targets[result.target]);
  putText(writer, 3, result.reason);
  putTextIf(writer, 2, result.message);
  putNumberField(writer, 1, severities[result.severity]);
}

function putCondition(writer: Writer, condition: Condition): void {
  putNumberField(writer, 5, targets[condition.target]);
  putText(writer, 4, condition.message);
  putTextIf(writer, 3, condition.reason);
  putNumberField(writer, 2, statuses[condition.status]);
  putTextIf(writer, 1, condition.type);
}

function putRequirements(writer: Writer, { requirements, asExtraResources }: Response): void {
  const selectors = [...requirements].toReversed();
  for (const [name, selector] of selectors) {
    putMessage(writer, 2, () => {
      putMessage(writer, 2, () => putSelector(writer, selector));
      putTextIf(writer, 1, name);
    });
  }
  if (asExtraResources !== true) return;
  for (const [name, selector] of selectors) {
    putMessage(writer, 1, () => {
      putMessage(writer, 2, () => putSelector(writer, withoutNamespace(selector)));
      putTextIf(writer, 1, name);
    });
  }
}

/** An old Crossplane knows no namespaces in selectors: one object of a namespace can only be found among all. */
const withoutNamespace = (selector: Selector): Selector =>
  selector.namespace === undefined || selector.match === undefined || "labels" in selector.match
    ? selector
    : { ...selector, match: { labels: {} } };

function putSelector(writer: Writer, selector: Selector): void {
  if (selector.namespace !== undefined) putText(writer, 5, selector.namespace);
  const { match } = selector;
  if (match !== undefined && "labels" in match) {
    putMessage(writer, 4, () => putLabels(writer, match.labels));
  }
  if (match !== undefined && "name" in match) putText(writer, 3, match.name);
  putTextIf(writer, 2, selector.kind);
  putTextIf(writer, 1, selector.apiVersion);
}

function putLabels(writer: Writer, labels: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(labels).toReversed()) {
    putMessage(writer, 1, () => {
      putTextIf(writer, 2, value);
      putTextIf(writer, 1, key);
    });
  }
}

function putDesired(writer: Writer, desired: Desired): void {
  const { from } = desired;
  if (desired.resources.size === 0 && desired.composite === undefined) {
    if (from.whole !== undefined) putSlice(writer, from.whole);
    return;
  }
  for (const [name, change] of [...desired.resources].toReversed()) {
    if (change !== undefined && !from.resources.has(name)) {
      putEntry(writer, name, () => putChanged(writer, undefined, change.object, change.ready));
    }
  }
  for (const [name, resource] of [...from.resources].toReversed()) {
    if (!desired.resources.has(name)) {
      putEntry(writer, name, () => putSlice(writer, resource.whole));
      continue;
    }
    const change = desired.resources.get(name);
    if (change === undefined) continue;
    putEntry(writer, name, () => putChanged(writer, resource, change.object, change.ready));
  }
  putComposite(writer, from.composite, desired.composite);
}

function putEntry(writer: Writer, name: string, body: () => void): void {
  putMessage(writer, 2, () => {
    putMessage(writer, 2, body);
    putTextIf(writer, 1, name);
  });
}

function putComposite(
  writer: Writer,
  from: ResourceBytes | undefined,
  change: CompositeChange | undefined,
): void {
  if (change === undefined) {
    if (from !== undefined) putMessage(writer, 1, () => putSlice(writer, from.whole));
    return;
  }
  putMessage(writer, 1, () => putChanged(writer, from, change.object, change.ready));
}

function putChanged(
  writer: Writer,
  from: ResourceBytes | undefined,
  object: JsonObject | undefined,
  readiness: number | undefined,
): void {
  const ready = readiness ?? from?.ready ?? 0;
  if (ready !== 0) putNumberField(writer, 3, ready);
  for (const other of (from?.others ?? []).toReversed()) putSlice(writer, other);
  const struct = from?.struct;
  if (object !== undefined) putMessage(writer, 1, () => putStruct(writer, object));
  if (object === undefined && struct !== undefined) {
    putMessage(writer, 1, () => putSlice(writer, struct));
  }
}
