// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { Ask, Beginning, Beginnings } from "#responder/beginnings";
import type { Reply } from "#responder/cluster";
import type { Allowance } from "#responder/budget";

/** One pod's response under a policy. */
export const beginning = (name: string, policy = "p"): Beginning => ({
  policy,
  name: { namespace: "shop", name },
  workload: "ReplicaSet/web",
});

/** Lets so many begin. */
export const upTo =
  (limit: number): Ask =>
  (begun) => ({
    mode: begun.length < limit ? "Automatic" : "Propose",
    reason: begun.map((one) => one.name.name).join(" "),
  });

export const modeOf = (reply: Reply<Allowance>): string =>
  reply.ok ? reply.value.mode : reply.code;

/** What every Beginnings must do. `open` gives two replicas' views of a new and empty count; one process has one view. */
export function beginningsContract(open: () => Promise<readonly [Beginnings, Beginnings]>): void {
  it("lets no more begin than a limit, however many ask at once on however many replicas", async () => {
    const replicas = await open();
    const asked = Array.from({ length: 60 }, (_, i) =>
      replicas[i % 2 === 0 ? 0 : 1].begin(beginning(`web-${i}`), upTo(7)),
    );
    const modes = (await Promise.all(asked)).map(modeOf);
    expect(modes.filter((mode) => mode === "Automatic")).toHaveLength(7);
    expect(modes.filter((mode) => mode === "Propose")).toHaveLength(53);
    for (const one of replicas) one.close();
  });

  it("counts one that begins again once, on whichever replica, and each policy by itself", async () => {
    const [a, b] = await open();
    const answers = [
      await a.begin(beginning("web-1"), upTo(1)),
      await b.begin(beginning("web-1"), upTo(1)),
      await b.begin(beginning("web-2"), upTo(1)),
      await a.begin(beginning("web-2", "other"), upTo(1)),
    ];
    expect(answers.map(modeOf)).toEqual(["Automatic", "Automatic", "Propose", "Automatic"]);
    expect(answers[2]).toMatchObject({ value: { reason: "web-1" } });
    a.close();
    b.close();
  });
}
