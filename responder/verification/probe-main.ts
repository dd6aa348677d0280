// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it is the program of a probe pod. It needs nothing but Node.
import { writeFileSync } from "node:fs";
import { connect, createServer, isIP, type Socket } from "node:net";
import { parseArgs } from "node:util";

/** Longest that one connection is waited for: two lost SYNs. */
const tryMsMax = 3_500;
/** A refused or unreachable destination is tried again so long: what listens there may still start. */
const windowMs = 8_000;
const pauseMs = 400;
/** How often a held connection is used, and how often a new one is opened beside it. */
const beatMs = 200;
/** Of destinations, and of connections that are open at once. */
const connectionsMax = 64;

type Wish = { readonly role: string; readonly address: string; readonly port: number };
type Result = Wish & { readonly outcome: string };
/** Milliseconds since the held connection was opened at which it, and a new one beside it, worked last. */
type Held = { readonly echoedMs: number; readonly newMs: number; readonly forMs: number };

const { values } = parseArgs({
  options: {
    listen: { type: "string" },
    /** Milliseconds to listen for. */
    for: { type: "string" },
    try: { type: "string", multiple: true },
    /** One destination whose connection is held open and used. */
    hold: { type: "string" },
    "hold-for": { type: "string" },
  },
});

const started = performance.now();
const listening = values.listen === undefined ? false : await listen(whole(values.listen, 65_535));
const wishes = (values.try ?? []).slice(0, connectionsMax).map(parseWish);
const [tries, held] = await Promise.all([
  Promise.all(wishes.map(attempt)),
  values.hold === undefined
    ? undefined
    : hold(parseWish(values.hold), whole(values["hold-for"], 600_000)),
]);
const left = whole(values.for, 600_000) - (performance.now() - started);
await new Promise((resolve) => setTimeout(resolve, Math.max(0, left)));
const report = JSON.stringify({ listening, tries, ...(held === undefined ? {} : { held }) });
writeFileSync(process.env["TERMINATION_MESSAGE_PATH"] ?? "/dev/termination-log", report);
process.exit(0);

function whole(text: string | undefined, max: number): number {
  const number = Number(text ?? "0");
  if (!Number.isSafeInteger(number) || number < 0 || number > max) throw new Error("bad number");
  return number;
}

/** `role@address:port`, with an address of numbers alone: no name is ever looked up. */
function parseWish(text: string): Wish {
  const match = /^([a-z]{1,16})@(.{2,45}):(\d{1,5})$/.exec(text);
  const [, role = "", address = "", port = ""] = match ?? [];
  if (isIP(address) === 0) throw new Error("bad destination");
  return { role, address, port: whole(port, 65_535) };
}

/** Sends back what comes, to so many at once. */
function listen(port: number): Promise<boolean> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  server.maxConnections = connectionsMax;
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, () => resolve(true));
  });
}

async function attempt(wish: Wish): Promise<Result> {
  const from = performance.now();
  for (;;) {
    const { outcome, socket } = await open(wish);
    socket.destroy();
    if (outcome === "connected" || performance.now() - from > windowMs) return { ...wish, outcome };
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function open(wish: Wish): Promise<{ readonly outcome: string; readonly socket: Socket }> {
  const socket = connect({ host: wish.address, port: wish.port });
  return new Promise((resolve) => {
    const end = (outcome: string): void => {
      clearTimeout(timer);
      resolve({ outcome, socket });
    };
    const timer = setTimeout(() => end("timeout"), tryMsMax);
    socket.once("connect", () => end("connected"));
    socket.on("error", (error) => end(outcomeOf("code" in error ? error.code : "")));
  });
}

function outcomeOf(code: unknown): string {
  if (code === "ECONNREFUSED" || code === "ECONNRESET") return "refused";
  if (code === "ETIMEDOUT") return "timeout";
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH" || code === "EACCES") return "unreachable";
  return "failed";
}

/** Holds one connection and uses it, and opens new ones beside it: when does which end? */
async function hold(wish: Wish, forMs: number): Promise<Held | undefined> {
  const first = await openWithin(wish);
  if (first === undefined) return undefined;
  const from = performance.now();
  const sinceMs = (): number => Math.round(performance.now() - from);
  let echoedMs = 0;
  let newMs = 0;
  first.on("data", () => {
    echoedMs = sinceMs();
  });
  const beat = setInterval(() => first.write("."), beatMs);
  while (sinceMs() < forMs) {
    const { outcome, socket } = await open(wish);
    if (outcome === "connected") newMs = sinceMs();
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, beatMs));
  }
  clearInterval(beat);
  first.destroy();
  return { echoedMs, newMs, forMs: sinceMs() };
}

async function openWithin(wish: Wish): Promise<Socket | undefined> {
  const from = performance.now();
  for (;;) {
    const { outcome, socket } = await open(wish);
    if (outcome === "connected") return socket;
    socket.destroy();
    if (performance.now() - from > windowMs) return undefined;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
