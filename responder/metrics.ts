// SPDX-License-Identifier: Apache-2.0

export type Labels = Readonly<Record<string, string>>;

/** Series of one metric beyond this are added to one with empty labels: label values may come from outside. */
const seriesMax = 200;

/** Upper bounds of latency histograms, in seconds. */
const bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

export type Counter = { readonly add: (labels?: Labels, by?: number) => void };
export type Histogram = { readonly observe: (seconds: number, labels?: Labels) => void };

export type Metrics = {
  /** `series`: those that are there with 0 before anything is counted, so that a rate sees the first one. */
  readonly counter: (name: string, help: string, series?: readonly Labels[]) => Counter;
  /** Read when the metrics are asked for; undefined leaves the line out. */
  readonly gauge: (name: string, help: string, read: () => number | undefined) => void;
  /** The same for several series. */
  readonly gauges: (
    name: string,
    help: string,
    read: () => readonly (readonly [Labels, number])[],
  ) => void;
  readonly histogram: (name: string, help: string, series?: readonly Labels[]) => Histogram;
  /** Prometheus' text format, sorted. */
  readonly text: () => string;
};

/** The figures of one process; never the default registry of a library, so that tests have their own. */
export function makeMetrics(): Metrics {
  const parts: (() => readonly string[])[] = [];
  return {
    counter: (name, help, known = [{}]) => {
      const series = makeSeries(() => ({ value: 0 }));
      for (const labels of known) series.of(labels);
      parts.push(() => [
        ...head(name, help, "counter"),
        ...series
          .inUse((one) => one.value !== 0)
          .flatMap(([labels, one]) => [`${name}${labels} ${one.value}`]),
      ]);
      return {
        add: (labels = {}, by = 1) => {
          series.of(labels).value += by;
        },
      };
    },
    gauge: (name, help, read) => {
      parts.push(() => {
        const value = read();
        return value === undefined ? [] : [...head(name, help, "gauge"), `${name} ${value}`];
      });
    },
    gauges: (name, help, read) => {
      parts.push(() => {
        const lines = read().slice(0, seriesMax);
        if (lines.length === 0) return [];
        const text = lines.map(([labels, value]) => `${name}${labelText(labels)} ${value}`);
        return [...head(name, help, "gauge"), ...text.sort()];
      });
    },
    histogram: (name, help, known = [{}]) => {
      const series = makeSeries(() => ({ buckets: bounds.map(() => 0), count: 0, sum: 0 }));
      for (const labels of known) series.of(labels);
      parts.push(() => [
        ...head(name, help, "histogram"),
        ...series
          .inUse((one) => one.count !== 0)
          .flatMap(([labels, one]) => histogramLines(name, labels, one)),
      ]);
      return {
        observe: (seconds, labels = {}) => {
          const one = series.of(labels);
          one.count += 1;
          one.sum += seconds;
          for (const [index, bound] of bounds.entries()) {
            if (seconds <= bound) one.buckets[index] = (one.buckets[index] ?? 0) + 1;
          }
        },
      };
    },
    text: () => `${parts.flatMap((part) => part()).join("\n")}\n`,
  };
}

const head = (name: string, help: string, type: string): readonly string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
];

function histogramLines(
  name: string,
  labels: string,
  one: { readonly buckets: readonly number[]; readonly count: number; readonly sum: number },
): readonly string[] {
  const inner = labels.slice(1, -1);
  const withBound = (bound: string): string => `{${inner === "" ? "" : `${inner},`}le="${bound}"}`;
  return [
    ...bounds.map((bound, i) => `${name}_bucket${withBound(`${bound}`)} ${one.buckets[i] ?? 0}`),
    `${name}_bucket${withBound("+Inf")} ${one.count}`,
    `${name}_sum${labels} ${one.sum}`,
    `${name}_count${labels} ${one.count}`,
  ];
}

function makeSeries<T>(make: () => T) {
  const series = new Map<string, T>();
  return {
    of: (labels: Labels): T => {
      const wanted = labelText(labels);
      const key = series.has(wanted) || series.size < seriesMax ? wanted : "";
      const one = series.get(key) ?? make();
      series.set(key, one);
      return one;
    },
    /** All of them in order; the one without labels, there from the start, only while it is the only one or counts itself. */
    inUse: (counts: (one: T) => boolean): readonly (readonly [string, T])[] =>
      [...series]
        .filter(([labels, one]) => labels !== "" || series.size === 1 || counts(one))
        .sort(([a], [b]) => (a < b ? -1 : 1)),
  };
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.slice(0, 128).replaceAll(/["\\\n]/g, "_")}"`,
  );
  return parts.length === 0 ? "" : `{${parts.sort().join(",")}}`;
}
