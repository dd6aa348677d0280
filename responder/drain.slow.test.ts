// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { makeMemoryCluster } from "#responder/adapters/memory-cluster";
import { parseConfig } from "#responder/config/config";
import { runResponder } from "#responder/run";
import { eventually } from "#test/support/processes";

const directory = mkdtempSync(join(tmpdir(), "parapet-drain-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const token = "a-token-of-falcosidekick";
let sent = 0;

/** One alert; the answer's status, and whether the sender was asked to take another connection. */
const post = (port: number, agent: Agent) =>
  new Promise<{ readonly status: number; readonly moves: boolean }>((done, fail) => {
    const headers = { authorization: `Bearer ${token}` };
    const options = { host: "127.0.0.1", port, path: "/falco", method: "POST", headers, agent };
    const sending = request(options, (response) => {
      const { statusCode: status = 0 } = response;
      const moves = response.headers.connection === "close";
      response.resume().on("end", () => done({ status, moves }));
    });
    sending.on("error", fail);
    const time = `2026-07-04T20:46:44.${String((sent += 1)).padStart(9, "0")}Z`;
    sending.end(`{"rule":"r","priority":"Notice","time":"${time}"}`);
  });

it("an end under load refuses nobody who has not heard of it yet", async () => {
  const parsed = parseConfig(
    {
      intake: { listen: "127.0.0.1:0", drain: "5s", tokens: [{ name: "a", value: token }] },
      operations: { listen: "127.0.0.1:0" },
      dataDirectory: join(directory, "data"),
    },
    {},
  );
  if (!parsed.ok) throw new Error(parsed.problems.join("; "));
  const cluster = makeMemoryCluster(Date.now).client();
  const running = await runResponder(parsed.config, () => undefined, cluster);
  const readyz = async () =>
    (await fetch(`http://127.0.0.1:${running.operationsPort}/readyz`)).status;
  expect(await readyz()).toBe(200);
  const statuses: number[] = [];
  /** Keeps its connection until it is asked to take another one. */
  const lane = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let moves = false; !moves;) {
      const answer = await post(running.intakePort, agent);
      statuses.push(answer.status);
      moves = answer.moves;
    }
    agent.destroy();
  };
  const lanes = Promise.all([lane(), lane(), lane(), lane()]);
  await eventually("alerts come", () => statuses.length > 20);
  const ended = running.stop();
  expect(await readyz()).toBe(503);
  // One that comes anew, as a node sends it whose rules are a moment old.
  const late = await post(running.intakePort, new Agent());
  await lanes;
  await ended;
  expect([late.status, new Set(statuses)]).toEqual([202, new Set([202])]);
});
