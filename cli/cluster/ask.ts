// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it asks the person at the terminal.
import { readSync } from "node:fs";

/** A person's answer; `nobody` where there is no terminal to ask at. */
export type Answer = "yes" | "no" | "nobody";

const answerLengthMax = 256;

/** Asks for y or n; anything but a yes is a no. */
export function ask(question: string, show: (text: string) => void): Answer {
  if (!process.stdin.isTTY) return "nobody";
  show(`${question} [y/N] `);
  const line = readLine().trim().toLowerCase();
  return line === "y" || line === "yes" ? "yes" : "no";
}

function readLine(): string {
  const one = Buffer.alloc(1);
  let line = "";
  while (line.length < answerLengthMax) {
    if (readSync(process.stdin.fd, one) === 0 || one[0] === 0x0a) break;
    line += one.toString("latin1");
  }
  return line;
}
