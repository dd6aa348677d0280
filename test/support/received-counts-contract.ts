// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { ReceivedCounts } from "#responder/adapters/received-counts";
import { eventually } from "#test/support/processes";

/** What every ReceivedCounts must do. `open` gives a new and empty one. */
export function receivedCountsContract(open: () => ReceivedCounts): void {
  it("adds up what is counted, at once and one after the other, and keeps texts by name", async () => {
    const counts = open();
    const key = '["node-1","a rule: with \\"signs\\" and \u20ac"]';
    await eventually("connected", async () => {
      await counts.add(new Map());
      return (await counts.read()).size === 0;
    });
    await Promise.all([
      counts.add(new Map([[key, 2]])),
      counts.add(new Map([[key, 3]])),
      counts.add(
        new Map([
          [key, 1],
          ["other", 1],
        ]),
      ),
    ]);
    expect(await counts.read()).toEqual(
      new Map([
        [key, 6],
        ["other", 1],
      ]),
    );
    expect(await counts.load("one")).toBeUndefined();
    await counts.save("one", "text");
    await counts.save("two", "other text");
    expect([await counts.load("one"), await counts.load("two")]).toEqual(["text", "other text"]);
    counts.close();
  });
}
