// SPDX-License-Identifier: Apache-2.0

/**
 * Handing a call over and back costs about 0.1 ms on each side. What takes little more is quicker done at once, and what
 * takes a moment is so, too, while there is nothing else to do.
 */
const cheapSecondsMax = 0.0005;
const cheapWhenIdleSecondsMax = 0.003;
/** A larger request is never cheap for certain, whatever the last one took. */
export const cheapBytesMax = 256 * 1024;
/** Composites whose last evaluation is known. */
const routesMax = 10_000;

/** Which composites' calls are evaluated in less time than it takes to hand them over, by what the last ones took. */
export type Costs = {
  readonly note: (route: string, seconds: number) => void;
  /** `isIdle`: no other call is under way. */
  readonly isCheap: (route: string, isIdle: boolean) => boolean;
};

export function makeCosts(): Costs {
  const seconds = new Map<string, { readonly last: number; readonly before: number }>();
  return {
    note: (route, took) => {
      const before = seconds.get(route)?.last ?? Number.POSITIVE_INFINITY;
      seconds.delete(route);
      seconds.set(route, { last: took, before });
      if (seconds.size <= routesMax) return;
      for (const oldest of seconds.keys()) {
        seconds.delete(oldest);
        break;
      }
    },
    isCheap: (route, isIdle) => {
      const took = seconds.get(route);
      if (took === undefined) return false;
      // The clock runs on while others have the processor: one late call is no costly one, two are.
      const least = Math.min(took.last, took.before);
      return least <= (isIdle ? cheapWhenIdleSecondsMax : cheapSecondsMax);
    },
  };
}
