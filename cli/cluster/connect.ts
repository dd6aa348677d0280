// SPDX-License-Identifier: Apache-2.0
// This file performs I/O: it finds and reads a kubeconfig and opens a client of its API server.
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { makeApiServer } from "#responder/adapters/api-server";
import { fromKubeconfig } from "#responder/adapters/kubeconfig";
import type { Cluster, Failure } from "#responder/cluster";
import type { Option } from "../arguments.ts";

/** What commands that talk to a cluster take. */
export const clusterOptions: readonly Option[] = [
  {
    name: "kubeconfig",
    value: "FILE",
    help: "how to reach the cluster (default PARAPET_KUBECONFIG, KUBECONFIG or ~/.kube/config)",
  },
  { name: "context", value: "NAME", help: "which context of the kubeconfig (default its current)" },
];

/** Where a connection comes from; `environment` and `home` are those of the process. */
export type ConnectQuestion = {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Relative paths start here. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly home: string;
};

export type Connected =
  | { readonly ok: true; readonly cluster: Cluster }
  | { readonly ok: false; readonly message: string };

/** The field manager of what people write through the command line. */
const manager = "parapet-cli";

/** Opens a client of the cluster; the message of a failure says what to do. Nothing is sent yet. */
export async function connect(question: ConnectQuestion): Promise<Connected> {
  const file = kubeconfigFile(question);
  if (!existsSync(file)) {
    return {
      ok: false,
      message: `${file}: no such kubeconfig; name one with --kubeconfig FILE or the variable KUBECONFIG`,
    };
  }
  try {
    const connection = await fromKubeconfig(file, question.context);
    return { ok: true, cluster: makeApiServer(connection, manager) };
  } catch (error) {
    const text = error instanceof Error ? error.message : "cannot be read";
    const message = text.includes(file) ? text : `${file}: ${text}`;
    return { ok: false, message: `${message}; --kubeconfig FILE and --context NAME name another` };
  }
}

/** KUBECONFIG may list several files; the first counts, as nothing is merged here. */
function kubeconfigFile(question: ConnectQuestion): string {
  const { environment } = question;
  const named = [
    question.kubeconfig,
    environment["PARAPET_KUBECONFIG"],
    environment["KUBECONFIG"]?.split(":")[0],
  ].find((one) => one !== undefined && one !== "");
  return named === undefined
    ? join(question.home, ".kube/config")
    : resolve(question.folder, named);
}

/** The connection that a command's options and this process' environment name. */
export const connectFromProcess = (
  options: { readonly kubeconfig: string | undefined; readonly context: string | undefined },
  folder: string,
): Promise<Connected> => connect({ ...options, folder, environment: process.env, home: homedir() });

/** A failed call, with what a person can do about it. `what` names the object, e.g. `Remediation prod/x`. */
export function failureText(what: string, reply: Failure): string {
  switch (reply.code) {
    case "NotFound":
      return `${what} is not there (${reply.message}); check the name, the namespace and the cluster`;
    case "Forbidden":
      return `${what}: ${reply.message}; ask for that permission, or use another --context`;
    case "Unauthorized":
      return `${what}: the API server does not know you (${reply.message}); log in again`;
    case "Unavailable":
      return `the API server does not answer: ${reply.message}; check the kubeconfig's server and your network`;
    case "Gone":
    case "Busy":
    case "Conflict":
    case "AlreadyExists":
    case "Invalid":
      return `${what}: ${reply.message}`;
    default:
      return reply.code satisfies never;
  }
}
