// SPDX-License-Identifier: Apache-2.0
import type { LogFields, LogLevel } from "../log.ts";
import type { Notes } from "./notes.ts";

/** What a worker is started with. */
export type WorkerSettings = { readonly approvalNamespace: string };

/** To a worker: one call's request, whose memory goes over with it. */
export type CallMessage = { readonly id: number; readonly request: Uint8Array };

/** From a worker. */
export type WorkerMessage =
  | { readonly kind: "ready" }
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly answer: Uint8Array;
      readonly notes: Notes;
    }
  | {
      readonly kind: "problem";
      readonly id: number;
      /** What is wrong with the bytes, or where the handler threw what it should not have. */
      readonly problem: { readonly malformed: string } | { readonly failed: LogFields };
      readonly notes: Notes;
    }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly message: string;
      readonly fields: LogFields;
    };
