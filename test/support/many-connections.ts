// SPDX-License-Identifier: Apache-2.0
// Opens as many connections as it is told, writes a beginning on each, and holds them until it is ended. Says how many it has, and
// how many were closed soon: not for their silence, which is given more time than that.
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [port = "0", wanted = "0", beginning = "", drip = ""] = process.argv.slice(2);
let open = 0;
let closed = 0;
let early = 0;
const soonMs = 3_000;
for (let i = 0; i < Number(wanted); i++) {
  const socket = connect(Number(port), "127.0.0.1");
  let since = Number.POSITIVE_INFINITY;
  socket.on("connect", () => {
    since = performance.now();
    open += 1;
    if (beginning !== "") socket.write(beginning);
    if (drip !== "") setInterval(() => socket.writable && socket.write(drip), 500).unref();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    open -= 1;
    closed += 1;
    if (performance.now() - since < soonMs) early += 1;
  });
  // No faster than a kernel's queue of connections that wait to be accepted.
  if (i % 200 === 199) await sleep(10);
}
setInterval(() => process.stdout.write(`${JSON.stringify({ open, closed, early })}\n`), 100);
