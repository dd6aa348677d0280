// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: sends spans by OTLP over HTTP. It is loaded only where traces are configured.
import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace as api,
  TraceFlags,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Metrics } from "#responder/metrics";
import { type Span, spanAttributes, type Trace } from "#responder/tracing";

export type TraceOptions = {
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Part of the traces that are sent; decided by the trace id, so alike on every replica. */
  readonly ratio: number;
  readonly serviceName: string;
  readonly instance: string;
  readonly metrics: Metrics;
};

export type Traces = {
  readonly trace: Trace;
  /** Sends what waits, for a few seconds at most. Never rejects. */
  readonly close: () => Promise<void>;
};

/** Spans that wait; more are dropped by the SDK, so that a collector that is away costs no memory. */
const waitingMax = 8_192;
const exportMsMax = 5_000;
const valueMax = 256;
const kinds = {
  server: SpanKind.SERVER,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
} as const satisfies Readonly<Record<Span["kind"], SpanKind>>;

/** Hands spans to the SDK with the ids that they have already. */
export function openTraces(options: TraceOptions): Traces {
  // Read by the SDK when a span begins, which is synchronous.
  const next = { traceId: "", spanId: "" };
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      "service.name": options.serviceName,
      "service.namespace": "parapet",
      "service.instance.id": options.instance,
    }),
    sampler: new TraceIdRatioBasedSampler(options.ratio),
    idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
    spanLimits: { attributeValueLengthLimit: valueMax },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: counting(exporterOf(options), options.metrics),
        maxQueueSize: waitingMax,
        maxExportBatchSize: 512,
        scheduledDelayMillis: 1_000,
        exportTimeoutMillis: exportMsMax,
      }),
    ],
  });
  const tracer = provider.getTracer("parapet-responder");
  return {
    trace: (span) => {
      next.traceId = span.traceId;
      next.spanId = span.spanId;
      const { traceId, parentId } = span;
      const context =
        parentId === undefined
          ? ROOT_CONTEXT
          : api.setSpanContext(ROOT_CONTEXT, {
              traceId,
              spanId: parentId,
              traceFlags: TraceFlags.SAMPLED,
            });
      const begun = tracer.startSpan(
        span.name,
        { kind: kinds[span.kind], startTime: span.startMs, attributes: allowed(span) },
        context,
      );
      for (const event of span.events) begun.addEvent(event.name, event.atMs);
      if (span.failed) begun.setStatus({ code: SpanStatusCode.ERROR });
      begun.end(Math.max(span.startMs, span.endMs));
    },
    close: () => provider.shutdown().catch(() => undefined),
  };
}

const exporterOf = ({ endpoint, headers }: TraceOptions): SpanExporter =>
  new OTLPTraceExporter({ url: endpoint, headers: { ...headers }, timeoutMillis: exportMsMax });

/** By the list and nothing beside it, whatever the types were told. */
function allowed(span: Span): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of spanAttributes) {
    const value = span.attributes[name];
    if (value !== undefined && value !== "") kept[name] = value;
  }
  return kept;
}

function counting(exporter: SpanExporter, metrics: Metrics): SpanExporter {
  const spans = metrics.counter(
    "parapet_spans_total",
    "Spans handed to the trace collector, by result.",
    [{ result: "sent" }, { result: "failed" }],
  );
  return {
    export: (batch, done) =>
      exporter.export(batch, (result) => {
        spans.add({ result: result.error === undefined ? "sent" : "failed" }, batch.length);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
