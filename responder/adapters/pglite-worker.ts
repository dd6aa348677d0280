// SPDX-License-Identifier: Apache-2.0
import { setImmediate as macrotask } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";

/** The thread that PGlite runs in: its queries take the whole thread, which must not be the one that answers requests. */
export type PgliteRequest = {
  readonly id: number;
  readonly kind: "query" | "listen" | "close";
  readonly text: string;
  readonly params: readonly unknown[];
};
export type PgliteAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "notification"; readonly channel: string; readonly payload: string }
  | {
      readonly kind: "result";
      readonly id: number;
      readonly rows: readonly unknown[];
      readonly rowCount: number;
    }
  | {
      readonly kind: "error";
      readonly id: number;
      readonly message: string;
      readonly code: string;
    };

const port = parentPort;
if (port === null) throw new Error("runs as a worker thread only");
const directory: unknown = workerData;
if (typeof directory !== "string") throw new Error("workerData must be the data directory");

const post = (message: PgliteAnswer): void => port.postMessage(message);
const asText = (value: string): string => value;
/** int8 and numeric stay text, as node-postgres has them. */
const parsers = { 20: asText, 1700: asText };

const database = await PGlite.create(directory);
post({ kind: "ready" });

port.on("message", (request: PgliteRequest) => {
  void answer(request);
});

async function answer(request: PgliteRequest): Promise<void> {
  try {
    post(await run(request));
  } catch (error) {
    const message = error instanceof Error ? error.message : "failed";
    const code =
      error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
    post({ kind: "error", id: request.id, message, code });
  }
  // BullMQ's worker loop would otherwise spin on microtasks and freeze the thread.
  await macrotask();
}

async function run({ id, kind, text, params }: PgliteRequest): Promise<PgliteAnswer> {
  if (kind === "close") {
    await database.close();
    return { kind: "result", id, rows: [], rowCount: 0 };
  }
  if (kind === "listen") {
    await database.listen(text, (payload) =>
      post({ kind: "notification", channel: text, payload }),
    );
    return { kind: "result", id, rows: [], rowCount: 0 };
  }
  if (params.length === 0 && /;\s*\S/.test(text)) {
    const last = (await database.exec(text)).at(-1);
    return { kind: "result", id, rows: last?.rows ?? [], rowCount: last?.affectedRows ?? 0 };
  }
  const result = await database.query(text, [...params], { parsers });
  return { kind: "result", id, rows: result.rows, rowCount: result.affectedRows ?? 0 };
}
