// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { runPath } from "#test/support/function-process";
import { eventually, freePort } from "#test/support/processes";
import { repository } from "#test/support/shared";
import type { Certificate } from "#test/support/certificates";

// Composition functions as processes, and how quick they are over mutual TLS.

export type Tls = {
  /** For the server: tls.crt, tls.key, ca.crt. */
  readonly folder: string;
  readonly authority: Buffer;
  readonly client: Certificate;
};

export type Peer = {
  readonly port: number;
  readonly pid: number;
  readonly stop: () => void;
  /** From the start of the process to listening, where it says when that is. */
  readonly readyMs: number;
};

/**
 * Starts a function. One that takes an address with port 0 says its port in a line of JSON; to any other, whose last
 * argument is `--address`, a free one is given.
 */
export async function startPeer(command: string, args: readonly string[], tls: Tls): Promise<Peer> {
  const before = performance.now();
  const given = args.at(-1) === "--address" ? await freePort() : undefined;
  const child = spawn(command, given === undefined ? args : [...args, `127.0.0.1:${given}`], {
    cwd: repository,
    env: { ...process.env, TLS_SERVER_CERTS_DIR: tls.folder },
    // Functions in Go write a line for each call there.
    stdio: ["ignore", "pipe", given === undefined ? "inherit" : "ignore"],
  });
  process.setMaxListeners(100).once("exit", () => child.kill("SIGKILL"));
  child.stdout?.on("data", () => undefined);
  const port = given ?? (await toldPort(child));
  return {
    port,
    pid: child.pid ?? 0,
    stop: () => child.kill("SIGKILL"),
    readyMs: performance.now() - before,
  };
}

function toldPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      const found = /"port":(\d+)/.exec(output);
      if (found !== null) resolve(Number(found[1]));
    });
    child.once("exit", () => reject(new Error(`ended early: ${output}`)));
  });
}

export type Figures = {
  readonly p50: number;
  readonly p99: number;
  /** Calls per second, one and eight at a time. */
  readonly perSecond1: number;
  readonly perSecond8: number;
  /** Of the server, in milliseconds per call. */
  readonly cpuMs: number;
  readonly rssMb: number;
};

/** Time alone is no measure of warmth where others have the processor, nor are calls alone where each is long. */
const warmUpMs = 1200;
const warmUpMsMax = 15_000;
const warmUpCalls = 400;
const oneMs = 500;
const eightMs = 330;

/** Measures one peer, bit by bit. */
export class Meter {
  readonly #peer: Peer;
  readonly #requests: readonly Buffer[];
  readonly #client: Client;
  readonly #times: number[] = [];
  #next = 0;
  #cpuMs = 0;
  #oneMs = 0;
  #eight = { calls: 0, ms: 0 };

  constructor(peer: Peer, requests: readonly Buffer[], tls: Tls) {
    this.#peer = peer;
    this.#requests = requests;
    const key = readFileSync(tls.client.keyFile);
    const certificate = readFileSync(tls.client.certFile);
    const channel = credentials.createSsl(tls.authority, key, certificate);
    this.#client = new Client(`localhost:${peer.port}`, channel, {
      "grpc.max_receive_message_length": -1,
    });
  }

  /** Waits until it answers, and lets it get warm. */
  async warmUp(): Promise<void> {
    await eventually("the function answers", async () => (await this.#call()) > 0);
    const since = performance.now();
    for (let calls = 0; ; calls++) {
      const took = performance.now() - since;
      if (took > warmUpMsMax || (took > warmUpMs && calls >= warmUpCalls)) return;
      await this.#call();
    }
  }

  async measure(): Promise<void> {
    const cpuBefore = cpuMsOf(this.#peer.pid);
    const start = performance.now();
    while (performance.now() - start < oneMs) {
      const before = performance.now();
      await this.#call();
      this.#times.push(performance.now() - before);
    }
    this.#oneMs += performance.now() - start;
    const startEight = performance.now();
    const caller = async (): Promise<void> => {
      while (performance.now() - startEight < eightMs) {
        await this.#call();
        this.#eight.calls++;
      }
    };
    await Promise.all(Array.from({ length: 8 }, caller));
    this.#eight.ms += performance.now() - startEight;
    this.#cpuMs += cpuMsOf(this.#peer.pid) - cpuBefore;
  }

  figures(): Figures {
    const times = this.#times.toSorted((a, b) => a - b);
    return {
      p50: times[Math.floor(times.length * 0.5)] ?? 0,
      p99: times[Math.floor(times.length * 0.99)] ?? 0,
      perSecond1: (times.length / this.#oneMs) * 1000,
      perSecond8: (this.#eight.calls / this.#eight.ms) * 1000,
      cpuMs: this.#cpuMs / (times.length + this.#eight.calls),
      rssMb: rssMbOf(this.#peer.pid),
    };
  }

  close(): void {
    this.#client.close();
  }

  /** The length of the answer. */
  #call(): Promise<number> {
    const body = this.#requests[this.#next++ % this.#requests.length] ?? Buffer.alloc(0);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        runPath,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        body,
        (error: ServiceError | null, answer?: Buffer) => {
          if (error === null && answer !== undefined) resolve(answer.length);
          else reject(error ?? new Error("no answer"));
        },
      );
    });
  }
}

/** User and system time of a process, in milliseconds; Linux counts in hundredths of a second. */
function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function rssMbOf(pid: number): number {
  const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) / 1024;
}
