// SPDX-License-Identifier: Apache-2.0

/** Upper bounds of the latency histograms, in seconds. */
const bounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type Histogram = {
  readonly observe: (seconds: number) => void;
  /** Samples in Prometheus' text format, without the name of the family. */
  readonly lines: () => readonly string[];
};

/** Families of figures in the order of their making, in Prometheus' text format. */
export type Registry = {
  /** `lines` are the samples without the family's name. */
  readonly part: (name: string, type: string, help: string, lines: Lines) => void;
  /** `known` are the label sets that are shown from the start; '' for none. */
  readonly counter: (
    name: string,
    help: string,
    known: readonly string[],
  ) => (labels: string, by?: number) => void;
  readonly histogram: (name: string, help: string) => (seconds: number) => void;
  readonly gauge: (name: string, help: string, read: () => number) => void;
  readonly text: () => string;
};

type Lines = () => readonly string[];

export function makeRegistry(prefix: string): Registry {
  const parts: Lines[] = [];
  const part: Registry["part"] = (name, type, help, lines) => {
    const full = `${prefix}_${name}`;
    parts.push(() => [
      `# HELP ${full} ${help}`,
      `# TYPE ${full} ${type}`,
      ...lines().map((line) => `${full}${line}`),
    ]);
  };
  return {
    part,
    counter: (name, help, known) => {
      const values = new Map(known.map((labels) => [labels, 0]));
      part(name, "counter", help, () =>
        [...values].map(([labels, value]) => `${labels === "" ? "" : `{${labels}}`} ${value}`),
      );
      return (labels, by = 1) => {
        values.set(labels, (values.get(labels) ?? 0) + by);
      };
    },
    histogram: (name, help) => {
      const { observe, lines } = makeHistogram();
      part(name, "histogram", help, lines);
      return observe;
    },
    gauge: (name, help, read) => part(name, "gauge", help, () => [` ${read()}`]),
    text: () => `${parts.flatMap((lines) => lines()).join("\n")}\n`,
  };
}

function makeHistogram(): Histogram {
  const buckets = bounds.map(() => 0);
  let count = 0;
  let sum = 0;
  return {
    observe: (seconds: number) => {
      count += 1;
      sum += seconds;
      const index = bounds.findIndex((bound) => seconds <= bound);
      if (index >= 0) buckets[index] = (buckets[index] ?? 0) + 1;
    },
    lines: (): readonly string[] => {
      let below = 0;
      const lines = bounds.map((bound, index) => {
        below += buckets[index] ?? 0;
        return `_bucket{le="${bound}"} ${below}`;
      });
      return [...lines, `_bucket{le="+Inf"} ${count}`, `_sum ${sum}`, `_count ${count}`];
    },
  };
}

/** Most policies that are counted apart; all others count together as `other`. */
export const namedPoliciesMax = 100;
/** Longest name of a policy in a label, in characters; Kubernetes' own names fit. */
const nameLengthMax = 200;

type PolicyCounter = {
  readonly add: (policy: string, action: string) => void;
  readonly lines: () => readonly string[];
};

/** Counts by policy: the first ones that are violated keep a series of their own until the process ends. */
export function makePolicyCounter(): PolicyCounter {
  const values = new Map<string, Map<string, number>>();
  return {
    add: (policy, action) => {
      const isKnown = values.has(policy) || values.size < namedPoliciesMax;
      const name = isKnown && policy.length <= nameLengthMax ? policy : "other";
      const counts = values.get(name) ?? new Map<string, number>();
      counts.set(action, (counts.get(action) ?? 0) + 1);
      values.set(name, counts);
    },
    lines: () =>
      [...values.keys()].sort().flatMap((policy) =>
        [...(values.get(policy) ?? [])].map(([action, count]) => {
          return `{policy="${escaped(policy)}",action="${action}"} ${count}`;
        }),
      ),
  };
}

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

/** A label's value: backslash, quote and line end are escaped, other control characters go. */
const escaped = (text: string): string =>
  text.replace(/[\\"\n]/g, (each) => escapes[each] ?? "").replace(/\p{Cc}/gu, "");
