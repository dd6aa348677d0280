// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import {
  Client,
  credentials,
  status,
  type ChannelCredentials,
  type ServiceError,
} from "@grpc/grpc-js";
import type { Authority, Certificate } from "#test/support/certificates";
import { eventually } from "#test/support/processes";
import { bucket, encodeRequest, guardrails, noPublic } from "#test/support/run-function";
import { repository } from "#test/support/shared";

// The function as it runs in production, a process of its own, and a client that sends bytes as they are.

export const runPath = "/apiextensions.fn.proto.v1.FunctionRunnerService/RunFunction";

/** A request whose verdict is Held. */
export const publicBucket = (): Buffer =>
  encodeRequest({ input: guardrails([noPublic]), desired: { a: bucket({ acl: "public" }) } });

/** Credentials of a client with this pair, or without any. */
export function channelOf(authority: Authority, pair: Certificate | undefined): ChannelCredentials {
  const root = readFileSync(authority.caFile);
  if (pair === undefined) return credentials.createSsl(root);
  return credentials.createSsl(root, readFileSync(pair.keyFile), readFileSync(pair.certFile));
}

export type Reply = { readonly code: status; readonly details: string; readonly body: Buffer };

/** A client that gives and gets bytes, whatever their size. */
export const bytesClient = (port: number, creds: ChannelCredentials): Client =>
  new Client(`localhost:${port}`, creds, { "grpc.max_receive_message_length": -1 });

/** One call; never rejects. */
export function callOn(
  client: Client,
  body: Buffer,
  { path = runPath, deadlineMs = 20_000 } = {},
): Promise<Reply> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      body,
      { deadline: Date.now() + deadlineMs },
      (error: ServiceError | null, answer?: Buffer) => {
        resolve({
          code: error?.code ?? status.OK,
          details: error?.details ?? "",
          body: answer ?? Buffer.alloc(0),
        });
      },
    );
  });
}

/** One call over a connection of its own. */
export async function callServer(
  port: number,
  creds: ChannelCredentials,
  path = runPath,
  body = publicBucket(),
): Promise<Reply> {
  const client = bytesClient(port, creds);
  try {
    return await callOn(client, body, { path });
  } finally {
    client.close();
  }
}

export type Running = {
  readonly pid: number;
  readonly port: number;
  readonly metricsPort: number;
  readonly output: () => string;
  readonly signal: (name: "SIGTERM" | "SIGKILL") => void;
  readonly exited: Promise<number | null>;
};

/** Starts the function and waits until it listens, or has ended. */
export async function startProcess(
  args: readonly string[],
  env: Record<string, string> = {},
  script?: string,
): Promise<Running> {
  const { child, output, exited } = launch(args, env, script);
  const hasPorts = () =>
    output().includes('"listening"') && /metricsPort|cannot serve/.test(output());
  await eventually("the function listens", () =>
    Promise.resolve(hasPorts() || child.exitCode !== null),
  );
  return {
    pid: child.pid ?? 0,
    port: Number(/"port":(\d+)/.exec(output())?.[1] ?? 0),
    metricsPort: Number(/"metricsPort":(\d+)/.exec(output())?.[1] ?? 0),
    output,
    exited,
    signal: (name) => child.kill(name),
  };
}

export function launch(
  args: readonly string[],
  env: Record<string, string> = {},
  script = `${repository}/function/main.ts`,
) {
  const child = spawn(process.execPath, [script, ...args], {
    env: { PATH: process.env["PATH"], PARAPET_METRICS_ADDRESS: "127.0.0.1:0", ...env },
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => {
    child.on("close", (code) => resolve(code));
  });
  return { child, output: () => text, exited };
}
